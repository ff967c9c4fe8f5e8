/** Reads from a library the description that it has of itself. */
import { CString, dlopen, FFIType } from "bun:ffi";

/** A function of the library: names of types as `zig/manifest.zig` writes them. */
export interface ManifestSymbol {
  readonly name: string;
  readonly args: readonly string[];
  readonly returns: string;
}

export interface ManifestEnum {
  readonly name: string;
  readonly tag: string;
  readonly values: Readonly<Record<string, number>>;
}

export interface ManifestField {
  readonly type: string;
  readonly offset: number;
  readonly size: number;
}

export interface ManifestLayout {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly fields: Readonly<Record<string, ManifestField>>;
}

/** Constants of one subject. */
export interface ManifestGroup {
  readonly name: string;
  readonly values: Readonly<Record<string, number>>;
}

export interface Manifest {
  readonly version: number;
  /** Of the layouts: the bytes that a segment's header has, as hexadecimal digits. */
  readonly fingerprint: string;
  readonly symbols: readonly ManifestSymbol[];
  readonly enums: readonly ManifestEnum[];
  readonly layouts: readonly ManifestLayout[];
  readonly constants: readonly ManifestGroup[];
}

/** No manifest is larger; a wild size must not be read. */
const manifestSizeMax = 1 << 20;

/**
 * The manifest of the library at `path`, and its hash as the library has it. **Throws** a plain
 * `Error` when there is no such file, it is not a library for this machine, or it has no manifest.
 * The library stays loaded.
 */
export function readManifest(path: string): { readonly text: string; readonly hash: bigint } {
  const { symbols } = dlopen(path, {
    aerostore_abi_hash: { args: [], returns: FFIType.u64 },
    aerostore_abi_manifest: { args: [], returns: FFIType.ptr },
    aerostore_abi_manifest_size: { args: [], returns: FFIType.u32 },
  });
  const address = symbols.aerostore_abi_manifest();
  const size = symbols.aerostore_abi_manifest_size();
  if (typeof address !== "number" || size === 0 || size > manifestSizeMax) {
    throw new Error(`its manifest is not readable (${size} bytes)`);
  }
  const text = new CString(address, 0, size).toString();
  return { text, hash: symbols.aerostore_abi_hash() };
}

/** As messages show the hash of a boundary. */
export function formatHash(hash: bigint): string {
  return hash.toString(16).padStart(16, "0");
}

/** **Throws** `SyntaxError` when `text` is not JSON. */
export function parseManifest(text: string): Manifest {
  return JSON.parse(text) as Manifest;
}
