/**
 * Checkpoints: on demand, and from time to time while the event loop turns. The engine writes them
 * in a thread of its own, beside readers and writers; here one is started and waited for.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { configNumber } from "./config.ts";
import { AerostoreError } from "./errors.ts";
import { Status } from "./ffi/abi.gen.ts";
import { layouts } from "./ffi/abi.gen.ts";
import { numbers, words } from "./session.ts";
import type { Session } from "./session.ts";

export interface CheckpointReport {
  readonly rows: number;
  readonly bytes: number;
  /** What the checkpoint shows: every commit below. */
  readonly csn: number;
  readonly elapsedMs: number;
}

const pollMs = 5;
const lookMs = 5_000;

export class Checkpointer {
  readonly #session: Session;
  readonly #directory: string;
  #running: Promise<CheckpointReport> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #countSeen = 0;
  #countSeenAt = performance.now();

  constructor(session: Session, directory: string) {
    this.#session = session;
    this.#directory = directory;
  }

  /**
   * Writes a checkpoint; a second call while one is written waits for that one, as for one of
   * another process. **Throws** `IO_ERROR`, `LOG_POISONED`, `CLOSED`.
   */
  async run(): Promise<CheckpointReport> {
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Begins to write checkpoints at the interval and the log size that the settings say. */
  start(): void {
    this.#timer = setInterval(() => this.#look(), lookMs);
    // A program must be able to end.
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Every process looks; who comes first writes, and the others see that the count has risen. */
  #look(): void {
    if (!this.#session.isOpen || this.#running !== undefined) return;
    const count = this.#checkpointCount();
    const now = performance.now();
    if (count !== this.#countSeen) {
      this.#countSeen = count;
      this.#countSeenAt = now;
    }
    const intervalMs = configNumber(this.#session, "aerostore.checkpoint_interval_secs") * 1_000;
    if (intervalMs === 0) return;
    const sizeMax = configNumber(this.#session, "aerostore.log_size_limit_mb") * 2 ** 20;
    if (now - this.#countSeenAt < intervalMs && this.#logSize() < sizeMax) return;
    this.#countSeenAt = now;
    // What goes wrong stands in the statistics, and the next commit tells.
    this.run().catch(() => undefined);
  }

  async #write(): Promise<CheckpointReport> {
    const { calls, handle, u32, f64 } = this.#session;
    const startedAt = performance.now();
    const path = new TextEncoder().encode(this.#directory);
    while (true) {
      const status = calls.aerostore_checkpoint_start(handle, path, path);
      if (status !== Status.ok && status !== Status.busy) throw this.#failure(status);
      let polled: Status = calls.aerostore_checkpoint_poll(handle);
      while (polled === Status.ok && u32[words.done] !== 1) {
        await Bun.sleep(pollMs);
        if (!this.#session.isOpen) throw closed();
        polled = calls.aerostore_checkpoint_poll(handle);
      }
      if (polled === Status.ok) break;
      if (polled !== Status.busy) throw this.#failure(polled);
      // Another process writes one; ours must be of now.
      await Bun.sleep(pollMs);
      if (!this.#session.isOpen) throw closed();
    }
    return {
      rows: f64[numbers.count] ?? 0,
      bytes: f64[numbers.examined] ?? 0,
      csn: f64[numbers.csn] ?? 0,
      elapsedMs: performance.now() - startedAt,
    };
  }

  #failure(status: Status): Error {
    const subject = { attempted: "writing a checkpoint", path: this.#directory };
    return this.#session.error(status, subject);
  }

  #checkpointCount(): number {
    const { fields, size } = layouts.Stats;
    const bytes = new Uint8Array(new ArrayBuffer(size));
    const status = this.#session.calls.aerostore_stats_read(this.#session.handle, bytes);
    if (status !== Status.ok) return this.#countSeen;
    return new DataView(bytes.buffer).getFloat64(fields.checkpoint_count.offset, true);
  }

  #logSize(): number {
    let size = 0;
    for (const name of readdirSync(this.#directory)) {
      if (!name.startsWith("aerostore.wal")) continue;
      // One that is dropped at this moment is no part of the log any more.
      size += statSync(join(this.#directory, name), { throwIfNoEntry: false })?.size ?? 0;
    }
    return size;
  }
}

function closed(): AerostoreError {
  return new AerostoreError("CLOSED", "writing a checkpoint: the database was closed");
}
