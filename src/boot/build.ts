/**
 * What only a boot that makes something needs: directory, identity, an empty segment, recovery.
 * Loaded then, so that a warm attach does without it and `node:fs`.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { limits } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { bootError } from "./failure.ts";
import { encodePath } from "./files.ts";
import type { BootLock } from "./files.ts";
import { identityName, identityText } from "./identity.ts";
import type { Identity } from "./identity.ts";
export { recover } from "../recovery/recover.ts";

export function makeDirectory(path: string): void {
  if (!existsSync(path)) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return;
  }
  if (statSync(path).isDirectory()) return;
  throw new AerostoreError(
    "IO_ERROR",
    `opening the database ${path}: it is a file; name a directory, which is made if it is missing`,
    { path },
  );
}

/**
 * Puts the names of a new data directory, and of all directories above it, on the disk: a power
 * loss would otherwise take the directory with everything in it. Another process may have made
 * them, and died before it came to this.
 */
export function syncAbove(directory: string): void {
  for (let path = directory; dirname(path) !== path; path = dirname(path)) {
    try {
      syncNames(dirname(path));
    } catch (error) {
      // One that we may not read is older than we are; some file systems know no such sync.
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (!/^(EACCES|EPERM|EINVAL)$/.test(code)) throw bootError(Status.io_error, dirname(path));
    }
  }
}

function syncNames(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Whether a data directory has a log or a checkpoint. A new database has nothing to recover. */
export function hasHistory({ at }: BootLock): boolean {
  const directory = `/proc/self/fd/${at}`;
  const known = /^(aerostore\.wal|aerostore\.epoch$|occ_checkpoint\.dat)/;
  return readdirSync(directory).some((name) => known.test(name));
}

/** Stores the identity so that it survives power loss: all of it, or what was there before. */
export function writeIdentity(calls: Symbols, lock: BootLock, identity: Identity): void {
  const name = encodePath(identityName);
  const text = encodePath(identityText(identity));
  const status = calls.aerostore_file_write(lock.at, name, name, text, text);
  if (status !== Status.ok) throw bootError(status, `${lock.directory}/${identityName}`);
}

/** The name under which a segment is built; leftovers of boots that died are removed. */
export function prepareTemporary(segment: string): string {
  const [folder, name] = [dirname(segment), basename(segment)];
  for (const each of readdirSync(folder)) {
    if (each.startsWith(`${name}.`) && /\.\d+\.[0-9a-f]{8}\.tmp$/.test(each)) {
      unlinkSync(join(folder, each));
    }
  }
  const own = crypto.getRandomValues(new Uint8Array(4)).toHex();
  return `${segment}.${process.pid}.${own}.tmp`;
}

/** The error for a data directory that belongs to another user. */
export function ownerError(directory: string): AerostoreError {
  const owner = statSync(directory).uid;
  const user = process.geteuid?.() ?? 0;
  const isForeign = owner !== user;
  return new AerostoreError(
    "PERMISSION",
    isForeign
      ? `opening the database ${directory}: the directory belongs to user ${owner}, this is ` +
          `user ${user}; run it as that user, who could not use files of user ${user}`
      : `opening the database ${directory}: access was refused; the directory and its ` +
          "aerostore.lock must be yours to write",
    { path: directory },
  );
}

export function removeFile(path: string): void {
  unlinkSync(path);
}

/** What a new segment is to be. */
export interface SegmentOptions {
  readonly segmentSize: number;
  readonly sessionCount: number;
  readonly databaseId: string;
  readonly bootId: string;
  readonly lockFile: string;
  /** Real path of the data directory. */
  readonly directory: string;
}

/** The options as the engine takes them. */
export function encodeOptions(options: SegmentOptions): Uint8Array {
  const { fields, size } = layouts.CreateOptions;
  const { segmentSize, sessionCount, databaseId, bootId, lockFile } = options;
  const bytes = Buffer.from(new ArrayBuffer(size));
  const cellsMin = sessionCount * limits.cellsPerSessionMin;
  const cells = Math.max(limits.cellCountDefault, 2 ** Math.ceil(Math.log2(cellsMin)));
  bytes.writeBigUInt64LE(BigInt(segmentSize), fields.size.offset);
  bytes.write(databaseId, fields.database_id.offset, "hex");
  bytes.write(bootId, fields.boot_id.offset, "hex");
  bytes.write(lockFile, fields.lock_file.offset, "hex");
  bytes.writeUInt32LE(sessionCount, fields.session_count.offset);
  bytes.writeUInt32LE(cells, fields.cell_count.offset);
  const directory = Buffer.from(options.directory);
  if (directory.length < fields.directory.size) directory.copy(bytes, fields.directory.offset);
  return bytes;
}
