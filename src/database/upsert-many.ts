/**
 * Many rows at once: encoded as write records into memory that the engine reads, one call and one
 * transaction per batch, or one call per batch within a transaction.
 */
import { layouts } from "../ffi/layouts.gen.ts";
import type { TableBinding } from "../session/catalog.ts";
import type { Status } from "../ffi/abi.gen.ts";
import { encodeNewest, type NewestBy } from "../schema/newest.ts";
import { checkOptions } from "./options.ts";
import type { Scope } from "./scope.ts";
import { words } from "../session/session.ts";

export interface BatchOptions {
  /** Rows per transaction, 1 to 1,000,000. Default 1,024. */
  readonly batch?: number | undefined;
  /**
   * A row whose value in this column is below the stored one's is dropped and counted `stale`. In
   * object form each stamp has columns of its own, which alone are dropped: see `NewestBy`.
   */
  readonly newestBy?: NewestBy | undefined;
}

/** What became of rows; the counts add up to them. */
export interface WriteCounts {
  readonly inserted: number;
  readonly updated: number;
  /** Had the same values already. */
  readonly unchanged: number;
  /** Older than the stored row by `newestBy`, and dropped. */
  readonly stale: number;
}

const batchDefault = 1_024;
const batchMax = 1_000_000;
const newestGroupSize = layouts.NewestGroup.size;
/** Its bytes are passed where there are no groups. */
const newestNone = new Uint8Array(newestGroupSize);

/**
 * Upserts `rows` in batches. **Throws** what an upsert throws; batches before the failing one are
 * committed, the failing one is not. `RangeError` for a wrong option.
 */
export function upsertMany(
  scope: Scope,
  binding: TableBinding,
  rows: Iterable<object>,
  options: BatchOptions,
): WriteCounts {
  checkOptions("upsertMany", options, ["batch", "newestBy"]);
  const { batch = batchDefault, newestBy } = options;
  if (!Number.isInteger(batch) || batch < 1 || batch > batchMax) {
    throw new RangeError(`batch is a number of rows from 1 to ${batchMax}, not ${batch}`);
  }
  const newest = encodeNewest(binding.definition, newestBy);
  const sum = { inserted: 0, updated: 0, unchanged: 0, stale: 0 };
  const add = (counts: WriteCounts): void => {
    sum.inserted += counts.inserted;
    sum.updated += counts.updated;
    sum.unchanged += counts.unchanged;
    sum.stale += counts.stale;
  };
  const room = binding.records.roomFor(batch);
  const buffer = binding.records.take(room);
  try {
    const { memory, stride, encoder } = buffer;
    const write = (count: number): void => {
      const records = memory.u8.subarray(0, count * stride);
      add(writeRecords(scope, binding, records, count, newest));
    };
    let count = 0;
    for (const row of rows) {
      encoder.record(row, count * stride);
      if (++count < room) continue;
      write(count);
      count = 0;
    }
    if (count > 0) write(count);
  } finally {
    binding.records.give(buffer);
  }
  return sum;
}

/** Upserts `count` records at a multiple of 8. **Throws** like an upsert; none is in then. */
export function writeRecords(
  scope: Scope,
  { id, definition }: TableBinding,
  records: Uint8Array,
  count: number,
  newest: Uint8Array | undefined,
): WriteCounts {
  const tx = scope.useToWrite();
  const { session } = scope.handle;
  const { calls, handle, u32 } = session;
  const groups = newest ?? newestNone;
  const groupCount = newest === undefined ? 0 : newest.length / newestGroupSize;
  const call = (): Status =>
    calls.aerostore_rows_write(handle, tx, id, records, records, count, groups, groups, groupCount);
  session.run({ attempted: "upserting rows", table: definition.name }, call);
  const counts = {
    inserted: u32[words.inserted] ?? 0,
    updated: u32[words.updated] ?? 0,
    unchanged: u32[words.unchanged] ?? 0,
    stale: u32[words.stale] ?? 0,
  };
  scope.wrote();
  return counts;
}
