/**
 * The crucible: a fleet that every process updates and searches at once. Four operations of five
 * change a row in a transaction (altitude and payload from what is there, event time from a counter
 * that all share), one row in twenty is hot; the fifth searches the latest events and uses the
 * rows.
 *
 * Afterwards the whole table, read through its index, has to account for every acknowledged change.
 */
import { Control } from "../harness/control.ts";
import { together, total } from "../harness/crew.ts";
import { agree } from "../harness/drive.ts";
import type { Steps } from "../harness/drive.ts";
import { latencyName, rehearsedName, runPlayers, workAs } from "../harness/players.ts";
import type { Casting, Player } from "../harness/players.ts";
import { Random } from "../harness/random.ts";
import type { Bench, Case, Outcome, Workload } from "../harness/workload.ts";
import type { Table } from "../peers/peer.ts";
import { mix, raiseFirstByte } from "./model.ts";
import type { Change, Query, Shape } from "./model.ts";

interface Aircraft {
  readonly id: number;
  readonly altitude: number;
  readonly event_ts: number;
  readonly payload: Uint8Array;
}

const shape: Shape<Aircraft> = {
  name: "aircraft",
  columns: [
    { name: "id", kind: "i32" },
    { name: "altitude", kind: "i32" },
    { name: "event_ts", kind: "i64", indexed: true, growing: true },
    { name: "payload", kind: "bytes", size: 32 },
  ],
  values: (row) => [row.id, row.altitude, row.event_ts, row.payload],
  make: ([id, altitude, at, payload]) => ({
    id: Number(id),
    altitude: Number(altitude),
    event_ts: Number(at),
    payload: payload instanceof Uint8Array ? payload : new Uint8Array(0),
  }),
  fold: foldAircraft,
};

function foldAircraft({ id, altitude, event_ts, payload }: Aircraft): number {
  const bytes = (payload[0] ?? 0) * 256 + (payload[31] ?? 0);
  return mix(mix(mix(id, altitude), event_ts | 0), bytes);
}

const update: Change<Aircraft> = {
  steps: [
    { kind: "add", column: "altitude", add: 1 },
    { kind: "set", column: "event_ts" },
    { kind: "byte", column: "payload" },
  ],
  apply: (row, value) => ({
    id: row.id,
    altitude: row.altitude + 1,
    event_ts: value,
    payload: raiseFirstByte(row.payload),
  }),
};

const latest: Query = {
  where: [{ column: "event_ts", op: ">=", value: 0 }],
  sort: { column: "event_ts", descending: false, distinct: true },
  limit: 64,
};
const everything: Query = { ...latest, limit: 0 };

const window = 4_096;
const hotKeys = 256;
const preparedCount = 1 << 16;
const searchMark = -1;

function makeRows(count: number): Aircraft[] {
  return Array.from({ length: count }, (_, id) => {
    const payload = new Uint8Array(32).fill(97 + (id % 26));
    payload[0] = id & 127;
    return { id, altitude: 30_000 + (id % 2_000), event_ts: id, payload };
  });
}

/** Keys to change, in order; `searchMark` stands for a search. */
function prepareOperations(rows: number, seed: number): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: preparedCount }, () => {
    if (random.below(5) === 0) return searchMark;
    return random.below(20) === 0 ? random.below(Math.min(hotKeys, rows)) : random.below(rows);
  });
}

/** What one process does, and what it counts while doing so. */
class Part implements Player<readonly Aircraft[] | undefined> {
  readonly steps: Steps<readonly Aircraft[] | undefined>;
  upserts = 0;
  failed = 0;

  constructor(table: Table<Aircraft>, control: Control, operations: Int32Array) {
    const modify = table.modify(update);
    const search = table.search?.(latest);
    if (search === undefined) throw new Error("the peer cannot search a range");
    const change = async (done: Promise<unknown>): Promise<undefined> => {
      try {
        await done;
        this.upserts++;
      } catch (error) {
        this.#note(error);
      }
    };
    const keyAt = (index: number): number => operations[index & (preparedCount - 1)] ?? 0;
    this.steps = {
      step: (index) => {
        const key = keyAt(index);
        if (key === searchMark) return search([control.counter - window]);
        try {
          const done = modify(key, control.draw());
          if (done instanceof Promise) return change(done);
          this.upserts++;
        } catch (error) {
          this.#note(error);
        }
        return undefined;
      },
      take: (found) => {
        if (found === undefined) return 1;
        let sum = found.length;
        for (const row of found) sum = mix(sum, foldAircraft(row));
        return sum;
      },
      kind: (index) => (keyAt(index) === searchMark ? 1 : 0),
    };
  }

  counts(): Record<string, number> {
    return { upserts: this.upserts, failed: this.failed };
  }

  /** A lost conflict is counted; the first thousand in a row are no accident. */
  #note(error: unknown): void {
    if (++this.failed > 1_000 + this.upserts) throw error;
  }
}

const casting: Casting<readonly Aircraft[] | undefined> = (bench, store, control, worker) => {
  const seed = bench.settings.seed * 1_000 + worker;
  const operations = prepareOperations(bench.parameters["rows"] ?? 0, seed);
  return new Part(store.table(shape), control, operations);
};

/** Reads everything through the index: each row once, and nothing lost or made up. */
async function audit(table: Table<Aircraft>, rows: number, upserts: number): Promise<void> {
  const found = (await table.search?.(everything)([0])) ?? [];
  const ids = new Set(found.map(({ id }) => id));
  const altitudes = found.reduce((sum, row) => sum + row.altitude - 30_000 - (row.id % 2_000), 0);
  const raised = found.reduce((sum, row) => sum + (row.payload[0] ?? 0) - (row.id & 127), 0);
  const problems = [
    found.length === rows ? [] : [`${found.length} rows instead of ${rows}`],
    ids.size === found.length ? [] : ["a row was found twice"],
    altitudes === upserts ? [] : [`${altitudes} changes found, ${upserts} acknowledged`],
    (((raised - upserts) % 128) + 128) % 128 === 0 ? [] : ["payloads do not add up"],
  ].flat();
  if (problems.length > 0) throw new Error(`audit: ${problems.join("; ")}`);
}

/** The share of the first part of a long run that the last part reaches. */
function steadiness(series: readonly number[]): number | undefined {
  const part = Math.min(60, Math.floor(series.length / 2));
  if (part < 10) return undefined;
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  return sum(series.slice(-part - 1, -1)) / sum(series.slice(0, part));
}

/** What a long run ends with over what it had when a tenth had passed. */
function growthOf(memory: readonly number[]): number | undefined {
  if (memory.length < 20) return undefined;
  const first = memory[Math.floor(memory.length / 10)];
  const last = memory.at(-1);
  return first === undefined || last === undefined ? undefined : last / first;
}

async function run(bench: Bench): Promise<Outcome> {
  const rows = bench.parameters["rows"] ?? 0;
  const store = await bench.open();
  const table = store.table(shape);
  await table.load(makeRows(rows));
  const control = await Control.create(bench.place);
  control.counter = rows;
  const rehearsal = new Part(table, control, prepareOperations(rows, bench.settings.seed));
  const checksum = await agree(rehearsal.steps, bench.settings.smoke ? 300 : 3_000);
  const processes = bench.parameters["processes"] ?? 1;
  const played = await runPlayers(bench, store, control, processes, casting);
  const { reports, seconds, series } = played;
  await audit(table, rows, rehearsal.upserts + total(reports, "upserts"));
  const memory = await store.memoryBytes?.();
  await store.close();
  const upsert = together(reports, latencyName(0));
  const search = together(reports, latencyName(1));
  const operations = total(reports, "operations");
  const failed = total(reports, "failed") - total(reports, rehearsedName("failed"));
  const steady = steadiness(series);
  const growth = growthOf(played.memory);
  return {
    metrics: {
      rate: (operations - failed) / seconds,
      "upsert p50": upsert.percentile(0.5) / 1e3,
      "upsert p99": upsert.percentile(0.99) / 1e3,
      "upsert p99.9": upsert.percentile(0.999) / 1e3,
      "search p50": search.percentile(0.5) / 1e3,
      "search p99": search.percentile(0.99) / 1e3,
      failed: (100 * failed) / operations,
      ...(steady === undefined ? {} : { "last over first": steady }),
      ...(memory === undefined ? {} : { memory }),
      ...(growth === undefined ? {} : { "memory over first": growth }),
    },
    checksum,
    latency: upsert.buckets(),
    series,
  };
}

export const crucible: Workload = {
  name: "crucible",
  about:
    "80 % read-modify-write transactions (5 % of them on 256 hot rows), 20 % searches of the " +
    "latest 4,096 events, 64 rows as objects",
  metrics: [
    { name: "rate", unit: "/s", better: "higher" },
    { name: "upsert p50", unit: "us", better: "lower" },
    { name: "upsert p99", unit: "us", better: "lower" },
    { name: "upsert p99.9", unit: "us", better: "lower" },
    { name: "search p50", unit: "us", better: "lower" },
    { name: "search p99", unit: "us", better: "lower" },
    { name: "failed", unit: "%", better: "lower" },
    { name: "last over first", unit: "ratio", better: "higher" },
    { name: "memory", unit: "bytes", better: "lower" },
    { name: "memory over first", unit: "ratio", better: "lower" },
  ],
  shapes: [shape],
  cases: (settings) => {
    const rows = settings.smoke ? 500 : 50_000;
    const segments = settings.full ? [64, 256, 2_048] : [256];
    return segments.flatMap((mebibytes) =>
      settings.processes.map((processes): Case => {
        const name = `${processes} process${processes === 1 ? "" : "es"}, ${mebibytes} MiB`;
        return {
          name,
          parameters: { rows, processes, bytesMax: mebibytes * 2 ** 20 },
          needs: processes === 1 ? ["range"] : ["range", "processes"],
        };
      }),
    );
  },
  run,
  work: workAs(casting),
};
