/** What must be in the database, computed again from the feed, and whether it is. */
import type { FlightState } from "../flight/flight-state.ts";
import type { Table } from "../database/table.ts";
import { FlightFeed, type FlightPosition } from "./feed.ts";
import { feedStart, timeOfTick } from "./messages.ts";
import { position, searches } from "./searcher.ts";

type Flights = Table<typeof FlightState.$shape>;

/** A writer's part of the feed, and how far it came. */
export interface Progress {
  readonly index: number;
  readonly of: number;
  /** The last tick that was acknowledged; -1 for none. */
  readonly lastTick: number;
}

/** What a killed writer left behind. */
export interface Aftermath {
  /** Rows that it had acknowledged, all found. */
  readonly acknowledged: number;
  /** Transactions of the tick it was in: committed in whole, and not at all. */
  readonly wholeBatches: number;
  readonly absentBatches: number;
}

/**
 * Looks for everything that a killed writer acknowledged, and for halves of transactions. Must run
 * before anybody else writes that share. **Throws** `Error` for a row lost or a transaction torn.
 */
export function inspectAftermath(
  flights: Flights,
  aircraft: number,
  { index, of, lastTick }: Progress,
  batch: number,
): Aftermath {
  const feed = new FlightFeed({ aircraft, share: { index, of }, startAt: feedStart });
  const acknowledged = lastTick < 0 ? [] : feed.positionsAt(timeOfTick(lastTick));
  for (const expected of acknowledged) {
    const row = flights.get(expected.flight_id);
    if (row === undefined || Number(row.updated_at) < expected.updated_at) {
      throw new Error(`${expected.flight_id} was acknowledged and is lost`);
    }
  }
  const next = feed.positionsAt(timeOfTick(lastTick + 1));
  let wholeBatches = 0;
  let absentBatches = 0;
  for (let at = 0; at < next.length; at += batch) {
    const rows = next.slice(at, at + batch);
    const found = rows.filter((expected) => isStored(flights, expected)).length;
    if (found === rows.length) wholeBatches += 1;
    else if (found === 0) absentBatches += 1;
    else throw new Error(`a transaction is torn: ${found} of ${rows.length} rows are there`);
  }
  return { acknowledged: acknowledged.length, wholeBatches, absentBatches };
}

function isStored(flights: Flights, expected: FlightPosition): boolean {
  const row = flights.get(expected.flight_id);
  return row !== undefined && isSame(position(row), expected);
}

function isSame(a: FlightPosition, b: FlightPosition): boolean {
  return (
    a.flight_id === b.flight_id &&
    a.lat === b.lat &&
    a.lon === b.lon &&
    a.altitude === b.altitude &&
    a.gs === b.gs &&
    a.updated_at === b.updated_at
  );
}

/** The last state of every flight that any share has reported. */
export function recompute(aircraft: number, shares: readonly Progress[]): FlightPosition[] {
  const states = new Map<string, FlightPosition>();
  for (const { index, of, lastTick } of shares) {
    const feed = new FlightFeed({ aircraft, share: { index, of }, startAt: feedStart });
    for (let tick = 0; tick <= lastTick; tick++) {
      for (const row of feed.positionsAt(timeOfTick(tick))) states.set(row.flight_id, row);
    }
  }
  return [...states.values()];
}

/** What was compared with the recomputed state. */
export interface Comparison {
  readonly rows: number;
  readonly searches: number;
  readonly problems: readonly string[];
}

const problemsMax = 10;

/** Compares every row and every search of the tour with `expected`. */
export function compare(flights: Flights, expected: readonly FlightPosition[]): Comparison {
  const problems: string[] = [];
  const note = (problem: string): void => {
    if (problems.length < problemsMax) problems.push(problem);
  };
  let rows = 0;
  const wanted = new Map(expected.map((row) => [row.flight_id, row]));
  for (const found of flights.search("")) {
    rows += 1;
    const row = position(found);
    const same = wanted.get(row.flight_id);
    if (same === undefined || !isSame(row, same)) note(`${row.flight_id} is not as reported`);
    wanted.delete(row.flight_id);
  }
  for (const missing of wanted.keys()) note(`${missing} is missing`);
  for (const { name, query, find } of searches) {
    const found = flights.search(query).toArray().map(position);
    const right = find(expected);
    if (found.length !== right.length || !right.every((row, at) => isFoundIn(row, found, at))) {
      note(`the search "${name}" differs from the recomputed one`);
    }
  }
  return { rows, searches: searches.length, problems };
}

/** Rows of an ordered search stand in their places; the recomputed ones are ordered alike. */
function isFoundIn(row: FlightPosition, found: readonly FlightPosition[], at: number): boolean {
  const there = found[at];
  return there !== undefined && isSame(row, there);
}
