/**
 * The built-in table of airframes, by their 24-bit address: what receivers, OpenSky and BaseStation
 * have in common. Feet, knots, feet a minute, degrees.
 */
import { type ColumnBuilder, t } from "../schema/column.ts";
import { defineTable, type ShapeOf, type TableDefinition } from "../schema/table.ts";

type Optional<Read, Write = Read> = ColumnBuilder<Read | null, Write | null, "optional">;

/** The columns of `Aircraft`. */
export type AircraftColumns = {
  hex: ColumnBuilder<string, string, "key">;
  flight: Optional<string>;
  lat: Optional<number, number | string>;
  lon: Optional<number, number | string>;
  altitude: Optional<number>;
  geom_altitude: Optional<number>;
  gs: Optional<number, number | string>;
  track: Optional<number, number | string>;
  vertical_rate: Optional<number>;
  squawk: Optional<string>;
  emergency: Optional<string>;
  category: Optional<string>;
  registration: Optional<string>;
  type: Optional<string>;
  on_ground: Optional<boolean>;
  updated_at: Optional<number, number | Date>;
  position_at: Optional<number, number | Date>;
  source: Optional<string>;
  rssi: Optional<number, number | string>;
};

/**
 * One row for each airframe. `hex` is in lower case; an address that is no ICAO one keeps its `~`.
 * `updated_at` is the time of the last message, `position_at` that of `lat` and `lon`.
 */
export const Aircraft: TableDefinition<ShapeOf<AircraftColumns>> = defineTable(
  "Aircraft",
  {
    hex: t.string(12).alias("icao24").primaryKey(),
    flight: t.string(16).alias("callsign").nullable().index(),
    lat: t.decimal(6).asNumber().alias("latitude").nullable().index(),
    lon: t.decimal(6).asNumber().alias("longitude").nullable().index(),
    altitude: t.i32().alias("alt_baro").nullable().index(),
    geom_altitude: t.i32().alias("alt_geom").nullable(),
    gs: t.decimal(1).asNumber().nullable().index(),
    track: t.decimal(2).asNumber().nullable(),
    vertical_rate: t.i32().alias("baro_rate").nullable(),
    squawk: t.string(8).nullable().index(),
    emergency: t.string(16).nullable(),
    category: t.string(8).nullable(),
    registration: t.string(16).alias("r").nullable(),
    type: t.string(16).alias("t").nullable(),
    on_ground: t.bool().nullable(),
    updated_at: t.timestamp().nullable().index(),
    position_at: t.timestamp().nullable(),
    source: t.string(24).nullable(),
    rssi: t.decimal(1).asNumber().nullable(),
  },
  { geo: { position: ["lat", "lon"] } },
);
