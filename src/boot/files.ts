/**
 * The small files that every opening reads, and the boot lock: through the engine, since loading
 * `node:fs` takes longer than a warm attach. What writes files is in `build.ts`.
 */
import { Status } from "../ffi/abi.gen.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { bootError } from "./failure.ts";

const pathSizeMax = 4096;
const fileSizeMax = 8192;

/** A path as the engine takes it. */
export function encodePath(path: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(path);
}

export interface BootLock {
  /** Of the lock file and of the data directory; given back by `releaseBootLock`. */
  readonly descriptor: number;
  /**
   * What is read and written in the data directory is relative to it: a directory that is renamed
   * meanwhile, and another at its path, are not mixed up.
   */
  readonly at: number;
  /** Real path of the data directory. */
  readonly directory: string;
  /** Which file it is, as hexadecimal digits: a copy of the directory has another. */
  readonly lockFile: string;
}

/** Takes the boot lock of a data directory; the status when that is not possible now. */
export function takeBootLock(calls: Symbols, directory: string): BootLock | Status {
  const path = encodePath(directory);
  const real = new Uint8Array(new ArrayBuffer(pathSizeMax));
  const out = new Uint32Array(new ArrayBuffer(12));
  const [, lock, at] = [out, out.subarray(1, 2), out.subarray(2)];
  const file = new BigUint64Array(new ArrayBuffer(8));
  const status = calls.aerostore_boot_lock(path, path, real, real, out, lock, at, file);
  if (status !== Status.ok) return status;
  return {
    descriptor: out[1] ?? 0,
    at: out[2] ?? 0,
    directory: new TextDecoder().decode(real.subarray(0, out[0])),
    lockFile: new Uint8Array(file.buffer).toHex(),
  };
}

export function releaseBootLock(calls: Symbols, { descriptor, at }: BootLock): void {
  calls.aerostore_boot_unlock(descriptor, at);
}

/**
 * A small file as text, in the directory of the descriptor `at`, or of an absolute path;
 * `undefined` when there is none. **Throws** `PERMISSION`, `IO_ERROR`.
 */
export function readSmallFile(calls: Symbols, at: number, path: string): string | undefined {
  const name = encodePath(path);
  const bytes = new Uint8Array(new ArrayBuffer(fileSizeMax));
  const size = new Uint32Array(new ArrayBuffer(4));
  const status = calls.aerostore_file_read(at, name, name, bytes, bytes, size);
  if (status === Status.not_found) return undefined;
  // Too long for what is looked for: the reader says that it is damaged.
  if (status === Status.buffer_too_small) return "";
  if (status !== Status.ok) throw bootError(status, path);
  return new TextDecoder().decode(bytes.subarray(0, size[0]));
}

/** Names this start of the machine: what was in memory before it is gone. */
export function kernelBootId(calls: Symbols): string {
  const text = readSmallFile(calls, 0, "/proc/sys/kernel/random/boot_id") ?? "";
  return text.trim().replaceAll("-", "");
}
