/**
 * One part played by each process of a measurement. A single process plays it here, beside nobody;
 * several are workers that start and stop together.
 */
import type { Store } from "../peers/peer.ts";
import { Control } from "./control.ts";
import { runCrew } from "./crew.ts";
import type { CrewResult } from "./crew.ts";
import { repeat } from "./drive.ts";
import type { Steps } from "./drive.ts";
import type { Bench, WorkerReport, Workload } from "./workload.ts";

/** What a process repeats, and what it has counted. */
export interface Player<T = unknown> {
  readonly steps: Steps<T>;
  readonly counts?: () => Readonly<Record<string, number>>;
}

/** Makes the part of a worker, numbered from 0. */
export type Casting<T> = (
  bench: Bench,
  store: Store,
  control: Control,
  worker: number,
) => Player<T>;

/**
 * Operations that each process makes before the clock starts, so that its code is compiled as in
 * one that has been running for long; fewer when they take longer than the timed part.
 */
const rehearsedMax = 20_000;

/** Durations of a kind of operation in a report are under this name. */
export function latencyName(kind: number): string {
  return `latency ${kind}`;
}

/** What a player had counted before the clock started is under this name; its counts include it. */
export function rehearsedName(count: string): string {
  return `rehearsed ${count}`;
}

/** Plays worker 0's part with the given store when `processes` is 1, else starts workers. */
export async function runPlayers<T>(
  bench: Bench,
  store: Store,
  control: Control,
  processes: number,
  casting: Casting<T>,
): Promise<CrewResult> {
  if (processes > 1) return runCrew(bench, control, processes, bench.settings.seconds, store);
  const player = casting(bench, store, control, 0);
  const first = await rehearse(bench, player, store.inFlight);
  const start = Bun.nanoseconds();
  const end = start + bench.settings.seconds * 1e9;
  const series: number[] = [];
  let before = first;
  const { report, seconds } = await play(player, store.inFlight, first, (now, index) => {
    if (now >= start + (series.length + 1) * 1e9) {
      series.push(index - before);
      before = index;
    }
    return now < end;
  });
  return { reports: [report], seconds, series, memory: [] };
}

/** A workload's `work` for players. */
export function workAs<T>(casting: Casting<T>): NonNullable<Workload["work"]> {
  return async function* (bench, worker) {
    const control = Control.attach(bench.place);
    const store = await bench.open({ create: false });
    const player = casting(bench, store, control, worker);
    const first = await rehearse(bench, player, store.inFlight);
    if (!control.waitForStart()) return;
    const { report } = await play(player, store.inFlight, first, (_now, index) => {
      control.setProgress(worker, index - first);
      return control.isRunning;
    });
    yield report;
    await store.close();
  };
}

/** Returns the number of the operation that comes next. */
async function rehearse<T>(
  { settings }: Bench,
  { steps }: Player<T>,
  inFlight: number,
): Promise<number> {
  const end = Bun.nanoseconds() + settings.seconds * 1e9;
  const { operations } = await repeat(
    steps,
    inFlight,
    0,
    (now, index) => index < rehearsedMax && now < end,
  );
  return operations;
}

async function play<T>(
  player: Player<T>,
  inFlight: number,
  first: number,
  goOn: (now: number, index: number) => boolean,
): Promise<{ report: WorkerReport; seconds: number }> {
  const rehearsed = Object.entries(player.counts?.() ?? {});
  const timed = await repeat(player.steps, inFlight, first, goOn);
  const report: Record<string, WorkerReport[string]> = {
    operations: timed.operations,
    ...player.counts?.(),
    ...Object.fromEntries(rehearsed.map(([name, count]) => [rehearsedName(name), count])),
  };
  timed.latencies.forEach((latency, kind) => {
    report[latencyName(kind)] = latency.buckets();
  });
  return { report, seconds: timed.seconds };
}
