/** The built-in table of aircraft states: what the command line and TSV ingest use by default. */
import { type ColumnBuilder, t } from "../schema/column.ts";
import { defineTable, type ShapeOf, type TableDefinition } from "../schema/table.ts";

/** The columns of `FlightState`, in the order of the TSV feed. */
export type FlightColumns = {
  flight_id: ColumnBuilder<string, string, "key">;
  lat: ColumnBuilder<number, number | string, "required">;
  lon: ColumnBuilder<number, number | string, "required">;
  altitude: ColumnBuilder<number, number, "required">;
  gs: ColumnBuilder<number, number, "required">;
  updated_at: ColumnBuilder<number | bigint, number | bigint, "required">;
};

export const FlightState: TableDefinition<ShapeOf<FlightColumns>> = defineTable("FlightState", {
  flight_id: t.string(24).alias("flight", "ident").primaryKey(),
  lat: t.decimal(6).asNumber().index(),
  lon: t.decimal(6).asNumber().alias("long", "longitude").index(),
  altitude: t.i32().alias("alt").index(),
  gs: t.u16().alias("groundspeed").index(),
  updated_at: t.u64().alias("updated", "ts").index(),
});
