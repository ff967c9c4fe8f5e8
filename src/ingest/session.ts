/**
 * What ingest needs of the engine: a native parser over shared buffers, and a commit of what it
 * parsed. The runtime implements it over the library; tests implement it in a few lines.
 */
import { layouts } from "../ffi/layouts.gen.ts";
import type { AnyTable } from "../schema/table.ts";

/** Bytes of a reject and of a result as the native parser writes them. */
export const rejectSize: number = layouts.IngestReject.size;
export const resultSize: number = layouts.IngestResult.size;

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

/** What one batch did; the counts add up to its records. */
export interface BatchCounts {
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  /** Older than the stored row by `newestBy`, and dropped. */
  readonly stale: number;
}

/** One stream being read into one table. */
export interface IngestSession extends Disposable {
  /**
   * Runs the native parser over `size` bytes of `input` from `start`; `recordCount` records are in
   * `records` already, new ones go after them. The outcome is in `result`; offsets of rejects
   * count from `start`.
   */
  parse(start: number, size: number, final: boolean, recordCount: number): void;
  /**
   * Upserts `count` records from record `first` on as one transaction, retrying conflicts.
   * **Throws**, and has done nothing then: `INVALID_VALUE` when a new row lacks a value that it
   * needs, `DUPLICATE_KEY` for a unique column. Ingest finds the record that is to blame.
   */
  commit(first: number, count: number): BatchCounts;
}

export interface IngestEngine {
  readonly table: AnyTable;
  /**
   * Begins a stream. `plan` is copied. `newestBy` has groups of columns with their stamps, as
   * `encodeNewest` makes them: what is older by its stamp than the stored row is left out.
   */
  begin(
    plan: Uint8Array<ArrayBuffer>,
    memory: IngestMemory,
    newestBy: Uint8Array | undefined,
  ): IngestSession;
}
