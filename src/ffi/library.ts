/**
 * The engine, loaded: found, checked against the generated boundary, opened once per thread and
 * never closed (a call after closing would be a segmentation fault).
 */
import { dlopen, suffix } from "bun:ffi";
import { AerostoreError } from "../errors.ts";
import { abiHash, abiVersion, symbolTypes } from "./abi.gen.ts";
import type { Symbols } from "./abi.gen.ts";
import { formatHash, parseManifest, readManifest } from "./manifest.ts";

export interface Library {
  readonly path: string;
  readonly symbols: Symbols;
}

let loaded: Library | undefined;

/**
 * The engine of this process: `AEROSTORE_LIBRARY` if set, else the one built in this checkout.
 * **Throws** `ABI_MISMATCH` when it is missing, stale or not the engine.
 */
export function loadLibrary(): Library {
  loaded ??= openLibrary(findLibrary());
  return loaded;
}

/** Where the engine should be; whether it is there is for `openLibrary` to see. */
export function findLibrary(): string {
  const chosen = process.env["AEROSTORE_LIBRARY"];
  if (chosen !== undefined && chosen !== "") return chosen;
  return Bun.fileURLToPath(new URL(`../../zig-out/lib/libaerostore.${suffix}`, import.meta.url));
}

/** Loads the engine at `path`. **Throws** `ABI_MISMATCH` when it does not fit this code. */
export function openLibrary(path: string): Library {
  try {
    checkWhole(path);
    const symbols = dlopen(path, symbolTypes).symbols as unknown as Symbols;
    if (symbols.aerostore_abi_hash() === abiHash) return { path, symbols };
  } catch (error) {
    throw explain(path, error);
  }
  throw explain(path, undefined);
}

/** Tells an engine of another version, which may lack a symbol, from one that cannot be loaded. */
function explain(path: string, error: unknown): AerostoreError {
  const other = tryReadManifest(path);
  if (other !== undefined && other.hash !== abiHash) {
    const found = `its boundary is ${formatHash(other.hash)} (version ${versionOf(other.text)})`;
    const needed = `this code needs ${formatHash(abiHash)} (version ${abiVersion})`;
    return mismatch(path, `${found}, ${needed}`, error);
  }
  const reason = error instanceof Error ? error.message : String(error);
  return mismatch(path, `it is not an Aerostore engine for this machine (${reason})`, error);
}

function tryReadManifest(path: string): ReturnType<typeof readManifest> | undefined {
  try {
    checkWhole(path);
    return readManifest(path);
  } catch {
    return undefined;
  }
}

/** For a message, so in words when there is none. */
function versionOf(manifest: string): number | string {
  try {
    return parseManifest(manifest).version;
  } catch {
    return "not readable";
  }
}

/**
 * The system's loader faults on a library whose end is missing, so its length is compared with what
 * its header says first: the section table, which linkers write last, must be inside. Mapped, since
 * loading `node:fs` takes longer than all of this.
 */
function checkWhole(path: string): void {
  const { size } = Bun.file(path);
  if (size === 0) throw new Error("there is no such file, or it is empty");
  const bytes = size < headerSize ? new Uint8Array(headerSize) : mapHeader(path);
  if (bytes === undefined) return;
  const header = new DataView(bytes.buffer, bytes.byteOffset, headerSize);
  if (header.getUint32(0) !== 0x7f454c46) {
    if (process.platform === "linux") throw new Error("it is not an ELF file");
    return;
  }
  const sectionsOffset = Number(header.getBigUint64(40, true));
  const sectionsSize = header.getUint16(58, true) * header.getUint16(60, true);
  const missing = sectionsOffset + sectionsSize - size;
  if (missing > 0) throw new Error(`its last ${missing} bytes are missing`);
}

const headerSize = 64;

/** `undefined` for a file that only others may write: Bun maps what it may write, and no more. */
function mapHeader(path: string): Uint8Array | undefined {
  try {
    return Bun.mmap(path, { shared: false, size: headerSize });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "EACCES" || code === "EROFS" || code === "EPERM") return undefined;
    throw error;
  }
}

function mismatch(path: string, found: string, cause?: unknown): AerostoreError {
  const advice =
    "run `bun run build` in the checkout, or point AEROSTORE_LIBRARY at an engine of this version";
  return new AerostoreError("ABI_MISMATCH", `cannot load the engine ${path}: ${found}; ${advice}`, {
    path,
    cause,
  });
}
