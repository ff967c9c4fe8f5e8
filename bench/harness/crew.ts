/** Several processes on one store: started, let go together, stopped together. */
import { join } from "node:path";
import type { Store } from "../peers/peer.ts";
import type { Control } from "./control.ts";
import { Histogram } from "./histogram.ts";
import type { Buckets } from "./histogram.ts";
import type { Bench, WorkerReport } from "./workload.ts";

export interface CrewResult {
  readonly reports: readonly WorkerReport[];
  readonly seconds: number;
  /** Operations in each second. */
  readonly series: readonly number[];
  /** What `store` says that it takes, after each second. */
  readonly memory: readonly number[];
}

const child = join(import.meta.dir, "child.ts");
const endLimitMs = 120_000;

/**
 * Runs `count` workers of the workload for `seconds`. **Throws** what a worker that failed said.
 */
export async function runCrew(
  bench: Bench,
  control: Control,
  count: number,
  seconds: number,
  store?: Store,
): Promise<CrewResult> {
  const workers = Array.from({ length: count }, (_, worker) => startWorker(bench, worker));
  const results = Promise.all(workers.map(({ result }) => result));
  try {
    while (control.readyCount < count) await Promise.race([results, Bun.sleep(2)]);
    const start = Bun.nanoseconds();
    control.start();
    const series: number[] = [];
    const memory: number[] = [];
    let before = 0;
    for (let second = 1; second <= Math.ceil(seconds); second++) {
      const until = start + Math.min(second, seconds) * 1e9;
      await Promise.race([results, Bun.sleep(Math.max(0, (until - Bun.nanoseconds()) / 1e6))]);
      const now = control.progress(count);
      series.push(now - before);
      before = now;
      const bytes = await store?.memoryBytes?.();
      if (bytes !== undefined) memory.push(bytes);
    }
    control.stop();
    const taken = (Bun.nanoseconds() - start) / 1e9;
    return { reports: await results, seconds: taken, series, memory };
  } finally {
    control.stop();
    for (const { end } of workers) end();
  }
}

function startWorker(bench: Bench, worker: number) {
  const job = JSON.stringify({ ...bench.job, worker });
  const process_ = Bun.spawn([process.execPath, child, job], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: (bench.settings.seconds + 600) * 1e3 + endLimitMs,
    killSignal: "SIGKILL",
  });
  const read = async (): Promise<WorkerReport> => {
    const [output, errors] = await Promise.all([process_.stdout.text(), process_.stderr.text()]);
    await process_.exited;
    const ended = process_.signalCode ?? process_.exitCode;
    if (ended !== 0) throw new Error(`worker ${worker} ended with ${ended}: ${errors}`);
    return JSON.parse(output) as WorkerReport; // as `child.ts` wrote it
  };
  return { result: read(), end: () => process_.kill("SIGKILL") };
}

/** The sum of a number in all reports. */
export function total(reports: readonly WorkerReport[], name: string): number {
  return reports.reduce((sum, report) => {
    const value = report[name];
    return typeof value === "number" ? sum + value : sum;
  }, 0);
}

/** The durations of all reports under a name, together. */
export function together(reports: readonly WorkerReport[], name: string): Histogram {
  const histogram = new Histogram();
  for (const report of reports) {
    const buckets = report[name];
    if (typeof buckets === "object") histogram.add(buckets as Buckets);
  }
  return histogram;
}
