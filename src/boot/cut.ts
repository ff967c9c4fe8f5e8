/**
 * Cutting a damaged log on explicit order, while nobody has the database open. A copy of all that
 * is cut stays in the data directory.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { bootError } from "./failure.ts";
import { encodePath, kernelBootId, releaseBootLock, takeBootLock } from "./files.ts";
import type { BootLock } from "./files.ts";
import { readIdentity } from "./identity.ts";
import { pathsFor } from "./paths.ts";
import { SegmentProbe } from "./probe.ts";
import { judgeUse } from "./use.ts";

export interface CutRequest {
  readonly directory: string;
  /** The `shmPath` option. */
  readonly shmPath: string | undefined;
  /** Name of a log file in the directory. */
  readonly file: string;
  /** Everything from here on ceases to count. */
  readonly offset: number;
}

export interface CutReport {
  readonly cutBytes: number;
  /** The file's copy; empty when the file as a whole was set aside. */
  readonly copy: string;
  /** Later files, and such whose rest does not reach the checkpoint: renamed to `….kept`. */
  readonly setAsideFiles: number;
  readonly setAsideBytes: number;
}

/**
 * Cuts a log file. **Throws** `LOCK_TIMEOUT` while another process boots the database, `PERMISSION`
 * while somebody uses it or its segment is whole, `IO_ERROR`, `RangeError` for an offset behind the
 * end of the file.
 */
export function cutLog(calls: Symbols, request: CutRequest): CutReport {
  const lock = takeBootLock(calls, request.directory);
  if (lock === Status.not_found) throw noDatabase(request.directory);
  if (lock === Status.busy) {
    throw bootError(Status.lock_timeout, request.directory, "another process is booting it");
  }
  if (typeof lock === "number") throw bootError(lock, request.directory);
  try {
    refuseWhileNeeded(calls, lock, request.shmPath);
    return cut(calls, lock, request);
  } finally {
    releaseBootLock(calls, lock);
  }
}

/** Cutting is for a database whose only other copy, the segment, is gone. */
function refuseWhileNeeded(calls: Symbols, lock: BootLock, shmPath: string | undefined): void {
  const { directory } = lock;
  const identity = readIdentity(calls, lock);
  if (identity === undefined) throw noDatabase(directory);
  const paths = pathsFor(directory, process.cwd(), {
    option: shmPath,
    environment: process.env["AEROSTORE_SHM_PATH"],
    recorded: identity.segment,
  });
  const probe = new SegmentProbe(calls, paths, { identity, bootId: kernelBootId(calls), lock });
  const found = probe.look();
  if (found.kind === "valid") {
    throw new AerostoreError(
      "PERMISSION",
      `cutting the log of ${directory}: its segment ${paths.segment} is whole and has ` +
        "everything; open the database and write a checkpoint instead",
      { path: paths.segment },
    );
  }
  const use = judgeUse(probe, "the log is to be cut");
  if (use.kind === "failed") throw use.error;
}

function cut(calls: Symbols, lock: BootLock, { file, offset }: CutRequest): CutReport {
  const path = join(lock.directory, file);
  // Of the current file's loss the user may say: go on without it.
  const isGivenUp = file === "aerostore.wal" && offset === 0;
  if (!existsSync(`/proc/self/fd/${lock.at}/${file}`) && !isGivenUp)
    throw bootError(Status.not_found, path);
  const name = encodePath(file);
  const { fields, size } = layouts.LogCutReport;
  const bytes = new Uint8Array(new ArrayBuffer(size));
  const status = calls.aerostore_log_cut(lock.at, name, name, offset, bytes);
  if (status === Status.invalid_argument) {
    throw new RangeError(`cutting ${path}: byte ${offset} is behind its end`);
  }
  if (status !== Status.ok) throw bootError(status, path, "it is no log file");
  const view = new DataView(bytes.buffer);
  const copySize = view.getUint32(fields.copy_name_size.offset, true);
  const copyAt = fields.copy_name.offset;
  return {
    cutBytes: view.getFloat64(fields.cut_size.offset, true),
    copy: new TextDecoder().decode(bytes.subarray(copyAt, copyAt + copySize)),
    setAsideFiles: view.getUint32(fields.set_aside_count.offset, true),
    setAsideBytes: view.getFloat64(fields.set_aside_size.offset, true),
  };
}

function noDatabase(directory: string): AerostoreError {
  const message = `cutting the log of ${directory}: there is no database`;
  return new AerostoreError("IO_ERROR", message, { path: directory });
}
