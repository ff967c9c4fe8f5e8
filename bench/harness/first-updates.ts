/**
 * Opens a store and updates rows at once, as a program that takes over from one that has ended:
 * prints what the first updates took, and as many when the process is warm.
 * `bun bench/harness/first-updates.ts '<job>'`
 */
import { loadPeer } from "../peers/index.ts";
import { flightShape, makeFlight } from "../workloads/flight.ts";
import type { FirstSearchJob } from "./first-search.ts";
import { Random } from "./random.ts";
import { median } from "./results.ts";

export interface FirstUpdatesJob extends FirstSearchJob {
  /** How many are timed together. */
  readonly updates: number;
}

export interface FirstUpdatesReport {
  readonly firstMs: number;
  readonly warmMs: number;
  /** The first after the warm process has opened the store anew. */
  readonly reopenedMs: number;
}

const warmRounds = 9;
const shape = flightShape(["altitude"]);

const [text = ""] = process.argv.slice(2);
const job = JSON.parse(text) as FirstUpdatesJob; // written by the process that started this one
const peer = await loadPeer(job.peer);
const random = new Random(1);
/** Each round moves every row that it updates. */
const rounds = Array.from({ length: 2 }, () =>
  Array.from({ length: job.updates }, (_, at) => makeFlight(at % job.rows, at, random)),
);
let store = await peer.open(job.place, [shape], job.options);

async function update(round: number): Promise<number> {
  const table = store.table(shape);
  const start = Bun.nanoseconds();
  for (const row of rounds[round % 2] ?? []) {
    const done = table.upsert(row);
    if (done instanceof Promise) await done;
  }
  return (Bun.nanoseconds() - start) / 1e6;
}

const firstMs = await update(0);
const later: number[] = [];
for (let round = 1; round <= warmRounds; round++) later.push(await update(round));
await store.settle?.();
await store.close();
store = await peer.open(job.place, [shape], job.options);
const reopenedMs = await update(0);
await store.settle?.();
await store.close();
const warmMs = median(later.slice(warmRounds >> 1));
const report: FirstUpdatesReport = { firstMs, warmMs, reopenedMs };
console.log(JSON.stringify(report));
process.exit(0);
