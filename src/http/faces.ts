/**
 * Answers that flight programs know: readsb's `aircraft.json` and `receiver.json`, its `re-api`,
 * and OpenSky's `states/all`, all from one table of airframes (`Aircraft`, or its like).
 * Formats: README-json.md of readsb; the REST page of OpenSky.
 */
import type { Database } from "../database/database.ts";
import { bearing, distance, nauticalMile } from "../geo/sphere.ts";
import type { LatLon } from "../geo/sphere.ts";
import type { ColumnValue } from "../schema/column.ts";
import { jsonResponse } from "./content.ts";
import type { Door, DoorRequest, Handler } from "./door.ts";
import { HttpProblem } from "./problem.ts";

export interface FacesOptions {
  /** Default `Aircraft`. */
  readonly table?: string | undefined;
  /** Airframes that were heard in so many milliseconds. Default 60,000, as readsb. */
  readonly maxAgeMs?: number | undefined;
  /** Where the receiver stands, for `receiver.json`. */
  readonly receiver?: LatLon | undefined;
}

type Row = Readonly<Record<string, ColumnValue | undefined>>;
type Clause = readonly [operator: ">" | ">=" | "<=" | "=", column: string, value: number | string];

const tableDefault = "Aircraft";
const maxAgeMsDefault = 60_000;
const metresPerFoot = 0.3048;

/** What all faces read. */
class Sky {
  readonly #db: Database;
  readonly #table: string;
  readonly #maxAgeMs: number;

  constructor(db: Database, { table, maxAgeMs }: FacesOptions) {
    this.#db = db;
    this.#table = table ?? tableDefault;
    this.#maxAgeMs = maxAgeMs ?? maxAgeMsDefault;
  }

  /** Airframes heard lately that satisfy the clauses. */
  find(now: number, clauses: readonly Clause[] = []): readonly Row[] {
    const heard: Clause = [">", "updated_at", now - this.#maxAgeMs];
    return this.#db
      .table(this.#table)
      .search({ compare: [heard, ...clauses] })
      .toArray();
  }

  get commits(): number {
    return this.#db.stats().counters.commits;
  }
}

/** The paths of the faces, each with its handler. */
export function faces(door: Door, options: FacesOptions): Readonly<Record<string, Handler>> {
  const sky = new Sky(door.db, options);
  return {
    "/data/aircraft.json": () => {
      const now = Date.now();
      const aircraft = sky.find(now).map((row) => readsbOf(row, now));
      return uncached({ now: now / 1_000, messages: sky.commits, aircraft });
    },
    "/data/receiver.json": () => {
      const place = options.receiver;
      return uncached({
        version: "aerostore",
        refresh: 1_000,
        history: 0,
        ...(place === undefined ? {} : { lat: place[0], lon: place[1] }),
      });
    },
    "/re-api/": reApi(sky),
    "/states/all": states(sky),
  };
}

/** One of `box=S,N,W,E`, `circle=LAT,LON,NM`, `closest=LAT,LON,NM`, `find_hex`, `find_callsign`. */
function reApi(sky: Sky): Handler {
  return (request) => {
    const now = Date.now();
    const aircraft = reApiAnswer(sky, parametersOf(request), now);
    return uncached({ now: now / 1_000, resultCount: aircraft.length, aircraft });
  };
}

function reApiAnswer(sky: Sky, parameters: URLSearchParams, now: number): readonly object[] {
  const box = numbersOf(parameters, "box", 4);
  if (box !== undefined) {
    const [south = 0, north = 0, west = 0, east = 0] = box;
    return inBox(sky, now, south, north, west, east).map((row) => readsbOf(row, now));
  }
  const circle = numbersOf(parameters, "circle", 3);
  const closest = numbersOf(parameters, "closest", 3);
  const around = circle ?? closest;
  if (around !== undefined) {
    const found = inCircle(sky, now, around);
    return closest === undefined ? found : found.slice(0, 1);
  }
  const hexes = parameters.get("find_hex")?.toLowerCase().split(",");
  if (hexes !== undefined) return findEach(sky, now, "hex", hexes);
  const flights = parameters.get("find_callsign")?.split(",");
  if (flights !== undefined) return findEach(sky, now, "flight", flights);
  if (parameters.has("all")) return sky.find(now).map((row) => readsbOf(row, now));
  throw new HttpProblem(
    400,
    "INVALID_VALUE",
    "re-api takes box=S,N,W,E, circle=LAT,LON,NM, closest=LAT,LON,NM, find_hex, find_callsign, all",
  );
}

function findEach(sky: Sky, now: number, column: string, values: readonly string[]): object[] {
  return values
    .filter((value) => value !== "")
    .flatMap((value) => sky.find(now, [["=", column, value.trim()]]))
    .map((row) => readsbOf(row, now));
}

/** Rows within a box, whose west may lie east of its east: then it crosses the antimeridian. */
function inBox(
  sky: Sky,
  now: number,
  south: number,
  north: number,
  west: number,
  east: number,
): readonly Row[] {
  const lat: readonly Clause[] = [
    [">=", "lat", south],
    ["<=", "lat", north],
  ];
  if (west <= east) return sky.find(now, [...lat, [">=", "lon", west], ["<=", "lon", east]]);
  return [
    ...sky.find(now, [...lat, [">=", "lon", west]]),
    ...sky.find(now, [...lat, ["<=", "lon", east]]),
  ];
}

/** Rows within a circle, the nearest first, with `dst` (nautical miles) and `dir` (degrees). */
function inCircle(
  sky: Sky,
  now: number,
  [lat = 0, lon = 0, miles = 0]: readonly number[],
): object[] {
  const centre: LatLon = [lat, lon];
  // Before anything is looked for: a wrong centre is an error even where nothing is found.
  distance(centre, centre);
  const span = miles / 60;
  const south = Math.max(-90, lat - span);
  const north = Math.min(90, lat + span);
  const rows = sky.find(now, [
    [">=", "lat", south],
    ["<=", "lat", north],
  ]);
  return rows
    .flatMap((row) => {
      const place = placeOf(row);
      if (place === undefined) return [];
      const metres = distance(centre, place);
      return metres > miles * nauticalMile ? [] : [{ row, place, metres }];
    })
    .toSorted((a, b) => a.metres - b.metres)
    .map(({ row, place, metres }) => ({
      ...readsbOf(row, now),
      dst: round(metres / nauticalMile, 3),
      dir: round(bearing(centre, place), 1),
    }));
}

/** An airframe as readsb writes it; members without a value are left out. */
function readsbOf(row: Row, now: number): object {
  const age = (at: ColumnValue | undefined): number | undefined =>
    typeof at === "number" ? round(Math.max(0, now - at) / 1_000, 1) : undefined;
  const flight = row["flight"];
  const members = {
    hex: row["hex"],
    type: row["source"],
    flight: typeof flight === "string" ? flight.padEnd(8) : undefined,
    r: row["registration"],
    t: row["type"],
    alt_baro: row["on_ground"] === true ? "ground" : row["altitude"],
    alt_geom: row["geom_altitude"],
    gs: row["gs"],
    track: row["track"],
    baro_rate: row["vertical_rate"],
    squawk: row["squawk"],
    emergency: row["emergency"],
    category: row["category"],
    lat: row["lat"],
    lon: row["lon"],
    seen_pos: placeOf(row) === undefined ? undefined : age(row["position_at"]),
    seen: age(row["updated_at"]),
    rssi: row["rssi"],
    mlat: [],
    tisb: [],
  };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
}

/** OpenSky's state vectors, with a box by `lamin lomin lamax lomax` and `icao24`. */
function states(sky: Sky): Handler {
  return (request) => {
    const parameters = parametersOf(request);
    const now = Date.now();
    const icao = parameters.getAll("icao24").map((each) => each.toLowerCase());
    const names = ["lamin", "lamax", "lomin", "lomax"];
    const given = names.filter((name) => parameters.has(name));
    if (given.length !== 0 && given.length !== names.length) {
      throw new HttpProblem(400, "INVALID_VALUE", `a box has all of ${names.join(", ")}`);
    }
    const [south = 0, north = 0, west = 0, east = 0] = names.map((name) =>
      numberOf(parameters.get(name) ?? "0", name),
    );
    const all = given.length === 0 ? sky.find(now) : inBox(sky, now, south, north, west, east);
    const rows = icao.length === 0 ? all : all.filter(({ hex }) => icao.includes(String(hex)));
    return uncached({ time: Math.floor(now / 1_000), states: rows.map(stateOf) });
  };
}

function stateOf(row: Row): readonly unknown[] {
  const scaled = (value: ColumnValue | undefined, factor: number): number | null =>
    typeof value === "number" ? round(value * factor, 2) : null;
  const seconds = (value: ColumnValue | undefined): number | null =>
    typeof value === "number" ? Math.floor(value / 1_000) : null;
  const flight = row["flight"];
  return [
    row["hex"],
    typeof flight === "string" ? flight.padEnd(8) : null,
    "",
    seconds(row["position_at"]),
    seconds(row["updated_at"]),
    row["lon"] ?? null,
    row["lat"] ?? null,
    scaled(row["altitude"], metresPerFoot),
    row["on_ground"] === true,
    scaled(row["gs"], nauticalMile / 3_600),
    row["track"] ?? null,
    scaled(row["vertical_rate"], metresPerFoot / 60),
    null,
    scaled(row["geom_altitude"], metresPerFoot),
    row["squawk"] ?? null,
    false,
    0,
  ];
}

function placeOf(row: Row): LatLon | undefined {
  const { lat, lon } = row;
  return typeof lat === "number" && typeof lon === "number" ? [lat, lon] : undefined;
}

function parametersOf(request: DoorRequest): URLSearchParams {
  return new URL(request.url).searchParams;
}

/** Numbers separated by commas. **Throws** `HttpProblem` 400 for another count or text. */
function numbersOf(
  parameters: URLSearchParams,
  name: string,
  count: number,
): readonly number[] | undefined {
  const text = parameters.get(name);
  if (text === null) return undefined;
  const parts = text.split(",");
  if (parts.length !== count) {
    throw new HttpProblem(400, "INVALID_VALUE", `${name} takes ${count} numbers, not "${text}"`);
  }
  return parts.map((part) => numberOf(part, name));
}

function numberOf(text: string, name: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new HttpProblem(400, "INVALID_VALUE", `${name}: "${text}" is no number`);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function uncached(value: object): Response {
  const response = jsonResponse(value);
  response.headers.set("cache-control", "no-store");
  return response;
}
