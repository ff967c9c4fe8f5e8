/** What a row takes of the segment, and that changing it takes no more. */
import { expect, test } from "bun:test";
import { defineTable, FlightState, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import type { AnyTable } from "../../src/schema/table.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const rowCount = 20_000;
/** Row slot, its share of the map's buckets, version header. */
const overheadMax = 24 + 14 + 16;
/** An entry of a one-word key: 32 bytes and a third of a link more, on average. */
const entryMax = 35.5;

/** Bytes of the segment that writing all rows `rounds` times takes, for each row. */
function bytesPerRow(
  db: Database,
  table: AnyTable,
  rounds: number,
  make: (id: number, round: number) => object,
): number {
  const before = db.stats().memory.usedBytes;
  for (let round = 0; round < rounds; round++) {
    const rows = Array.from({ length: rowCount }, (_, id) => make(id, round));
    db.table(table).upsertMany(rows);
  }
  return (db.stats().memory.usedBytes - before) / rowCount;
}

const Wide = defineTable("wide", {
  id: t.u64().primaryKey(),
  altitude: t.i64().index(),
  at: t.u64().index(),
  count: t.i32().index(),
  payload: t.bytes(128),
});
/** Of the columns: 8 + 8 + 8 + 4 + 128. */
const wideRaw = 156;

test("memory: a row takes image, slot and index entries, however often it changes", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [FlightState], maxBytes: 64 << 20 });
  const make = (id: number, round: number): object => ({
    flight_id: `FLT${id}`,
    lat: ((id * 7_919 + round) % 90_000) / 1_000,
    lon: ((id * 104_729 + round) % 180_000) / 1_000,
    altitude: (id * 37 + round) % 45_000,
    gs: (id + round) % 600,
    updated_at: 1_700_000_000 + id + round,
  });
  const indexCount = FlightState.columns.filter(({ indexed }) => indexed).length;
  const bound = FlightState.imageSize + overheadMax + indexCount * entryMax;
  const loaded = bytesPerRow(db, FlightState, 1, make);
  expect(loaded).toBeLessThan(bound * 1.1);
  expect(bytesPerRow(db, FlightState, 5, make)).toBeLessThan(loaded * 0.25);
});

test("memory: 156 bytes with three numeric indexes take at most 2.5 times as much", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Wide], maxBytes: 64 << 20 });
  const payload = new Uint8Array(128);
  const make = (id: number, round: number): object => ({
    id,
    altitude: (id * 37 + round) % 45_000,
    at: 1_700_000_000 + id + round,
    count: (id + round) % 100,
    payload,
  });
  expect(bytesPerRow(db, Wide, 3, make)).toBeLessThan(2.5 * wideRaw);
});
