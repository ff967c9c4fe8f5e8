/**
 * Checks the file of an engine before the system's loader sees it, which faults on a library whose
 * end is missing. Mapped, since loading `node:fs` takes longer than all of this.
 */
import type { LibraryChoice } from "./locate.ts";

const headerSize = 64;
/** `e_machine` of an ELF file, by what `process.arch` says. */
const machines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/**
 * **Throws** a plain `Error` where the file is missing, cut short, of another processor or, for one
 * that the package shipped, not what was shipped.
 */
export function checkFile({ path, source, sha256 }: LibraryChoice): void {
  // Inside a compiled program nothing can be mapped, and nothing can be cut short.
  if (source === "embedded") return;
  const { size } = Bun.file(path);
  if (size === 0) throw new Error("there is no such file, or it is empty");
  if (size < headerSize) throw new Error("it is not an ELF file");
  const bytes = read(path, sha256 === undefined ? headerSize : size);
  if (bytes === undefined) return;
  checkHeader(new DataView(bytes.buffer, bytes.byteOffset, headerSize), size);
  if (sha256 === undefined) return;
  const found = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  if (found !== sha256) throw new Error(`its SHA-256 is ${found}, the package's is ${sha256}`);
}

/** The section table, which linkers write last, must be inside. */
function checkHeader(header: DataView, size: number): void {
  if (process.platform !== "linux") return;
  if (header.getUint32(0) !== 0x7f454c46) throw new Error("it is not an ELF file");
  const machine = header.getUint16(18, true);
  if (machine !== machines[process.arch]) {
    const name = Object.keys(machines).find((each) => machines[each] === machine);
    throw new Error(`it is for ${name ?? `processor ${machine}`}, this machine is ${process.arch}`);
  }
  const sectionsOffset = Number(header.getBigUint64(40, true));
  const sectionsSize = header.getUint16(58, true) * header.getUint16(60, true);
  const missing = sectionsOffset + sectionsSize - size;
  if (missing > 0) throw new Error(`its last ${missing} bytes are missing`);
}

/** The first `size` bytes. Bun maps only what this user may write; else the file is read. */
function read(path: string, size: number): Uint8Array | undefined {
  try {
    return Bun.mmap(path, { shared: false, size });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code !== "EACCES" && code !== "EROFS" && code !== "EPERM") throw error;
    return process.getBuiltinModule("node:fs").readFileSync(path);
  }
}
