/** A process of the demo that searches while others write, and checks all that it finds. */
import { open } from "../index.ts";
import { FlightState } from "../flight/flight-state.ts";
import { FlightFeed, type FlightPosition } from "./feed.ts";
import {
  feedStart,
  say,
  type SearcherOptions,
  type SearchFigures,
  StopSignal,
  tickSeconds,
} from "./messages.ts";

const reportMs = 50;

/** One kind of search. */
export interface Search {
  readonly name: string;
  readonly query: string;
  /** What must hold for each row and the row before it, whatever is written meanwhile. */
  readonly isRight: (row: FlightPosition, before: FlightPosition | undefined) => boolean;
  /** The same search without a database. */
  readonly find: (rows: readonly FlightPosition[]) => FlightPosition[];
}

/** The searches of the tour. All have an order, so that they can be compared row by row. */
export const searches: readonly Search[] = [
  {
    name: "top of the sky",
    query: "-compare {> altitude 30000} -sort -altitude -limit 10",
    isRight: (row, before) => row.altitude > 30_000 && row.altitude <= (before?.altitude ?? 1e9),
    find: (rows) =>
      rows
        .filter(({ altitude }) => altitude > 30_000)
        .sort((a, b) => b.altitude - a.altitude || compareIds(a, b))
        .slice(0, 10),
  },
  {
    name: "one airline",
    query: "-compare {match_case flight_id UAL*} -sort flight_id -limit 20",
    isRight: (row, before) => row.flight_id.startsWith("UAL") && isAfter(row, before),
    find: (rows) =>
      rows
        .filter(({ flight_id }) => flight_id.startsWith("UAL"))
        .sort(compareIds)
        .slice(0, 20),
  },
  {
    name: "box over Europe",
    query: "-compare {{range lat 45 50} {range lon 5 10}} -sort flight_id",
    isRight: (row, before) => isOverEurope(row) && isAfter(row, before),
    find: (rows) => rows.filter(isOverEurope).sort(compareIds),
  },
];

function isOverEurope({ lat, lon }: FlightPosition): boolean {
  return lat >= 45 && lat < 50 && lon >= 5 && lon < 10;
}

/** By byte, as the database orders text; callsigns are ASCII. */
function compareIds(a: FlightPosition, b: FlightPosition): number {
  return a.flight_id < b.flight_id ? -1 : a.flight_id > b.flight_id ? 1 : 0;
}

function isAfter(row: FlightPosition, other: FlightPosition | undefined): boolean {
  return other === undefined || compareIds(row, other) > 0;
}

/** What every row of the feed obeys: half of one and half of another would hardly. */
export function isWhole(row: FlightPosition): boolean {
  const { lat, lon, altitude, gs, updated_at } = row;
  const onTick = (updated_at - feedStart) % tickSeconds === 0;
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 && altitude % 25 === 0 && gs < 700 && onTick;
}

/** Searches until it is told to stop. **Throws** when anything found is wrong. */
export async function runSearcher(options: SearcherOptions): Promise<void> {
  const { directory, shmPath, aircraft } = options;
  const stop = new StopSignal();
  await using db = await open(directory, { tables: [FlightState], shmPath });
  const flights = db.table(FlightState);
  const first = new FlightFeed({ aircraft, startAt: feedStart }).positionsAt(feedStart);
  const keys = first.map((row) => row.flight_id);
  const timings = new Map<string, Timings>();
  say({ kind: "ready" });
  let count = 0;
  let saidCount = 0;
  let saidAt = performance.now();
  while (!stop.isStopped) {
    const lookups = timingsOf(timings, "get by key");
    for (let each = 0; each < 20; each++) {
      const key = keys[(count * 7_919 + each * 104_729) % keys.length] ?? "";
      const startedAt = performance.now();
      const row = flights.get(key);
      lookups.add(performance.now() - startedAt, row === undefined ? 0 : 1);
      if (row !== undefined && (row.flight_id !== key || !isWhole(position(row)))) {
        throw new Error(`get ${key} gave ${JSON.stringify(row)}`);
      }
      count++;
    }
    for (const search of searches) {
      const startedAt = performance.now();
      const rows = flights.search(search.query).toArray().map(position);
      timingsOf(timings, search.name).add(performance.now() - startedAt, rows.length);
      rows.forEach((row, at) => {
        if (isWhole(row) && search.isRight(row, rows[at - 1])) return;
        throw new Error(`search ${search.query} gave ${JSON.stringify(row)}`);
      });
      count++;
    }
    if (performance.now() - saidAt > reportMs) {
      say({ kind: "searched", count: count - saidCount });
      saidCount = count;
      saidAt = performance.now();
    }
    await stop.listen();
  }
  say({ kind: "searched", count: count - saidCount });
  const figures = [...timings].map(([name, each]) => [name, each.figures()] as const);
  say({ kind: "done", searches: Object.fromEntries(figures) });
}

/** A row as the feed writes it: its time is a safe number. */
export function position(row: typeof FlightState.$row): FlightPosition {
  return { ...row, updated_at: Number(row.updated_at) };
}

/** Durations of one kind of search. */
class Timings {
  readonly #durations: number[] = [];
  #rows = 0;

  add(ms: number, rows: number): void {
    this.#durations.push(ms);
    this.#rows += rows;
  }

  figures(): SearchFigures {
    const sorted = Float64Array.from(this.#durations).sort();
    const at = (part: number): number => (sorted[Math.floor(sorted.length * part)] ?? 0) * 1000;
    return { count: sorted.length, rows: this.#rows, p50: at(0.5), p99: at(0.99) };
  }
}

function timingsOf(timings: Map<string, Timings>, name: string): Timings {
  const known = timings.get(name);
  if (known !== undefined) return known;
  const fresh = new Timings();
  timings.set(name, fresh);
  return fresh;
}
