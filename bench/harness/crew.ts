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
const workerLimitMs = 60 * 60 * 1_000;

/** Worker processes, started once and let go together, once or again and again. */
export class Crew {
  readonly #control: Control;
  readonly #workers: readonly Worker[];

  constructor(bench: Bench, control: Control, count: number) {
    control.reset();
    this.#control = control;
    this.#workers = Array.from({ length: count }, (_, worker) => startWorker(bench, worker));
  }

  /**
   * One run, in which `store` is asked for its memory. **Throws** what a worker that failed said.
   */
  async run(seconds: number, store?: Store): Promise<CrewResult> {
    const control = this.#control;
    const count = this.#workers.length;
    const results = Promise.all(this.#workers.map(({ next }) => next()));
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
    const reports = await results;
    control.reset();
    return { reports, seconds: taken, series, memory };
  }

  /** Lets the workers close their stores. **Throws** likewise. */
  async end(): Promise<void> {
    this.#control.end();
    await Promise.all(this.#workers.map(({ ended }) => ended));
  }

  /** Does nothing to those that have ended. */
  [Symbol.dispose](): void {
    this.#control.end();
    for (const { kill } of this.#workers) kill();
  }
}

/** Runs `count` workers of the workload for `seconds`. **Throws** likewise. */
export async function runCrew(
  bench: Bench,
  control: Control,
  count: number,
  seconds: number,
  store?: Store,
): Promise<CrewResult> {
  using crew = new Crew(bench, control, count);
  const result = await crew.run(seconds, store);
  await crew.end();
  return result;
}

interface Worker {
  /** Its report of the next run. */
  next(): Promise<WorkerReport>;
  /** Rejects with what it said, if it failed. */
  readonly ended: Promise<void>;
  kill(): void;
}

function startWorker(bench: Bench, worker: number): Worker {
  const job = JSON.stringify({ ...bench.job, worker });
  const process_ = Bun.spawn([process.execPath, child, job], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: workerLimitMs,
    killSignal: "SIGKILL",
  });
  const errors = process_.stderr.text();
  const waitForEnd = async (): Promise<void> => {
    await process_.exited;
    const how = process_.signalCode ?? process_.exitCode;
    if (how !== 0) throw new Error(`worker ${worker} ended with ${how}: ${await errors}`);
  };
  const ended = waitForEnd();
  ended.catch(() => undefined); // whoever waits for a report, or for the end, hears of it
  const lines = readLines(process_.stdout);
  return {
    next: async () => {
      const { value } = await lines.next();
      if (value !== undefined) return JSON.parse(value) as WorkerReport; // as `child.ts` wrote it
      await ended;
      throw new Error(`worker ${worker} has ended without a report`);
    },
    ended,
    kill: () => process_.kill("SIGKILL"),
  };
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
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
