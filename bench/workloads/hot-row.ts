/** Every process changes the same row, over and over, in a transaction that reads it first. */
import { Control } from "../harness/control.ts";
import { together, total } from "../harness/crew.ts";
import { agree } from "../harness/drive.ts";
import { latencyName, rehearsedName, runPlayers, workAs } from "../harness/players.ts";
import type { Casting } from "../harness/players.ts";
import type { Bench, Case, Outcome, Workload } from "../harness/workload.ts";
import { mix } from "./model.ts";
import type { Change, Shape } from "./model.ts";

interface Counter {
  readonly id: number;
  readonly value: number;
}

const shape: Shape<Counter> = {
  name: "counters",
  columns: [
    { name: "id", kind: "i32" },
    { name: "value", kind: "i32" },
  ],
  values: (row) => [row.id, row.value],
  make: ([id, value]) => ({ id: Number(id), value: Number(value) }),
  fold: ({ id, value }) => mix(id, value),
};

const raise: Change<Counter> = {
  steps: [{ kind: "add", column: "value", add: 1 }],
  apply: ({ id, value }) => ({ id, value: value + 1 }),
};

const casting: Casting<number> = (_bench, store) => {
  const modify = store.table(shape).modify(raise);
  let raised = 0;
  let failed = 0;
  const done = (): number => {
    raised++;
    return 1;
  };
  const note = (error: unknown): number => {
    if (++failed > 10_000) throw error;
    return 0;
  };
  return {
    steps: {
      step: () => {
        try {
          const soon = modify(1, 0);
          return soon instanceof Promise ? soon.then(done, note) : done();
        } catch (error) {
          return note(error);
        }
      },
      take: (count) => count,
    },
    counts: () => ({ raised, failed }),
  };
};

async function run(bench: Bench): Promise<Outcome> {
  const store = await bench.open();
  const table = store.table(shape);
  await table.load([{ id: 1, value: 0 }]);
  const control = await Control.create(bench.place);
  const agreed = bench.settings.smoke ? 50 : 1_000;
  const checksum = await agree(casting(bench, store, control, 0).steps, agreed);
  const processes = bench.parameters["processes"] ?? 1;
  const { reports, seconds } = await runPlayers(bench, store, control, processes, casting);
  const row = await table.get(1);
  await store.close();
  const operations = total(reports, "operations");
  const failed = total(reports, "failed") - total(reports, rehearsedName("failed"));
  const expected = agreed + total(reports, "raised");
  if (row?.value !== expected) {
    throw new Error(`audit: the row counts ${row?.value}, ${expected} changes were acknowledged`);
  }
  const latency = together(reports, latencyName(0));
  const rates = reports.map((report) => Number(report["operations"]));
  return {
    metrics: {
      rate: (operations - failed) / seconds,
      p99: latency.percentile(0.99) / 1e3,
      "p99.9": latency.percentile(0.999) / 1e3,
      slowest: Math.min(...rates) / (operations / rates.length),
      failed: (100 * failed) / operations,
    },
    checksum,
    latency: latency.buckets(),
  };
}

export const hotRow: Workload = {
  name: "hot-row",
  about: "All processes count up the same row; the slowest one's share of a fair share",
  metrics: [
    { name: "rate", unit: "/s", better: "higher" },
    { name: "p99", unit: "us", better: "lower" },
    { name: "p99.9", unit: "us", better: "lower" },
    { name: "slowest", unit: "ratio", better: "higher" },
    { name: "failed", unit: "%", better: "lower" },
  ],
  shapes: [shape],
  cases: (settings) => {
    const counts = settings.smoke ? [2] : [2, 16];
    return counts.map((processes): Case => ({
      name: `${processes} processes`,
      parameters: { processes },
      needs: ["processes"],
    }));
  },
  run,
  work: workAs(casting),
};
