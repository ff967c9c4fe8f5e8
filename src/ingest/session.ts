/**
 * What ingest needs of the engine: a native parser over shared buffers, and a commit of what it
 * parsed. The runtime implements it over the library; tests implement it in a few lines.
 */
import type { AerostoreError } from "../errors.ts";
import type { AnyTable } from "../schema/table.ts";

/** Bytes of a `Reject` (zig/ingest/reject.zig) and of a `Result` (zig/ingest/parser.zig). */
export const rejectSize = 24;
export const resultSize = 40;

/** Why `parse` returned, as `Result.stop` says it. */
export const stopInput = 0;
export const stopRecords = 1;
export const stopRejects = 2;

/**
 * The memory between ingest and the native parser. Explicit `ArrayBuffer`s, allocated by ingest and
 * kept for as long as the session: their addresses may be taken once.
 */
export interface IngestMemory {
  /** Raw bytes of the source. */
  readonly input: ArrayBuffer;
  /** Write records, one after the other (docs/internals/row-image.md, law 7). */
  readonly records: ArrayBuffer;
  /** u64 by record: the line that it came from. */
  readonly lines: ArrayBuffer;
  /** `Reject`s. */
  readonly rejects: ArrayBuffer;
  /** One `Result`. */
  readonly result: ArrayBuffer;
}

/** A record that the table would not take; the others of its batch are in. */
export interface Refusal {
  /** Position in the batch, from 0. */
  readonly index: number;
  readonly error: AerostoreError;
}

/** What one batch did; the counts and the refusals add up to its records. */
export interface BatchOutcome {
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  /** Older than the stored row by the `newestBy` column, and dropped. */
  readonly stale: number;
  readonly refused: readonly Refusal[];
}

/** One stream being read into one table. */
export interface IngestSession extends Disposable {
  /**
   * Runs the native parser over `size` bytes of `input` from `start`; `recordCount` records are in
   * `records` already, new ones go behind them. The outcome is in `result`; offsets of rejects count
   * from `start`.
   */
  parse(start: number, size: number, final: boolean, recordCount: number): void;
  /** Upserts the first `recordCount` records as one transaction, retrying conflicts. */
  commit(recordCount: number): BatchOutcome;
}

export interface IngestEngine {
  readonly table: AnyTable;
  /**
   * Begins a stream. `plan` is copied. With `newestBy` (a column's position) a record whose value
   * there is below the stored row's is stale.
   */
  begin(
    plan: Uint8Array<ArrayBuffer>,
    memory: IngestMemory,
    newestBy: number | undefined,
  ): IngestSession;
}
