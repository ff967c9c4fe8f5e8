/** Decides which file is the engine of this process. */
import { suffix } from "bun:ffi";
import { AerostoreError } from "../errors.ts";
import { type ShippedLibrary, shippedLibraries } from "./shipped.ts";

/**
 * Where an engine was found: named by `AEROSTORE_LIBRARY`, inside a compiled program, in the
 * package for this processor, or built by the checkout.
 */
export type LibrarySource = "environment" | "embedded" | "package" | "checkout";

export interface LibraryChoice {
  readonly path: string;
  readonly source: LibrarySource;
  /** What the file must hash to; `undefined` for an engine that is not shipped as a file. */
  readonly sha256: string | undefined;
}

/** The folder of the files that a compiled program carries. */
const embeddedRoot = "/$bunfs/";

/**
 * The engine to load; whether it is there is for `openLibrary` to see. **Throws** `ABI_MISMATCH`
 * where there is none for this machine.
 */
export function chooseLibrary(
  shipped: Readonly<Record<string, ShippedLibrary>> | undefined = shippedLibraries,
  machine: { readonly platform: string; readonly arch: string } = process,
): LibraryChoice {
  const named = process.env["AEROSTORE_LIBRARY"];
  if (named !== undefined && named !== "") {
    return { path: named, source: "environment", sha256: undefined };
  }
  if (shipped === undefined) {
    const path = `${import.meta.dir.slice(0, -"src/ffi".length)}zig-out/lib/libaerostore.${suffix}`;
    return { path, source: "checkout", sha256: undefined };
  }
  const ours = machine.platform === "linux" ? shipped[machine.arch] : undefined;
  if (ours === undefined) {
    const known = Object.keys(shipped).join(" or ");
    throw new AerostoreError(
      "ABI_MISMATCH",
      `cannot load the engine: it runs on Linux on ${known}, and this is ${machine.platform} on ` +
        `${machine.arch}; run this program there, or name another engine in AEROSTORE_LIBRARY`,
    );
  }
  // The program is the container of what it carries: there is no file to compare.
  return ours.path.startsWith(embeddedRoot)
    ? { path: ours.path, source: "embedded", sha256: undefined }
    : { path: ours.path, source: "package", sha256: ours.sha256 };
}
