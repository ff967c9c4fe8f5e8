/**
 * Waiting for commits to be on disk. The engine writes the log in the background, one sync for all
 * processes; here nobody but `waitSync` blocks.
 */
import { AerostoreError } from "./errors.ts";
import { Status } from "./ffi/abi.gen.ts";
import { numbers } from "./session.ts";
import type { Session } from "./session.ts";

/** `sync`: a commit returns when it is on disk. `async`: when it is visible. */
export type Durability = "async" | "sync";

interface Waiter {
  readonly csn: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Number of `synchronous_commit` among the engine's settings. */
const synchronousCommit = 0;
const pollMs = 1;
/** Longest wait of one call of the engine. */
const sliceMs = 100;

export class DurabilityMonitor {
  readonly #session: Session;
  #waiters: Waiter[] = [];
  #isPolling = false;

  constructor(session: Session) {
    this.#session = session;
  }

  /** `aerostore.synchronous_commit`, which any process may have set a moment ago. */
  get isSynchronous(): boolean {
    const { calls, handle, f64 } = this.#session;
    const status = calls.aerostore_config_get(handle, synchronousCommit);
    return status === Status.ok && f64[numbers.count] !== 0;
  }

  /** CSN of this session's last commit; 0 before the first. */
  get lastCsn(): number {
    this.#read();
    return this.#session.f64[numbers.csn] ?? 0;
  }

  /** Blocks until the commit is on disk. **Throws** `LOG_POISONED`, `IO_ERROR`. */
  waitSync(csn: number): void {
    if (csn === 0) return;
    const { calls, handle } = this.#session;
    this.#session.run({ attempted: "waiting for the log" }, () =>
      calls.aerostore_durable_wait(handle, csn, sliceMs),
    );
  }

  /** Settles when the commit is on disk; never blocks. Rejects with `LOG_POISONED`, `CLOSED`. */
  wait(csn: number): Promise<void> {
    if (csn === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ csn, resolve, reject });
      this.#poll();
    });
  }

  /** Rejects who still waits. */
  close(): void {
    const error = new AerostoreError("CLOSED", "waiting for the log: the database was closed");
    for (const { reject } of this.#take(() => true)) reject(error);
  }

  #poll(): void {
    if (this.#isPolling) return;
    this.#isPolling = true;
    const look = (): void => {
      this.#look();
      if (this.#waiters.length > 0) setTimeout(look, pollMs);
      else this.#isPolling = false;
    };
    look();
  }

  #look(): void {
    const { calls, handle } = this.#session;
    const done = this.#take(
      ({ csn }) => calls.aerostore_durable_wait(handle, csn, 0) === Status.ok,
    );
    for (const { resolve } of done) resolve();
    if (this.#waiters.length === 0) return;
    try {
      this.#read();
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      for (const { reject } of this.#take(() => true)) reject(reason);
    }
  }

  #read(): void {
    const { calls, handle } = this.#session;
    const status = calls.aerostore_durable_read(handle);
    if (status !== Status.ok) {
      throw this.#session.error(status, { attempted: "waiting for the log" });
    }
  }

  /** Takes out the waiters that `chosen` is true for. */
  #take(chosen: (waiter: Waiter) => boolean): Waiter[] {
    const taken: Waiter[] = [];
    this.#waiters = this.#waiters.filter((waiter) => {
      if (!chosen(waiter)) return true;
      taken.push(waiter);
      return false;
    });
    return taken;
  }
}
