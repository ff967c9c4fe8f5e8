/** The table of the micro suites, and rows for it. */
import { defineTable, t } from "aerostore";
import type { Database } from "aerostore";
import { makeFleet } from "../workloads/flight.ts";
import type { Flight } from "../workloads/flight.ts";

export const Flights = defineTable("Flights", {
  flight_id: t.string(24).primaryKey(),
  lat: t.decimal(6),
  lon: t.decimal(6),
  altitude: t.i32().index(),
  gs: t.i32(),
  updated_at: t.i64().index(),
});

/** A power of two, so that a mask goes round. */
const rowCount = 8_192;

export const rowMask: number = rowCount - 1;

/** Fills the table, once; the rows that are in it. */
export function fill(db: Database): readonly Flight[] {
  const rows = makeFleet(rowCount, 1);
  const table = db.table(Flights);
  if (table.count() === 0) table.upsertMany(rows);
  return rows;
}

/** The row at a place, round and round. */
export function rowAt(rows: readonly Flight[], index: number): Flight {
  const row = rows[index & rowMask];
  if (row === undefined) throw new RangeError("no row");
  return row;
}
