/** What a workload is: cases to measure, the work of one process, and what comes out. */
import type { Ability, OpenOptions, Peer, Place, Service, Store } from "../peers/peer.ts";
import type { AnyShape } from "../workloads/model.ts";
import type { Job } from "./child.ts";
import type { Buckets } from "./histogram.ts";

export interface Metric {
  readonly name: string;
  readonly unit: "/s" | "ns" | "us" | "ms" | "bytes" | "ratio" | "%";
  readonly better: "higher" | "lower";
}

/** Things a user may set, with small values for `--smoke`. */
export interface Settings {
  readonly seed: number;
  /** How long a timed part runs. */
  readonly seconds: number;
  /** Every size tiny: shows that it works, measures nothing. */
  readonly smoke: boolean;
  /** Number of processes, for workloads that have several. */
  readonly processes: readonly number[];
  /** A recorded feed to use instead of a generated one. */
  readonly feed: string | undefined;
  /** Also sizes that take minutes. */
  readonly full: boolean;
}

/** One line of comparison: the same work for all peers. */
export interface Case {
  readonly name: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly needs: readonly Ability[];
  /** Commits wait for the disk. */
  readonly durable?: boolean;
}

/** What one process measured. */
export interface Outcome {
  readonly metrics: Readonly<Record<string, number>>;
  /** From everything read; equal for every peer and round. */
  readonly checksum: number;
  /** Durations of single operations, where they were taken. */
  readonly latency?: Buckets;
  /** Operations in each second, where it ran for long. */
  readonly series?: readonly number[];
  readonly notes?: readonly string[];
}

/** What a worker process found, as JSON for the process that started it. */
export type WorkerReport = Readonly<Record<string, number | Buckets>>;

export interface Bench {
  readonly peer: Peer;
  readonly place: Place;
  readonly settings: Settings;
  readonly parameters: Readonly<Record<string, number>>;
  /** The server of the peer, if it has one. */
  readonly service: Service | undefined;
  /** What this process was asked to do; worker processes are asked for the same. */
  readonly job: Job;
  /** Opens the store with the workload's shapes. */
  open(options?: Partial<OpenOptions>): Promise<Store>;
}

export interface Workload {
  readonly name: string;
  /** One sentence: what is measured. */
  readonly about: string;
  /** The first one is what goals and plots are about. */
  readonly metrics: readonly [Metric, ...Metric[]];
  readonly shapes: readonly AnyShape[];
  cases(settings: Settings): readonly Case[];
  run(bench: Bench): Promise<Outcome>;
  /** The part of worker processes, which a `Crew` starts: a report of each run. */
  work?(bench: Bench, worker: number): AsyncIterable<WorkerReport>;
}
