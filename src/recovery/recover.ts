/**
 * Recovery of a data directory into a segment that nobody else knows yet: the engine's loops over
 * checkpoint, log and indexes, in slices, so that the event loop turns and progress is told.
 */
import { accessSync, constants, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AerostoreError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { callFlags, RecoveryPhase as PhaseNumber } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { getField, nameOf } from "../ffi/struct.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { errorFromStatus } from "../ffi/status.ts";
import { checkpointReason, logReason } from "./reasons.ts";

export type RecoveryPhase = keyof typeof PhaseNumber;

/** Where recovery stands. */
export interface RecoveryProgress {
  readonly phase: RecoveryPhase;
  readonly tables: number;
  readonly rowsLoaded: number;
  readonly recordsReplayed: number;
  /** Bytes of the files of this phase, and how many of them are read. */
  readonly sizeBytes: number;
  readonly doneBytes: number;
  readonly truncatedBytes: number;
}

const { fields, size: reportSize } = layouts.RecoveryReport;
const sliceMs = 20;
/**
 * The kernel's memory of the files is dropped before they are read: after a failed sync it shows
 * what the disk does not have, and what is gone cannot say whether a sync had failed.
 */
const distrustCache: number = callFlags.recoveryDistrustCache;

/**
 * Recovers `directory` into the segment of `handle`. Gives the progress of each slice; the last one
 * has the phase `done`.
 *
 * **Throws** `WAL_CORRUPT` and `CHECKPOINT_CORRUPT` with file and offset, `SEGMENT_FULL`,
 * `PERMISSION`, `IO_ERROR`.
 */
export function* recover(
  calls: Symbols,
  handle: number,
  directory: string,
): Generator<RecoveryProgress, void> {
  const report = new Uint8Array(new ArrayBuffer(reportSize));
  const opened = calls.aerostore_recovery_open(handle, distrustCache);
  if (opened !== Status.ok) throw failure(opened, directory, report);
  while (true) {
    const status = calls.aerostore_recovery_step(handle, sliceMs, report);
    if (status !== Status.ok) throw failure(status, directory, report);
    const progress = readProgress(report);
    yield progress;
    if (progress.phase === "done") return;
  }
}

function readProgress(report: Uint8Array<ArrayBuffer>): RecoveryProgress {
  const view = new DataView(report.buffer);
  const number = (field: { readonly offset: number }): number =>
    view.getFloat64(field.offset, true);
  return {
    phase: nameOf(PhaseNumber, getField(view, 0, fields.phase)) ?? "checkpoint",
    tables: view.getUint32(fields.tables.offset, true),
    rowsLoaded: number(fields.rows_loaded),
    recordsReplayed: number(fields.records_replayed),
    sizeBytes: number(fields.size),
    doneBytes: number(fields.done_size),
    truncatedBytes: number(fields.truncated_size),
  };
}

function failure(status: Status, directory: string, report: Uint8Array<ArrayBuffer>): Error {
  switch (status) {
    case Status.wal_corrupt:
      return damaged("WAL_CORRUPT", logReason, directory, report);
    case Status.checkpoint_corrupt:
      return damaged("CHECKPOINT_CORRUPT", checkpointReason, directory, report);
    case Status.permission:
      return refused(directory);
    default:
      return errorFromStatus(status, { attempted: "recovering a database", path: directory });
  }
}

/** The engine does not say which file it may not have: the first that nobody could read. */
function refused(directory: string): Error {
  for (const name of readdirSync(directory).sort()) {
    if (!/^(aerostore\.(wal|epoch)|occ_checkpoint\.dat)/.test(name)) continue;
    const path = join(directory, name);
    if (!lstatSync(path).isFile()) {
      const message =
        `recovering a database from ${path}: it is a directory, a symbolic link or another ` +
        "special file; move it away, and restore the file from a backup";
      return new AerostoreError("PERMISSION", message, { path });
    }
    try {
      accessSync(path, constants.R_OK);
    } catch {
      return errorFromStatus(Status.permission, { attempted: "recovering a database", path });
    }
  }
  return errorFromStatus(Status.permission, {
    attempted: "recovering a database",
    path: directory,
  });
}

function damaged(
  code: ErrorCode,
  reasonOf: (number: number) => string,
  directory: string,
  report: Uint8Array<ArrayBuffer>,
): AerostoreError {
  const view = new DataView(report.buffer);
  const nameSize = view.getUint32(fields.fault_name_size.offset, true);
  const nameAt = fields.fault_name.offset;
  const name = new TextDecoder().decode(report.subarray(nameAt, nameAt + nameSize));
  const offset = view.getFloat64(fields.fault_offset.offset, true);
  const reason = reasonOf(view.getUint32(fields.fault_reason.offset, true));
  const path = join(directory, name);
  const backup = "restore the data directory from a backup";
  const advice =
    code === "WAL_CORRUPT"
      ? `${backup}, or give up what is behind that place: ` +
        `aerostore recover --dir ${directory} --truncate-at ${name}:${offset}`
      : backup;
  const message = `recovering a database from ${path}: ${reason} (at byte ${offset}); ${advice}`;
  return new AerostoreError(code, message, { path, offset });
}
