/**
 * Runs one operation again and again: first a fixed number whose results make the checksum (and warm
 * everything up), then for a time, with the clock read around every eighth. A peer that answers at
 * once runs in a plain loop; one behind a socket has as many operations under way as it promises.
 */
import { mix } from "../workloads/model.ts";
import type { Soon } from "../workloads/model.ts";
import { Histogram } from "./histogram.ts";

/** What is repeated. Operations of the timed part may overlap. */
export interface Loop<T> {
  readonly step: (index: number) => Soon<T>;
  /** A number from everything that was read, as a program that uses it would touch it. */
  readonly take: (result: T) => number;
  /** Operations that every peer does alike, before the clock starts. */
  readonly agreed: number;
  readonly seconds: number;
  /** Reads back what the agreed operations wrote; part of the checksum. */
  readonly check?: () => Promise<number>;
}

export interface Driven {
  readonly operations: number;
  readonly seconds: number;
  readonly latency: Histogram;
  readonly checksum: number;
}

/** Every eighth operation is timed: reading the clock twice costs as much as a small operation. */
const timedEvery = 8;

/** `inFlight` 0: results come at once. */
export async function drive<T>(loop: Loop<T>, inFlight: number): Promise<Driven> {
  let checksum = 17;
  for (let i = 0; i < loop.agreed; i++) {
    const result = loop.step(i);
    checksum = mix(checksum, loop.take(result instanceof Promise ? await result : result));
  }
  if (loop.check !== undefined) checksum = mix(checksum, await loop.check());
  const timed = inFlight === 0 ? driveNow(loop) : await driveSoon(loop, inFlight);
  return { ...timed, checksum };
}

function driveNow<T>(loop: Loop<T>): Omit<Driven, "checksum"> {
  const latency = new Histogram();
  const { agreed, take } = loop;
  const step = loop.step as (index: number) => T; // a peer with nothing in flight answers at once
  let sink = 0;
  let index = agreed;
  const start = Bun.nanoseconds();
  const deadline = start + loop.seconds * 1e9;
  let now = start;
  while (now < deadline) {
    for (let i = 1; i < timedEvery; i++) sink = (sink + take(step(index++))) | 0;
    const before = Bun.nanoseconds();
    sink = (sink + take(step(index++))) | 0;
    now = Bun.nanoseconds();
    latency.record(now - before);
  }
  keep(sink);
  return { operations: index - agreed, seconds: (now - start) / 1e9, latency };
}

async function driveSoon<T>(loop: Loop<T>, inFlight: number): Promise<Omit<Driven, "checksum">> {
  const latency = new Histogram();
  let sink = 0;
  let index = loop.agreed;
  const start = Bun.nanoseconds();
  const deadline = start + loop.seconds * 1e9;
  const lane = async (): Promise<void> => {
    for (;;) {
      const before = Bun.nanoseconds();
      if (before >= deadline) return;
      sink = (sink + loop.take(await loop.step(index++))) | 0;
      latency.record(Bun.nanoseconds() - before);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  keep(sink);
  return {
    operations: index - loop.agreed,
    seconds: (Bun.nanoseconds() - start) / 1e9,
    latency,
  };
}

let kept = 0;

/** Uses what a loop computed, so that it cannot be left out. */
function keep(value: number): void {
  kept ^= value;
}
