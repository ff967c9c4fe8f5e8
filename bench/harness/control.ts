/**
 * A few words of memory shared by the processes of one measurement, apart from every peer: when to
 * start and stop, a counter that all draw from, and how far each has come.
 */
import { join } from "node:path";
import type { Place } from "../peers/peer.ts";

const phases = { waiting: 0, running: 1, stopped: 2, over: 3 } as const;
const phaseAt = 0;
const readyAt = 1;
const rateAt = 2;
const counterAt = 16;
/** Words of one worker: a cache line of its own. */
const workerWords = 16;
const workersAt = 32;
const workersMax = 512;

export class Control {
  readonly #words: Int32Array;

  private constructor(words: Int32Array) {
    this.#words = words;
  }

  static async create(place: Place): Promise<Control> {
    await Bun.write(pathOf(place), new Uint8Array(4 * (workersAt + workersMax * workerWords)));
    return Control.attach(place);
  }

  static attach(place: Place): Control {
    const bytes = Bun.mmap(pathOf(place), { shared: true });
    return new Control(new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4));
  }

  start(): void {
    Atomics.store(this.#words, phaseAt, phases.running);
  }

  stop(): void {
    Atomics.store(this.#words, phaseAt, phases.stopped);
  }

  /** Those that have stopped get ready again; the counter goes on. */
  reset(): void {
    this.#words.fill(0, workersAt);
    Atomics.store(this.#words, readyAt, 0);
    Atomics.store(this.#words, phaseAt, phases.waiting);
  }

  /** Nobody waits for another start. */
  end(): void {
    Atomics.store(this.#words, phaseAt, phases.over);
  }

  get isRunning(): boolean {
    return Atomics.load(this.#words, phaseAt) === phases.running;
  }

  /** Says that this worker is ready, and returns when all may start; false when it is over. */
  waitForStart(): boolean {
    this.#waitWhile(phases.stopped);
    Atomics.add(this.#words, readyAt, 1);
    this.#waitWhile(phases.waiting);
    return Atomics.load(this.#words, phaseAt) !== phases.over;
  }

  #waitWhile(phase: number): void {
    while (Atomics.load(this.#words, phaseAt) === phase) Bun.sleepSync(1);
  }

  /** What all workers together are to do in a second, where that is given: a whole number. */
  get rate(): number {
    return Atomics.load(this.#words, rateAt);
  }

  set rate(value: number) {
    Atomics.store(this.#words, rateAt, value);
  }

  get readyCount(): number {
    return Atomics.load(this.#words, readyAt);
  }

  /** The next number of the shared counter. */
  draw(): number {
    return Atomics.add(this.#words, counterAt, 1) + 1;
  }

  get counter(): number {
    return Atomics.load(this.#words, counterAt);
  }

  set counter(value: number) {
    Atomics.store(this.#words, counterAt, value);
  }

  setProgress(worker: number, operations: number): void {
    this.#words[workersAt + worker * workerWords] = operations;
  }

  progress(workers: number): number {
    let sum = 0;
    for (let i = 0; i < workers; i++) {
      sum += Atomics.load(this.#words, workersAt + i * workerWords);
    }
    return sum;
  }
}

function pathOf(place: Place): string {
  return join(place.memory, "control");
}
