/**
 * Checkpoints on demand. The engine writes them in a thread of its own, beside readers and writers
 * (and by itself at the interval and the log size that the settings say); here one is started and
 * waited for.
 */
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { numbers, words } from "../session/session.ts";
import type { Session } from "../session/session.ts";

export interface CheckpointReport {
  readonly rows: number;
  readonly bytes: number;
  /** What the checkpoint shows: every commit below. */
  readonly csn: number;
  readonly elapsedMs: number;
}

/** How far a checkpoint is. */
export interface CheckpointProgress {
  readonly rows: number;
  readonly bytes: number;
  readonly elapsedMs: number;
}

export interface CheckpointOptions {
  /** Told now and then, if this call writes the checkpoint. */
  readonly onProgress?: ((progress: CheckpointProgress) => void) | undefined;
}

const pollMs = 5;

export class Checkpointer {
  readonly #session: Session;
  readonly #directory: string;
  #running: Promise<CheckpointReport> | undefined;

  constructor(session: Session, directory: string) {
    this.#session = session;
    this.#directory = directory;
  }

  /**
   * Writes a checkpoint; a second call while one is written waits for that one, as for one of
   * another process. **Throws** `IO_ERROR`, `LOG_POISONED`, `CLOSED`.
   */
  async run(options: CheckpointOptions = {}): Promise<CheckpointReport> {
    this.#running ??= this.#write(options).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #write({ onProgress }: CheckpointOptions): Promise<CheckpointReport> {
    const { calls, handle, u32, f64 } = this.#session;
    const startedAt = performance.now();
    while (true) {
      const status = calls.aerostore_checkpoint_start(handle);
      if (status !== Status.ok && status !== Status.busy) throw this.#failure(status);
      let polled: Status = calls.aerostore_checkpoint_poll(handle);
      while (polled === Status.ok && u32[words.done] !== 1) {
        const [rows, bytes] = [f64[numbers.count] ?? 0, f64[numbers.examined] ?? 0];
        onProgress?.({ rows, bytes, elapsedMs: performance.now() - startedAt });
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
}

function closed(): AerostoreError {
  return new AerostoreError("CLOSED", "writing a checkpoint: the database was closed");
}
