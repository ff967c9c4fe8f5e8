/**
 * One measurement in a process of its own: `bun bench/harness/child.ts '<job as JSON>'` prints its
 * outcome as one line of JSON. With a `worker` number it is one of several processes on one store,
 * and prints a line for each run.
 */
import { loadPeer } from "../peers/index.ts";
import type { OpenOptions, Place } from "../peers/peer.ts";
import { workloads } from "../workloads/index.ts";
import type { Bench, Outcome, Settings, WorkerReport } from "./workload.ts";

export interface Job {
  readonly workload: string;
  readonly peer: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly settings: Settings;
  readonly place: Place;
  /** Commits wait for the disk. */
  readonly durable: boolean;
  readonly worker?: number;
}

const bytesMax = 1 << 30;

async function* run(job: Job): AsyncGenerator<Outcome | WorkerReport, void> {
  const workload = workloads.find(({ name }) => name === job.workload);
  if (workload === undefined) throw new RangeError(`no workload "${job.workload}"`);
  const peer = await loadPeer(job.peer);
  const { place, settings, parameters } = job;
  const options: OpenOptions = {
    create: job.worker === undefined,
    durable: job.durable,
    bytesMax: parameters["bytesMax"] ?? bytesMax,
    processes: 1 + (parameters["processes"] ?? 1),
  };
  const service =
    job.worker === undefined && peer.start !== undefined
      ? await peer.start(place, options)
      : undefined;
  const bench: Bench = {
    peer,
    place,
    settings,
    parameters,
    service,
    job,
    open: async (changes) => peer.open(place, workload.shapes, { ...options, ...changes }),
  };
  try {
    if (job.worker === undefined) yield await workload.run(bench);
    else if (workload.work !== undefined) yield* workload.work(bench, job.worker);
    else throw new Error(`${workload.name} has no workers`);
  } finally {
    await service?.stop();
  }
}

if (import.meta.main) {
  const [text = ""] = process.argv.slice(2);
  const job = JSON.parse(text) as Job; // written by the process that started this one
  for await (const report of run(job)) console.log(JSON.stringify(report));
  process.exit(0);
}
