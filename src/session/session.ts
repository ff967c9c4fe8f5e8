/**
 * One session of the engine as the runtime sees it: the io block, the calls, and what a status
 * means. Arguments go into `input`, small answers come back in the result words at the start of
 * the block, rows and chunks of bytes in `output`; nothing is allocated per call.
 *
 * The block stays mapped as long as the process lives, so a late access after `close` does no harm.
 */
import { Status } from "../ffi/abi.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { ConflictCause, limits } from "../ffi/constants.gen.ts";
import { memberOf } from "../ffi/struct.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { errorFromStatus } from "../ffi/status.ts";
import type { ErrorDetails } from "../errors.ts";
import { oldestSnapshot } from "./sessions.ts";
import type { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { describeValue, readValue } from "../schema/value.ts";

const block = layouts.IoBlock;
const { fields } = layouts.IoResult;

/** Bytes of the io block. */
export const ioSize: number = block.size;
/** Where a record, a key, plan bytes or text go. */
export const inputAt: number = block.fields.input.offset;
export const inputSize: number = block.fields.input.size;
/** Where images and chunks of bytes come from. */
export const outputAt: number = block.fields.output.offset;
export const outputSize: number = block.fields.output.size;
const errorBytesAt = fields.error_bytes.offset;

type Positions<Name extends string> = Readonly<Record<Name, number>>;

/** Positions of the result words, in the block seen as u32. */
export const words: Positions<
  | "inserted"
  | "updated"
  | "unchanged"
  | "stale"
  | "found"
  | "transaction"
  | "cursor"
  | "rows"
  | "done"
  | "savepoint"
  | "size"
  | "tokenLow"
  | "tokenHigh"
  | "outcome"
  | "cause"
  | "errorTable"
  | "errorColumn"
  | "errorSize"
  | "synchronous"
> = {
  inserted: fields.inserted.offset >> 2,
  updated: fields.updated.offset >> 2,
  unchanged: fields.unchanged.offset >> 2,
  stale: fields.stale.offset >> 2,
  found: fields.found.offset >> 2,
  transaction: fields.transaction.offset >> 2,
  cursor: fields.cursor.offset >> 2,
  rows: fields.rows.offset >> 2,
  done: fields.done.offset >> 2,
  savepoint: fields.savepoint.offset >> 2,
  size: fields.size.offset >> 2,
  tokenLow: fields.token_low.offset >> 2,
  tokenHigh: fields.token_high.offset >> 2,
  outcome: fields.outcome.offset >> 2,
  cause: fields.cause.offset >> 2,
  errorTable: fields.error_table.offset >> 2,
  errorColumn: fields.error_column.offset >> 2,
  errorSize: fields.error_size.offset >> 2,
  synchronous: fields.synchronous.offset >> 2,
};

/** Positions of the result numbers, in the block seen as f64. */
export const numbers: Positions<
  "count" | "csn" | "durableCsn" | "examined" | "readNs" | "testNs" | "sortNs" | "copyNs"
> = {
  count: fields.count.offset >> 3,
  csn: fields.csn.offset >> 3,
  durableCsn: fields.durable_csn.offset >> 3,
  examined: fields.examined.offset >> 3,
  readNs: fields.read_ns.offset >> 3,
  testNs: fields.test_ns.offset >> 3,
  sortNs: fields.sort_ns.offset >> 3,
  copyNs: fields.copy_ns.offset >> 3,
};

/** How long a call that would have to wait is repeated before its caller is told. */
const busyMsMax = 30_000;
/** A snapshot that is younger is not named as the reason for a full segment. */
const heldMsMin = 1_000;
/** What a `SERIALIZATION_FAILURE` was lost on. */
const conflictCauses: Readonly<Record<ConflictCause, string>> = {
  [ConflictCause.none]: "another transaction was in the way",
  [ConflictCause.row]: "another transaction changed a row that this one read or writes",
  [ConflictCause.absent]: "another transaction inserted a row that this one had found absent",
  [ConflictCause.search]: "another transaction changed what a search of this one had found",
  [ConflictCause.wounded]: "another transaction, older than this one, needed its rows",
  [ConflictCause.latch]: "another transaction held a row for too long",
};

/** What a failed call was about, for its message. */
export interface CallSubject extends ErrorDetails {
  /** In the words of the user: `updating`. */
  readonly attempted: string;
  /** Over the usual advice. */
  readonly advice?: string | undefined;
}

/** Names the tables that the engine names by id. */
export interface TableNames {
  tableOf(id: number): AnyTable | undefined;
}

/** Closes sessions that nothing refers to any more, as reloading a program leaves them. */
const forgotten = new FinalizationRegistry<() => void>((close) => close());

/** An attached session. Belongs to one thread. */
export class Session {
  readonly calls: Symbols;
  readonly handle: number;
  /** Views over the io block. */
  readonly memory: Memory;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  /** Set by the catalog. */
  names: TableNames | undefined;
  #isOpen = true;

  constructor(calls: Symbols, handle: number, memory: Memory) {
    this.calls = calls;
    this.handle = handle;
    this.memory = memory;
    this.u32 = memory.u32;
    this.f64 = memory.f64;
    forgotten.register(this, () => calls.aerostore_session_close(handle), this);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Gives the session's slot back. Idempotent. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    forgotten.unregister(this);
    this.calls.aerostore_session_close(this.handle);
  }

  /** Calls, waits while the engine is busy, and **throws** what any status but `ok` means. */
  run(subject: CallSubject, call: () => Status): void {
    this.settle(call(), subject, call);
  }

  /** What `run` does after the first call, for callers that make it themselves. */
  settle(first: Status, subject: CallSubject, again: () => Status): void {
    let status = first;
    const deadline = status === Status.busy ? performance.now() + busyMsMax : 0;
    while (status === Status.busy) {
      if (performance.now() > deadline) {
        const advice = `the engine was busy for ${busyMsMax / 1000} s; look at \`aerostore stats\``;
        throw this.error(Status.lock_timeout, { ...subject, advice });
      }
      status = again();
    }
    if (status !== Status.ok) throw this.error(status, subject);
  }

  /** Of a full segment: the snapshot that keeps old versions from being let go, if there is one. */
  #whatIsHeld(): { readonly found?: string; readonly advice?: string } {
    const oldest = oldestSnapshot(this, limits.sessionCountMax);
    if (oldest === undefined || oldest.snapshotAgeMs < heldMsMin) return {};
    const holder = oldest.pid === process.pid ? "this process" : `process ${oldest.pid}`;
    const seconds = (oldest.snapshotAgeMs / 1000).toFixed(1);
    return {
      found:
        `the shared memory is full, and ${holder} has had a snapshot open for ${seconds} s, ` +
        "which keeps the old version of every row that was changed since",
      advice:
        "end that snapshot (a transaction, a search that was not read to its end, or a " +
        "checkpoint), lower aerostore.snapshot_age_limit_ms, delete rows or raise maxBytes",
    };
  }

  /** The error that the last call ended with. */
  error(status: Status, subject: CallSubject): Error {
    const table = this.names?.tableOf(this.u32[words.errorTable] ?? 0);
    const column = table?.columns[this.u32[words.errorColumn] ?? 0];
    const where = { ...subject, table: table?.name ?? subject.table };
    switch (status) {
      case Status.serialization_failure: {
        const cause = memberOf(ConflictCause, this.u32[words.cause] ?? 0) ?? ConflictCause.none;
        const found = conflictCauses[cause];
        return errorFromStatus(status, { ...where, ...this.#keyOf(table), found });
      }
      case Status.duplicate_key: {
        if (column === undefined || column.position === 0) {
          return errorFromStatus(status, { ...where, ...this.#keyOf(table) });
        }
        const found = "another row has this value, and the column is unique";
        const advice = "change that row first";
        return errorFromStatus(status, { ...where, column: column.name, found, advice });
      }
      case Status.missing_value: {
        const found = "the row is new, and the column has no value, no default and no null";
        const advice = "name it when inserting";
        const name = subject.column ?? column?.name;
        const details = { ...where, ...this.#keyOf(table), column: name, found, advice };
        return errorFromStatus(Status.invalid_value, details);
      }
      case Status.segment_full:
        return errorFromStatus(status, { ...where, ...this.#whatIsHeld() });
      case Status.transaction_too_large: {
        const found = "the transaction does not fit the log";
        const advice = "split it";
        return errorFromStatus(Status.segment_full, { ...where, found, advice });
      }
      case Status.numbers_used_up: {
        const found = "all commit numbers or all epochs of this database's log are used up";
        const advice = "reading works: export the tables and load them into a new directory";
        return errorFromStatus(Status.segment_full, { ...where, found, advice });
      }
      case Status.no_space: {
        const found = "no space is left on the device";
        return errorFromStatus(Status.io_error, { ...where, found, advice: "make room" });
      }
      case Status.log_removed: {
        const found =
          "the log file was removed, renamed or replaced while the database was open, so nothing " +
          "more is committed";
        const advice =
          "put the file back, close all processes that use the database, then open it again; " +
          "without the file, restore a backup";
        return errorFromStatus(status, { ...where, found, advice });
      }
      case Status.not_found:
        return errorFromStatus(Status.io_error, { ...where, found: "there is no such file" });
      case Status.not_regular: {
        const found = "it is a directory, a link or another special file";
        return errorFromStatus(Status.permission, { ...where, found });
      }
      case Status.exists:
        return errorFromStatus(Status.io_error, { ...where, found: "the file exists" });
      default:
        return errorFromStatus(status, where);
    }
  }

  /** The key that the engine names with an error. */
  #keyOf(table: AnyTable | undefined): ErrorDetails {
    const size = this.u32[words.errorSize] ?? 0;
    if (table === undefined || size !== table.key.size) return {};
    const key = readValue(this.memory, errorBytesAt, table.key);
    return { key: key instanceof Uint8Array ? describeValue(key) : (key ?? undefined) };
  }
}
