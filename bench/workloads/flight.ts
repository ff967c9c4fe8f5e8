/** Flights: rows of six columns, and a fleet that follows from a seed. */
import { Random } from "../harness/random.ts";
import { flat, foldDecimal, foldText, mix } from "./model.ts";
import type { Column, Shape } from "./model.ts";

export interface Flight {
  readonly flight_id: string;
  readonly lat: number;
  readonly lon: number;
  readonly altitude: number;
  readonly gs: number;
  readonly updated_at: number;
}

type FlightColumn = Exclude<keyof Flight, "flight_id">;

const columns: readonly Column[] = [
  { name: "flight_id", kind: "string", size: 24 },
  { name: "lat", kind: "decimal", scale: 6 },
  { name: "lon", kind: "decimal", scale: 6 },
  { name: "altitude", kind: "i32" },
  { name: "gs", kind: "i32" },
  { name: "updated_at", kind: "i64", growing: true },
];

/** Flights with these columns indexed. */
export function flightShape(indexed: readonly FlightColumn[]): Shape<Flight> {
  const names: readonly string[] = indexed;
  return {
    name: "flights",
    columns: columns.map((column) => ({ ...column, indexed: names.includes(column.name) })),
    values: (row) => [row.flight_id, row.lat, row.lon, row.altitude, row.gs, row.updated_at],
    make: ([id, lat, lon, altitude, gs, at]) => ({
      flight_id: String(id),
      lat: Number(lat),
      lon: Number(lon),
      altitude: Number(altitude),
      gs: Number(gs),
      updated_at: Number(at),
    }),
    fold: foldFlight,
  };
}

export function foldFlight(row: Flight): number {
  let sum = mix(foldText(row.flight_id), foldDecimal(row.lat));
  sum = mix(sum, foldDecimal(row.lon));
  sum = mix(sum, row.altitude);
  sum = mix(sum, row.gs);
  return mix(sum, row.updated_at | 0);
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const startTime = 1_700_000_000;
const partRows = 100_000;

/** A callsign for each number below 17,000,000; different numbers have different ones. */
export function callsign(index: number): string {
  const airline = (Math.floor(index / 1_000) * 7_919) % 17_576;
  const letter = (place: number): string => letters.charAt(Math.floor(airline / place) % 26);
  return flat(`${letter(676)}${letter(26)}${letter(1)}${index % 1_000}`);
}

/** Whole decimals of six digits. */
function degrees(random: Random, limit: number): number {
  return random.between(-limit * 1e6, limit * 1e6) / 1e6;
}

/** A flight somewhere; `at` makes its time of update. */
export function makeFlight(index: number, at: number, random: Random): Flight {
  return {
    flight_id: callsign(index),
    lat: degrees(random, 90),
    lon: degrees(random, 180),
    altitude: random.between(0, 1_800) * 25,
    gs: random.between(60, 560),
    updated_at: startTime + at,
  };
}

/** `count` flights, no two with the same time of update. */
export function makeFleet(count: number, seed: number): Flight[] {
  return [...makeFleets(count, count, seed)].flat();
}

/** The same in parts of at most `size`, for more than should be held at once. */
export function* makeFleets(count: number, size: number, seed: number): Generator<Flight[]> {
  const random = new Random(seed);
  for (let first = 0; first < count; first += size) {
    const length = Math.min(size, count - first);
    yield Array.from({ length }, (_, index) => makeFlight(first + index, first + index, random));
  }
}

/** The same fleet in parts of a size that memory has room for. */
export function* makeFleetParts(count: number, seed: number): Generator<Flight[], void> {
  const random = new Random(seed);
  for (let from = 0; from < count; from += partRows) {
    const rows = Math.min(partRows, count - from);
    yield Array.from({ length: rows }, (_, at) => makeFlight(from + at, from + at, random));
  }
}

/** Tab-separated lines of updates to a fleet, in time order. */
export function makeFeed(fleet: number, lines: number, seed: number): Uint8Array {
  const random = new Random(seed);
  const parts: string[] = [];
  for (let at = 0; at < lines; at++) {
    const row = makeFlight(random.below(fleet), at, random);
    const place = `${row.lat.toFixed(6)}\t${row.lon.toFixed(6)}`;
    parts.push(`${row.flight_id}\t${place}\t${row.altitude}\t${row.gs}\t${row.updated_at}\n`);
  }
  return Buffer.from(parts.join(""), "latin1");
}
