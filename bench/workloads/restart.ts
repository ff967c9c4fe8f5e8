/**
 * Coming back: a new process opens data that is there, warm (memory was kept) or cold (only the
 * disk was). Measured are the open inside the process, the way from `exec` to the first answer,
 * against an empty Bun script, and the first updates, against as many in the warm process. A peer
 * with a server has its server killed and started again.
 */
import { join } from "node:path";
import type { FirstSearchJob, FirstSearchReport } from "../harness/first-search.ts";
import type { FirstUpdatesJob, FirstUpdatesReport } from "../harness/first-updates.ts";
import { median } from "../harness/results.ts";
import type { Bench, Case, Outcome, Workload } from "../harness/workload.ts";
import type { OpenOptions } from "../peers/peer.ts";
import { flightShape, makeFleets } from "./flight.ts";

const shape = flightShape(["altitude"]);
const batchSize = 100_000;
const script = join(import.meta.dir, "..", "harness", "first-search.ts");
const updatesScript = join(import.meta.dir, "..", "harness", "first-updates.ts");
/** A file: Bun runs an empty `-e` without starting JavaScript at all. */
const emptyScript = join(import.meta.dir, "..", "harness", "empty.ts");

/** Timed together, right after the first answer. */
const updates = 4_000;

/** From `exec` to the end of the output. */
async function timeProcess(words: readonly string[]): Promise<{ ms: number; output: string }> {
  const start = Bun.nanoseconds();
  const child = Bun.spawn([process.execPath, ...words], { stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const ms = (Bun.nanoseconds() - start) / 1e6;
  if ((await child.exited) !== 0) throw new Error(`the new process failed: ${errors}`);
  return { ms, output };
}

async function run(bench: Bench): Promise<Outcome> {
  const { parameters, peer, place, service, settings } = bench;
  const rows = parameters["rows"] ?? 0;
  const isCold = parameters["cold"] === 1;
  const options: OpenOptions = {
    create: false,
    durable: false,
    bytesMax: 256 * 2 ** 20 + rows * 600,
    processes: 2,
  };
  const store = await bench.open({ bytesMax: options.bytesMax });
  const table = store.table(shape);
  for (const part of makeFleets(rows, batchSize, settings.seed)) await table.load(part);
  await store.settle?.();
  await store.close();
  const job: FirstSearchJob = { peer: peer.name, place, options, rows };
  const going: FirstUpdatesJob = { ...job, updates: settings.smoke ? 40 : updates };
  const opens: number[] = [];
  const answers: number[] = [];
  const empties: number[] = [];
  const firsts: number[] = [];
  const reopened: number[] = [];
  let checksum = 0;
  const openings = settings.smoke ? 1 : 5;
  for (let i = 0; i < openings; i++) {
    const start = Bun.nanoseconds();
    if (isCold) peer.forgetMemory?.(place);
    await service?.restart();
    const serverMs = service === undefined ? 0 : (Bun.nanoseconds() - start) / 1e6;
    const { ms, output } = await timeProcess([script, JSON.stringify(job)]);
    const report = JSON.parse(output) as FirstSearchReport; // as the script wrote it
    opens.push(serverMs + report.openMs);
    answers.push(serverMs + ms);
    checksum = report.found;
    empties.push((await timeProcess([emptyScript])).ms);
  }
  // Behind the openings, whose logs they would make longer.
  for (let i = 0; i < openings; i++) {
    const updated = await timeProcess([updatesScript, JSON.stringify(going)]);
    const report = JSON.parse(updated.output) as FirstUpdatesReport; // likewise
    firsts.push(report.firstMs / report.warmMs);
    reopened.push(report.reopenedMs / report.warmMs);
  }
  return {
    metrics: {
      open: median(opens),
      "first answer": median(answers),
      "over empty": median(answers) / median(empties),
      "empty script": median(empties),
      "first updates": median(firsts),
      "reopened updates": median(reopened),
    },
    checksum,
  };
}

export const restart: Workload = {
  name: "restart",
  about: "A new process opens existing data and answers: the open, and from exec to the answer",
  metrics: [
    { name: "open", unit: "ms", better: "lower" },
    { name: "first answer", unit: "ms", better: "lower" },
    { name: "over empty", unit: "ratio", better: "lower" },
    { name: "empty script", unit: "ms", better: "lower" },
    { name: "first updates", unit: "ratio", better: "lower" },
    { name: "reopened updates", unit: "ratio", better: "lower" },
  ],
  shapes: [shape],
  cases: ({ smoke, full }): Case[] => {
    const sizes = smoke ? [200] : full ? [1_000, 100_000, 10_000_000] : [1_000, 100_000];
    const cases = sizes.map((rows): Case => ({
      name: `warm, ${rows.toLocaleString("en-US")} rows`,
      parameters: { rows, cold: 0 },
      needs: ["restart"],
    }));
    const cold = smoke ? 200 : 100_000;
    cases.push({
      name: `cold, ${cold.toLocaleString("en-US")} rows`,
      parameters: { rows: cold, cold: 1 },
      needs: ["restart"],
    });
    return cases;
  },
  run,
};
