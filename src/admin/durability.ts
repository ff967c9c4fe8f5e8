/**
 * Waiting for commits to be on disk. The engine writes the log in the background, one sync for all
 * that wait in all processes. `waitSync` blocks in the engine; the others are told by a byte in a
 * stream that the event loop watches, which costs nothing while no consumer waits.
 */
import { AerostoreError } from "../errors.ts";
import { limits } from "../ffi/constants.gen.ts";
import { Status } from "../ffi/abi.gen.ts";
import { watchStream } from "../ffi/stream.ts";
import type { WatchedStream } from "../ffi/stream.ts";
import { numbers, words } from "../session/session.ts";
import type { Session } from "../session/session.ts";

/** `sync`: a commit returns when it is on disk. `async`: when it is visible. */
export type Durability = "async" | "sync";

interface Waiter {
  readonly csn: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Longest wait of one call of the engine. */
const sliceMs: number = limits.waitMsMax;
const subject = { attempted: "waiting for the log" };

export class DurabilityMonitor {
  readonly #session: Session;
  #waiters: Waiter[] = [];
  #stream: Promise<WatchedStream> | undefined;
  /** An order for the waiters is on its way to the engine. */
  #isOrdered = false;

  constructor(session: Session) {
    this.#session = session;
  }

  /** `aerostore.synchronous_commit` as the last statement or commit of the session found it. */
  get isSynchronous(): boolean {
    return this.#session.u32[words.synchronous] !== 0;
  }

  /** The commit that the last statement or commit of the session has made or relied on. */
  get reliedOn(): number {
    return this.#session.f64[numbers.csn] ?? 0;
  }

  /** The newest commit that this session can have seen, of any session; 0 before the first. */
  get newestSeen(): number {
    this.#session.calls.aerostore_durable_read(this.#session.handle);
    return this.#session.f64[numbers.csn] ?? 0;
  }

  /** Blocks until the commit is on disk. **Throws** `LOG_POISONED`, `IO_ERROR`. */
  waitSync(csn: number): void {
    if (csn === 0) return;
    const { calls, handle } = this.#session;
    this.#session.run(subject, () => calls.aerostore_durable_wait(handle, csn, sliceMs));
  }

  /**
   * Settles when the commit is on disk; never blocks. Rejects with `LOG_POISONED`, `IO_ERROR`,
   * `CLOSED`.
   */
  wait(csn: number): Promise<void> {
    if (csn === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ csn, resolve, reject });
      this.#order();
    });
  }

  /** Rejects who still waits. */
  close(): void {
    if (this.#waiters.length > 0) {
      this.#rejectAll(new AerostoreError("CLOSED", "waiting for the log: the database was closed"));
    }
    this.#stream?.then((stream) => stream.terminate()).catch(() => undefined);
  }

  /** Asks for one sync for everybody who begins to wait in this turn of the event loop. */
  #order(): void {
    if (this.#isOrdered) return;
    this.#isOrdered = true;
    queueMicrotask(() => this.#arm());
  }

  async #arm(): Promise<void> {
    try {
      this.#stream ??= this.#connect();
      const stream = await this.#stream;
      this.#isOrdered = false;
      const { calls, handle, u32, isOpen } = this.#session;
      if (!isOpen || this.#waiters.length === 0) return;
      const first = this.#waiters.reduce((least, { csn }) => Math.min(least, csn), Infinity);
      const last = this.#waiters.reduce((most, { csn }) => Math.max(most, csn), 0);
      this.#session.run(subject, () => calls.aerostore_durable_arm(handle, first, last));
      if (u32[words.done] === 1) this.#settle();
      // The process must not end while somebody waits.
      else stream.ref();
    } catch (error) {
      this.#isOrdered = false;
      this.#rejectAll(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #connect(): Promise<WatchedStream> {
    const { calls, handle, u32 } = this.#session;
    this.#session.run(subject, () => calls.aerostore_durable_watch(handle));
    return watchStream(u32[words.size] ?? 0, (stream) => {
      stream.unref();
      this.#settle();
    });
  }

  /** One look at the log for all waiters. */
  #settle(): void {
    const { calls, handle, f64, isOpen } = this.#session;
    if (!isOpen) return;
    const status = calls.aerostore_durable_read(handle);
    const durable = f64[numbers.durableCsn] ?? 0;
    const waiting = this.#waiters;
    this.#waiters = waiting.filter(({ csn }) => csn >= durable);
    for (const { csn, resolve } of waiting) if (csn < durable) resolve();
    if (status !== Status.ok) this.#rejectAll(this.#session.error(status, subject));
    else if (this.#waiters.length > 0) this.#order();
  }

  #rejectAll(error: Error): void {
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiting) reject(error);
  }
}
