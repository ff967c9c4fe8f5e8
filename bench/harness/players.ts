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

/** What a process repeats, and what it counted when it is told to stop. */
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

/** Durations of a kind of operation in a report are under this name. */
export function latencyName(kind: number): string {
  return `latency ${kind}`;
}

/** Plays worker 0's part with the given store when `processes` is 1, else starts workers. */
export async function runPlayers<T>(
  bench: Bench,
  store: Store,
  control: Control,
  processes: number,
  casting: Casting<T>,
): Promise<CrewResult> {
  const { seconds } = bench.settings;
  if (processes > 1) return runCrew(bench, control, processes, seconds);
  const player = casting(bench, store, control, 0);
  const deadline = Bun.nanoseconds() + seconds * 1e9;
  const timed = await play(player, store.inFlight, (now) => now < deadline);
  return { reports: [timed.report], seconds: timed.seconds, series: [] };
}

/** A workload's `work` for players. */
export function workAs<T>(casting: Casting<T>): NonNullable<Workload["work"]> {
  return async (bench, worker) => {
    const control = Control.attach(bench.place);
    const store = await bench.open({ create: false });
    const player = casting(bench, store, control, worker);
    control.waitForStart();
    const { report } = await play(player, store.inFlight, (_now, operations) => {
      control.setProgress(worker, operations);
      return control.isRunning;
    });
    await store.close();
    return report;
  };
}

async function play<T>(
  player: Player<T>,
  inFlight: number,
  goOn: (now: number, operations: number) => boolean,
): Promise<{ report: WorkerReport; seconds: number }> {
  const timed = await repeat(player.steps, inFlight, 0, goOn);
  const report: Record<string, WorkerReport[string]> = {
    operations: timed.operations,
    ...player.counts?.(),
  };
  timed.latencies.forEach((latency, kind) => {
    report[latencyName(kind)] = latency.buckets();
  });
  return { report, seconds: timed.seconds };
}
