/** Measurements as they are kept: one JSON line for each workload, case, peer and metric. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Promises } from "../peers/peer.ts";
import type { Environment } from "./environment.ts";
import type { Buckets } from "./histogram.ts";
import type { Metric } from "./workload.ts";

export interface Measurement {
  readonly workload: string;
  readonly about: string;
  readonly case: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly peer: string;
  readonly version: string;
  readonly promises: Promises;
  readonly metric: string;
  readonly unit: Metric["unit"];
  readonly better: Metric["better"];
  /** One value for each round, in the order in which they were run. */
  readonly rounds: readonly number[];
  readonly median: number;
  /** How many times better `reference` is than this peer: medians of this run. */
  readonly ratio: number | undefined;
  readonly reference: string | undefined;
  readonly checksum: number;
  readonly seed: number;
  readonly seconds: number;
  readonly latency?: Buckets;
  readonly series?: readonly number[];
  readonly notes: readonly string[];
  readonly environment: Environment;
}

export const resultsFolder: string = join(import.meta.dir, "..", "results");

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}

/** Writes a run; returns the path. */
export async function saveResults(
  measurements: readonly Measurement[],
  environment: Environment,
): Promise<string> {
  mkdirSync(resultsFolder, { recursive: true });
  const stamp = environment.date.replace(/[:.]/g, "").replace(/\d{3}Z$/, "Z");
  const path = join(resultsFolder, `${stamp}-${environment.commit}.jsonl`);
  await Bun.write(path, measurements.map((each) => `${JSON.stringify(each)}\n`).join(""));
  return path;
}

/** The lines of an earlier run. */
export async function loadResults(path: string): Promise<Measurement[]> {
  const lines = (await Bun.file(path).text()).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Measurement); // as `saveResults` wrote it
}

/** The latest run's file. */
export function latestResults(): string | undefined {
  try {
    const names = readdirSync(resultsFolder).filter((name) => name.endsWith(".jsonl"));
    const last = names.sort().at(-1);
    return last === undefined ? undefined : join(resultsFolder, last);
  } catch {
    return undefined;
  }
}
