/**
 * What a transaction is protected against, and what it is not: one reads a range of an index and
 * writes elsewhere, while another changes a row outside or inside of what was read. Outside, both
 * have to commit: an abort is a false conflict. Inside, the reader could still be put first, which
 * some stores find out and some do not. Where the other one has read what the first writes, there
 * is no order, and one of them must lose.
 */
import { Random } from "../harness/random.ts";
import type { Bench, Case, Outcome, Workload } from "../harness/workload.ts";
import type { OpenTx, Store } from "../peers/peer.ts";
import { callsign, flightShape, makeFleet } from "./flight.ts";
import type { Flight } from "./flight.ts";
import type { Query } from "./model.ts";

const shape = flightShape(["updated_at"]);
const startTime = 1_700_000_000;
const read = 20;

const inRange: Query = {
  where: [
    { column: "updated_at", op: ">=", value: 0 },
    { column: "updated_at", op: "<", value: 1 },
  ],
};
/** Reads no further than its last row, though its range goes on. */
const inOrder: Query = {
  where: [{ column: "updated_at", op: ">=", value: 0 }],
  sort: { column: "updated_at", descending: false, distinct: true },
  limit: read,
};

interface Scene {
  readonly name: string;
  /** The row that the other one changes, from the first row read. */
  readonly offset: number;
  readonly limited: boolean;
  /** The other one has read the row that the first writes. */
  readonly crossed: boolean;
}

const scenes: readonly Scene[] = [
  { name: "far", offset: 5_000, limited: false, crossed: false },
  { name: "next row", offset: read, limited: false, crossed: false },
  { name: "beyond the limit", offset: read + 5, limited: true, crossed: false },
  { name: "inside", offset: 5, limited: false, crossed: false },
  { name: "write skew", offset: 5, limited: false, crossed: true },
];

/** Whether the reading transaction lost. */
async function play(store: Store, scene: Scene, fleet: readonly Flight[], first: number) {
  if (store.begin === undefined) throw new Error("the peer has no transactions beside each other");
  const reader = await store.begin();
  const writer = await store.begin();
  const from = startTime + first;
  try {
    const table = reader.table(shape);
    if (scene.limited) await table.search(inOrder, [from]);
    else await table.search(inRange, [from, from + read]);
    const written = (first + 9_000) % fleet.length;
    if (scene.crossed) await writer.table(shape).get(fleet[written]?.flight_id ?? "");
    await change(writer, fleet, (first + scene.offset) % fleet.length);
    await writer.commit();
    await change(reader, fleet, written);
    await reader.commit();
    return false;
  } catch (error) {
    if (store.isConflict?.(error) !== true) throw error;
    for (const tx of [reader, writer]) {
      try {
        await tx.abort();
      } catch {
        // Has ended already.
      }
    }
    return true;
  }
}

let altitude = 0;

async function change(tx: OpenTx, fleet: readonly Flight[], index: number): Promise<void> {
  const row = fleet[index];
  if (row === undefined) throw new RangeError("no such flight");
  await tx.table(shape).upsert({ ...row, altitude: ++altitude });
}

async function run(bench: Bench): Promise<Outcome> {
  const rows = bench.parameters["rows"] ?? 0;
  const pairs = bench.parameters["pairs"] ?? 0;
  const store = await bench.open({ connections: 2 });
  const fleet = makeFleet(rows, bench.settings.seed);
  await store.table(shape).load(fleet);
  const random = new Random(bench.settings.seed);
  const share: Record<string, number> = {};
  const start = Bun.nanoseconds();
  for (const scene of scenes) {
    let lost = 0;
    for (let i = 0; i < pairs; i++) {
      if (await play(store, scene, fleet, random.below(rows - 100))) lost++;
    }
    share[scene.name] = (100 * lost) / pairs;
    if (scene.crossed && lost < pairs) {
      throw new Error(`${pairs - lost} of ${pairs} transactions committed on what had changed`);
    }
  }
  const seconds = (Bun.nanoseconds() - start) / 1e9;
  const found = await store.table(shape).get(callsign(0));
  await store.close();
  return {
    metrics: { ...share, pairs: (scenes.length * pairs) / seconds },
    checksum: found?.gs ?? 0,
  };
}

export const conflicts: Workload = {
  name: "conflicts",
  about: "Transactions lost to a concurrent one that changed a row outside of what they had read",
  metrics: [
    { name: "next row", unit: "%", better: "lower" },
    { name: "far", unit: "%", better: "lower" },
    { name: "beyond the limit", unit: "%", better: "lower" },
    { name: "inside", unit: "%", better: "lower" },
    { name: "write skew", unit: "%", better: "higher" },
    { name: "pairs", unit: "/s", better: "higher" },
  ],
  shapes: [shape],
  cases: ({ smoke }): Case[] => {
    const pairs = smoke ? 5 : 500;
    return [
      {
        name: `${pairs} pairs of transactions`,
        parameters: { rows: 10_000, pairs },
        needs: ["overlap", "search"],
      },
    ];
  },
  run,
};
