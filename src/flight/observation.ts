/**
 * What was seen of one aircraft, and how it fills a table: the names that columns may have for each
 * thing, whatever the source calls it.
 */
import { AerostoreError } from "../errors.ts";
import { writeString } from "../ingest/json-text.ts";
import type { ReaderTarget } from "../ingest/records.ts";
import type { ColumnDefinition } from "../schema/column.ts";

/** What is known of an aircraft in one observation; what is `undefined` was not observed. */
export interface Observation {
  /** JSON values, as in the text; "null" for what is known to be nothing. */
  readonly hex?: string | undefined;
  readonly flight?: string | undefined;
  readonly lat?: string | undefined;
  readonly lon?: string | undefined;
  readonly altitude?: string | undefined;
  readonly geom_altitude?: string | undefined;
  readonly gs?: string | undefined;
  readonly track?: string | undefined;
  readonly vertical_rate?: string | undefined;
  readonly squawk?: string | undefined;
  readonly emergency?: string | undefined;
  readonly category?: string | undefined;
  readonly registration?: string | undefined;
  readonly type?: string | undefined;
  readonly on_ground?: string | undefined;
  readonly source?: string | undefined;
  readonly rssi?: string | undefined;
  /** Milliseconds since 1970. */
  readonly updatedMs?: number | undefined;
  readonly positionMs?: number | undefined;
  /** The members of the record by the source's own names. */
  readonly own: ReadonlyMap<string, string>;
}

type Fact = Exclude<keyof Observation, "own" | "updatedMs" | "positionMs">;
type Get = (seen: Observation, column: ColumnDefinition) => string | undefined;

const fact =
  (name: Fact): Get =>
  (seen) =>
    seen[name];

/** The callsign, else the address. */
const identity: Get = ({ flight, hex }) =>
  flight === undefined || flight === "null" ? hex : flight;

const altitude: Get = (seen, column) => {
  // A column that cannot be null has 0 for an aircraft on the ground.
  if (seen.altitude === "null" && !column.nullable) return "0";
  return seen.altitude;
};

/** For a table with one altitude: the geometric one where no other is known. */
const anyAltitude: Get = (seen, column) => altitude(seen, column) ?? seen.geom_altitude;

const timeOf =
  (name: "updatedMs" | "positionMs"): Get =>
  (seen, column) => {
    const millis = seen[name];
    if (millis === undefined) return undefined;
    if (column.kind === "timestamp") return String(Math.round(millis));
    return (millis / 1000).toFixed(3);
  };

const updated = timeOf("updatedMs");

/** What columns may be called. */
const gets: ReadonlyMap<string, Get> = new Map([
  ["flight_id", identity],
  ["ident", identity],
  ["callsign", fact("flight")],
  ["hex", fact("hex")],
  ["icao24", fact("hex")],
  ["lat", fact("lat")],
  ["latitude", fact("lat")],
  ["lon", fact("lon")],
  ["long", fact("lon")],
  ["longitude", fact("lon")],
  ["altitude", altitude],
  ["alt", altitude],
  ["alt_baro", altitude],
  ["geom_altitude", fact("geom_altitude")],
  ["alt_geom", fact("geom_altitude")],
  ["gs", fact("gs")],
  ["groundspeed", fact("gs")],
  ["track", fact("track")],
  ["heading", fact("track")],
  ["vertical_rate", fact("vertical_rate")],
  ["baro_rate", fact("vertical_rate")],
  ["squawk", fact("squawk")],
  ["emergency", fact("emergency")],
  ["category", fact("category")],
  ["registration", fact("registration")],
  ["on_ground", fact("on_ground")],
  ["source", fact("source")],
  ["rssi", fact("rssi")],
  ["updated_at", updated],
  ["updated", updated],
  ["ts", updated],
  ["timestamp", updated],
  ["position_at", timeOf("positionMs")],
]);

interface Filled {
  readonly column: ColumnDefinition;
  readonly get: Get;
}

/** How observations fill a table. */
export interface Mapping {
  /** The JSON object of an observation, with the names of columns. */
  readonly line: (seen: Observation) => string;
}

/**
 * Finds what fills each column of a table: a column that was named for a member takes that, one
 * with a name that is known here takes what it means, and any other the member of its name or
 * alias.
 *
 * **Throws** `UNKNOWN_FIELD` when the key can only be filled by a name that no source has.
 */
export function mapObservations({ table, names }: ReaderTarget, source: string): Mapping {
  const given = new Map<string, string[]>();
  for (const [name, to] of names) {
    if (to !== null) given.set(to, [...(given.get(to) ?? []), name]);
  }
  const hasGeometric = ["geom_altitude", "alt_geom"].some((name) => table.find(name) !== undefined);
  const filled = table.columns.map((column): Filled => {
    const members = given.get(column.name);
    const own = [column.name, ...column.aliases].filter((name) => names.get(name) !== null);
    if (members !== undefined) return { column, get: ownOf(members) };
    const get = getOf(column, own);
    return { column, get: get === altitude && !hasGeometric ? anyAltitude : get };
  });
  const key = [table.key.name, ...table.key.aliases];
  if (!given.has(table.key.name) && !key.some((name) => isIdentity(name))) {
    throw new AerostoreError(
      "UNKNOWN_FIELD",
      `${source} data has nothing for "${table.key.name}", the primary key of ${table.name}; ` +
        "name or alias it hex, icao24, flight_id or callsign",
      { table: table.name, column: table.key.name },
    );
  }
  const prefixes = filled.map(({ column }) => `${writeString(column.name)}:`);
  return {
    line: (seen) => {
      let out = "";
      for (const [index, { column, get }] of filled.entries()) {
        const value = get(seen, column);
        if (value === undefined || (value === "null" && !column.nullable)) continue;
        out += `${out === "" ? "{" : ","}${prefixes[index] ?? ""}${value}`;
      }
      return out === "" ? "{}" : `${out}}`;
    },
  };
}

function isIdentity(name: string): boolean {
  return ["flight_id", "flight", "ident", "callsign", "hex", "icao24"].includes(name);
}

function getOf(column: ColumnDefinition, names: readonly string[]): Get {
  // A designator of the type is "t" in most sources; "type" there is the kind of message.
  if (names.includes("type") && names.includes("t")) return fact("type");
  for (const name of names) {
    if (name === "flight") return column.position === 0 ? identity : fact("flight");
    const get = gets.get(name);
    if (get !== undefined) return get;
  }
  return ownOf(names);
}

function ownOf(names: readonly string[]): Get {
  return ({ own }, column) => {
    for (const name of names) {
      const value = own.get(name);
      if (value === undefined) continue;
      // A list or an object is text for a column of text.
      const isList = value.startsWith("[") || value.startsWith("{");
      return isList && column.kind === "string" ? textOfLatin(value) : value;
    }
    return undefined;
  };
}

function textOfLatin(latin: string): string {
  return writeString(Buffer.from(latin, "latin1").toString("utf8"));
}

/** Earliest and latest time that an observation of aircraft may have. */
const earliestMs = Date.UTC(2000, 0, 1);
const latestMs = Date.UTC(2100, 0, 1);

/** Whether a time can be one of an observation. */
export function isPlausible(millis: number): boolean {
  return millis >= earliestMs && millis < latestMs;
}

/** What is said of a time that cannot be. */
export function implausible(name: string, given: string): string {
  return `"${name}" is ${given}, which is no time from 2000 to 2100 in seconds or milliseconds`;
}

/** The time that a number stands for: seconds, milliseconds, microseconds or nanoseconds. */
export function millisOf(value: number): number {
  const size = Math.abs(value);
  if (size < 1e11) return value * 1e3;
  if (size < 1e14) return value;
  return size < 1e17 ? value / 1e3 : value / 1e6;
}
