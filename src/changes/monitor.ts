/**
 * Being told that there is something to read: the engine's maintenance thread sends a byte into a
 * stream that the event loop watches. One stream and one order for all who wait on a handle; it
 * costs nothing while no consumer waits.
 */
import { AerostoreError } from "../errors.ts";
import { watchStream } from "../ffi/stream.ts";
import type { WatchedStream } from "../ffi/stream.ts";
import { words } from "../session/session.ts";
import type { Session } from "../session/session.ts";

/** What is waited for: that a commit at or above it is visible, or on disk. */
export interface Awaited {
  readonly csn: number;
  readonly isDurable: boolean;
  /** Whether the process stays alive for it. */
  readonly keepsAlive: boolean;
}

interface Waiter {
  readonly awaited: Awaited;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const subject = { attempted: "waiting for changes" };
const never = -1;
const pollMs = 5;

export class ChangeMonitor {
  readonly #session: Session;
  #waiters: Waiter[] = [];
  #stream: Promise<WatchedStream> | undefined;
  #isOrdered = false;
  /** A process that only reads has no maintenance thread: it looks again and again. */
  readonly #isPolling: boolean;

  constructor(session: Session, isPolling: boolean) {
    this.#session = session;
    this.#isPolling = isPolling;
  }

  /**
   * Settles when there may be something to read: the caller looks again. Ends early, without an
   * error, when `signal` is aborted. Rejects with `CLOSED`, `LOG_POISONED`.
   */
  wait(awaited: Awaited, signal?: AbortSignal): Promise<void> {
    if (!this.#session.isOpen) return Promise.reject(closed());
    if (signal?.aborted === true) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const end = (): void => {
      this.#waiters = this.#waiters.filter((each) => each !== waiter);
      this.#hold();
      resolve();
    };
    const waiter: Waiter = {
      awaited,
      resolve: () => {
        signal?.removeEventListener("abort", end);
        resolve();
      },
      reject: (error) => {
        signal?.removeEventListener("abort", end);
        reject(error);
      },
    };
    signal?.addEventListener("abort", end, { once: true });
    this.#waiters.push(waiter);
    this.#order();
    return promise;
  }

  /** Rejects who still waits. */
  close(): void {
    this.#rejectAll(closed());
    this.#stream?.then((stream) => stream.terminate()).catch(() => undefined);
  }

  /** One order for all that begin to wait in this turn of the event loop. */
  #order(): void {
    if (this.#isOrdered) return;
    this.#isOrdered = true;
    if (this.#isPolling) this.#poll();
    else queueMicrotask(() => this.#arm());
  }

  #poll(): void {
    const timer = setTimeout(() => {
      this.#isOrdered = false;
      this.#settle();
    }, pollMs);
    if (!this.#waiters.some(({ awaited }) => awaited.keepsAlive)) timer.unref();
  }

  async #arm(): Promise<void> {
    try {
      this.#stream ??= this.#connect();
      const stream = await this.#stream;
      this.#isOrdered = false;
      const { calls, handle, u32, isOpen } = this.#session;
      if (!isOpen || this.#waiters.length === 0) return;
      const least = (isDurable: boolean): number => {
        const csns = this.#waiters.filter(({ awaited }) => awaited.isDurable === isDurable);
        return csns.reduce((min, { awaited }) => Math.min(min, awaited.csn), Infinity);
      };
      const [visible, durable] = [least(false), least(true)].map((csn) =>
        Number.isFinite(csn) ? csn : never,
      );
      this.#session.run(subject, () =>
        calls.aerostore_changes_arm(handle, visible ?? never, durable ?? never),
      );
      if (u32[words.done] === 1) this.#settle();
      else this.#hold(stream);
    } catch (error) {
      this.#isOrdered = false;
      this.#rejectAll(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The process must not end while a waiter keeps it alive. */
  #hold(stream?: WatchedStream): void {
    if (stream === undefined) {
      this.#stream?.then((each) => this.#hold(each)).catch(() => undefined);
      return;
    }
    if (this.#waiters.some(({ awaited }) => awaited.keepsAlive)) stream.ref();
    else stream.unref();
  }

  #connect(): Promise<WatchedStream> {
    const { calls, handle, u32 } = this.#session;
    this.#session.run(subject, () => calls.aerostore_changes_watch(handle));
    return watchStream(u32[words.size] ?? 0, (stream) => {
      stream.unref();
      this.#settle();
    });
  }

  /** Every waiter looks again. */
  #settle(): void {
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiting) resolve();
  }

  #rejectAll(error: Error): void {
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiting) reject(error);
  }
}

function closed(): AerostoreError {
  return new AerostoreError("CLOSED", "waiting for changes: the database was closed");
}
