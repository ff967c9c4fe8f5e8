/**
 * Runs one operation again and again: first a fixed number whose results make the checksum (and
 * warm everything up), then for a time, with the clock read around every seventh. A peer that
 * answers at once runs in a plain loop; one behind a socket has as many operations under way as it
 * promises.
 */
import { mix } from "../workloads/model.ts";
import type { Soon } from "../workloads/model.ts";
import { Histogram } from "./histogram.ts";

/** What is repeated. Operations of the timed part may overlap. */
export interface Steps<T> {
  readonly step: (index: number) => Soon<T>;
  /** A number from everything that was read, as a program that uses it would touch it. */
  readonly take: (result: T) => number;
  /** Which histogram a duration belongs to, from 0; all to the first without it. */
  readonly kind?: (index: number) => number;
}

export interface Loop<T> extends Steps<T> {
  /** Operations that every peer does alike, before the clock starts. */
  readonly agreed: number;
  readonly seconds: number;
  /** Reads back what the agreed operations wrote; part of the checksum. */
  readonly check?: () => Promise<number>;
}

export interface Timed {
  readonly operations: number;
  readonly seconds: number;
  readonly latency: Histogram;
  /** By kind. */
  readonly latencies: readonly Histogram[];
}

export interface Driven extends Timed {
  readonly checksum: number;
}

/**
 * Every seventh operation is timed: reading the clock twice costs as much as a small operation.
 * What an engine does at every eighth one is in the sample as often as it happens.
 */
const timedEvery = 7;

/** `inFlight` 0: results come at once. */
export async function drive<T>(loop: Loop<T>, inFlight: number): Promise<Driven> {
  let checksum = await agree(loop, loop.agreed);
  if (loop.check !== undefined) checksum = mix(checksum, await loop.check());
  const deadline = Bun.nanoseconds() + loop.seconds * 1e9;
  const timed = await repeat(loop, inFlight, loop.agreed, (now) => now < deadline);
  return { ...timed, checksum };
}

/** The first `count` operations, one after the other; a checksum of what they gave. */
export async function agree<T>({ step, take }: Steps<T>, count: number): Promise<number> {
  let checksum = 17;
  for (let i = 0; i < count; i++) {
    const result = step(i);
    checksum = mix(checksum, take(result instanceof Promise ? await result : result));
  }
  return checksum;
}

/** Operations from `first` on, while `goOn` says so; it is asked every few operations. */
export async function repeat<T>(
  steps: Steps<T>,
  inFlight: number,
  first: number,
  goOn: (now: number, index: number) => boolean,
): Promise<Timed> {
  const meter = new Meter(steps.kind);
  const start = Bun.nanoseconds();
  const end =
    inFlight === 0
      ? repeatNow(steps, first, goOn, meter)
      : await repeatSoon(steps, inFlight, first, goOn, meter);
  const seconds = (Bun.nanoseconds() - start) / 1e9;
  return { operations: end - first, seconds, latency: meter.all, latencies: meter.kinds };
}

/** Durations, all together and by kind. */
class Meter {
  readonly all: Histogram = new Histogram();
  readonly kinds: Histogram[] = [];
  readonly #kind: (index: number) => number;

  constructor(kind: (index: number) => number = () => 0) {
    this.#kind = kind;
  }

  record(index: number, nanoseconds: number): void {
    this.all.record(nanoseconds);
    const kind = this.#kind(index);
    let own = this.kinds[kind];
    if (own === undefined) {
      own = new Histogram();
      this.kinds[kind] = own;
    }
    own.record(nanoseconds);
  }
}

function repeatNow<T>(
  { step: stepSoon, take }: Steps<T>,
  first: number,
  goOn: (now: number, index: number) => boolean,
  meter: Meter,
): number {
  const step = stepSoon as (index: number) => T; // a peer with nothing in flight answers at once
  let sink = 0;
  let index = first;
  while (goOn(Bun.nanoseconds(), index)) {
    for (let i = 1; i < timedEvery; i++) sink = (sink + take(step(index++))) | 0;
    const before = Bun.nanoseconds();
    sink = (sink + take(step(index))) | 0;
    meter.record(index++, Bun.nanoseconds() - before);
  }
  keep(sink);
  return index;
}

async function repeatSoon<T>(
  { step, take }: Steps<T>,
  inFlight: number,
  first: number,
  goOn: (now: number, index: number) => boolean,
  meter: Meter,
): Promise<number> {
  let sink = 0;
  let index = first;
  const lane = async (): Promise<void> => {
    for (;;) {
      const before = Bun.nanoseconds();
      if (!goOn(before, index)) return;
      const own = index++;
      sink = (sink + take(await step(own))) | 0;
      meter.record(own, Bun.nanoseconds() - before);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  keep(sink);
  return index;
}

let kept = 0;

/** Uses what a loop computed, so that it cannot be left out. */
function keep(value: number): void {
  kept ^= value;
}
