/**
 * Opens a store and asks one question, as a program that has just been started: prints the time
 * that the open took and a number from what was found. `bun bench/harness/first-search.ts '<job>'`
 */
import { loadPeer } from "../peers/index.ts";
import type { OpenOptions, Place } from "../peers/peer.ts";
import { callsign, flightShape, foldFlight } from "../workloads/flight.ts";

export interface FirstSearchJob {
  readonly peer: string;
  readonly place: Place;
  readonly options: OpenOptions;
  readonly rows: number;
}

export interface FirstSearchReport {
  readonly openMs: number;
  readonly found: number;
}

const shape = flightShape(["altitude"]);

const [text = ""] = process.argv.slice(2);
const job = JSON.parse(text) as FirstSearchJob; // written by the process that started this one
const peer = await loadPeer(job.peer);
const start = Bun.nanoseconds();
const store = await peer.open(job.place, [shape], job.options);
const openMs = (Bun.nanoseconds() - start) / 1e6;
const row = await store.table(shape).get(callsign(job.rows - 1));
const report: FirstSearchReport = { openMs, found: row === undefined ? 7 : foldFlight(row) };
console.log(JSON.stringify(report));
await store.close();
process.exit(0);
