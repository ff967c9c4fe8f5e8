/**
 * Runs workloads against peers: every (case, peer, round) is a fresh process, the order of the
 * peers is reversed from round to round, and nothing else of the run is under way meanwhile. What
 * peers read must be equal; where it is not, the run has failed and nothing is compared.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadPeer } from "../peers/index.ts";
import type { Peer } from "../peers/peer.ts";
import { workloads } from "../workloads/index.ts";
import type { Job } from "./child.ts";
import type { Environment } from "./environment.ts";
import type { Options } from "./options.ts";
import { median } from "./results.ts";
import type { Measurement } from "./results.ts";
import type { Case, Metric, Outcome, Workload } from "./workload.ts";

export interface Run {
  readonly measurements: readonly Measurement[];
  /** Why the run has failed, if it has. */
  readonly failures: readonly string[];
}

/** A peer that is here. */
interface Present {
  readonly peer: Peer;
  readonly version: string;
}

const childLimitMs = 60 * 60 * 1_000;
const child = join(import.meta.dir, "child.ts");

/** Runs all; `say` gets one line about each step. */
export async function runWorkloads(
  options: Options,
  environment: Environment,
  say: (line: string) => void,
): Promise<Run> {
  const failures: string[] = [];
  const present: Present[] = [];
  for (const name of options.peers) {
    const found = await findPeer(name);
    if (typeof found !== "string") present.push(found);
    else {
      say(found);
      if (options.named) failures.push(found);
    }
  }
  const measurements: Measurement[] = [];
  for (const workload of workloads.filter(({ name }) => options.suites.includes(name))) {
    for (const each of workload.cases(options.settings)) {
      const able = present.filter(({ peer }) => {
        const reason = each.needs.map((need) => peer.cannot[need]).find((why) => why !== undefined);
        if (reason !== undefined) say(`${workload.name}: ${peer.name} is passed by: ${reason}`);
        return reason === undefined;
      });
      const outcomes = await runCase(options, workload, each, able, say, failures);
      const problem = findDisagreement(outcomes);
      if (problem === undefined) {
        measurements.push(...summarise(options, environment, workload, each, able, outcomes));
      } else failures.push(`${workload.name} ${each.name}: ${problem}`);
    }
  }
  return { measurements, failures };
}

/** The peer, or a line that says why it is not here and how to get it. */
async function findPeer(name: string): Promise<Present | string> {
  try {
    const peer = await loadPeer(name);
    const version = await peer.version();
    return version === undefined ? `${name} is not here: ${peer.getIt}` : { peer, version };
  } catch (error) {
    return `${name} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`;
  }
}

type Outcomes = ReadonlyMap<string, readonly Outcome[]>;

async function runCase(
  options: Options,
  workload: Workload,
  each: Case,
  present: readonly Present[],
  say: (line: string) => void,
  failures: string[],
): Promise<Outcomes> {
  const outcomes = new Map<string, Outcome[]>(present.map(({ peer }) => [peer.name, []]));
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? present : present.toReversed();
    for (const { peer } of order) {
      const name = `${workload.name}, ${each.name}, ${peer.name}`;
      const result = await runChild(options, workload, each, peer.name);
      if (typeof result === "string") {
        failures.push(`${name}: ${result}`);
        say(`${name}: ${result}`);
        continue;
      }
      outcomes.get(peer.name)?.push(result);
      const [metric] = workload.metrics;
      const value = result.metrics[metric.name] ?? Number.NaN;
      say(`${name}, round ${round + 1}: ${value.toPrecision(4)} ${metric.unit}`);
    }
  }
  return outcomes;
}

async function runChild(
  options: Options,
  workload: Workload,
  each: Case,
  peer: string,
): Promise<Outcome | string> {
  const directory = mkdtempSync(join(options.directory, "aerostore-bench-"));
  const memory = mkdtempSync("/dev/shm/aerostore-bench-");
  // A server under a user of its own has to get through to its files.
  for (const folder of [directory, memory]) mkdirSync(folder, { recursive: true, mode: 0o755 });
  Bun.spawnSync(["chmod", "755", directory, memory]);
  const job: Job = {
    workload: workload.name,
    peer,
    parameters: each.parameters,
    settings: options.settings,
    place: { directory, memory },
    durable: each.durable ?? false,
  };
  try {
    const process_ = Bun.spawn([process.execPath, child, JSON.stringify(job)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: childLimitMs,
      killSignal: "SIGKILL",
    });
    const [output, errors] = await Promise.all([process_.stdout.text(), process_.stderr.text()]);
    await process_.exited;
    const ended = process_.signalCode ?? process_.exitCode;
    if (ended !== 0) return `ended with ${ended}: ${errors.trim() || output.trim()}`;
    return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Outcome; // as the child wrote it
  } finally {
    for (const folder of [directory, memory]) rmSync(folder, { recursive: true, force: true });
  }
}

/** In words, when not all read the same. */
export function findDisagreement(outcomes: Outcomes): string | undefined {
  const sums = Map.groupBy(
    [...outcomes].flatMap(([peer, list]) => list.map(({ checksum }) => ({ peer, checksum }))),
    ({ checksum }) => checksum,
  );
  if (sums.size <= 1) return undefined;
  const parts = [...sums].map(([checksum, list]) => {
    const names = [...new Set(list.map(({ peer }) => peer))].join(", ");
    return `${names} read ${checksum >>> 0}`;
  });
  return `peers did not read the same: ${parts.join("; ")}`;
}

function summarise(
  options: Options,
  environment: Environment,
  workload: Workload,
  each: Case,
  present: readonly Present[],
  outcomes: Outcomes,
): Measurement[] {
  const measured = present.filter(({ peer }) => (outcomes.get(peer.name)?.length ?? 0) > 0);
  const names = measured.map(({ peer }) => peer.name);
  const reference = names.includes("aerostore") ? "aerostore" : names[0];
  const medianOf = (peer: string, metric: string): number | undefined => {
    const values = (outcomes.get(peer) ?? []).flatMap(({ metrics }) => metrics[metric] ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  return measured.flatMap(({ peer, version }) =>
    workload.metrics.flatMap((metric): Measurement[] => {
      const list = outcomes.get(peer.name) ?? [];
      const own = medianOf(peer.name, metric.name);
      const best = reference === undefined ? undefined : medianOf(reference, metric.name);
      if (own === undefined) return [];
      const last = list.at(-1);
      const isPrimary = metric === workload.metrics[0];
      return [
        {
          workload: workload.name,
          about: workload.about,
          case: each.name,
          parameters: each.parameters,
          peer: peer.name,
          version,
          promises: peer.promises,
          metric: metric.name,
          unit: metric.unit,
          better: metric.better,
          rounds: list.flatMap(({ metrics }) => metrics[metric.name] ?? []),
          median: own,
          ratio: best === undefined ? undefined : ratioOf(metric.better, best, own),
          reference,
          checksum: last?.checksum ?? 0,
          seed: options.settings.seed,
          seconds: options.settings.seconds,
          ...(isPrimary && last?.latency !== undefined ? { latency: last.latency } : {}),
          ...(isPrimary && last?.series !== undefined ? { series: last.series } : {}),
          notes: isPrimary ? [...new Set(list.flatMap(({ notes }) => notes ?? []))] : [],
          environment,
        },
      ];
    }),
  );
}

/** How many times better the reference is; undefined where one of the two is nothing. */
function ratioOf(better: Metric["better"], reference: number, own: number): number | undefined {
  const ratio = better === "higher" ? reference / own : own / reference;
  return Number.isFinite(ratio) && ratio > 0 ? ratio : undefined;
}
