/**
 * Living receivers: a document that is fetched again and again, a BaseStation stream that is
 * connected to, and one that is listened for. Each goes on for ever: what fails is tried again with
 * a growing pause, and counted.
 */
import type { Table } from "../database/table.ts";
import type { IngestReport } from "../ingest/ingest.ts";
import type { IngestOptions } from "../ingest/options.ts";
import type { IngestSource } from "../ingest/source.ts";
import { ByteQueue, wholeLines } from "./byte-queue.ts";

export interface FollowOptions {
  /** How rows are read; default: as the source looks, the newest message of an airframe counts. */
  readonly ingest?: IngestOptions | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Called after each document or connection, and after each failure. */
  readonly onStep?: ((stats: FollowStats) => void) | undefined;
  /** Pause after a first failure, doubled for each further one. Default 1,000. */
  readonly pauseMsMin?: number | undefined;
  /** Default 60,000. */
  readonly pauseMsMax?: number | undefined;
}

/** What a receiver has given so far. */
export interface FollowStats {
  readonly name: string;
  /** Documents that were read whole, or connections that brought data. */
  readonly sources: number;
  readonly rows: number;
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly stale: number;
  readonly rejected: number;
  /** Fetches and connections that failed. */
  readonly failures: number;
  /** Times without data: each begins with a failure and ends with the next source. */
  readonly gaps: number;
  /** Milliseconds since 1970 of the last source; `undefined` before the first. */
  readonly lastAt: number | undefined;
  /** Why the last one failed; `undefined` while all is well. */
  readonly lastError: string | undefined;
}

type Counts = { -readonly [K in keyof FollowStats]: FollowStats[K] };

const pauseMsMinDefault = 1_000;
const pauseMsMaxDefault = 60_000;
/** A stream that is silent for so long is connected to anew. */
const silenceSecondsMax = 30;

/** Counts and pauses of one source. */
class Follower {
  readonly #table: Table;
  readonly #options: FollowOptions;
  readonly #counts: Counts;
  #pauseMs: number;

  constructor(name: string, table: Table, options: FollowOptions) {
    this.#table = table;
    this.#options = options;
    this.#pauseMs = options.pauseMsMin ?? pauseMsMinDefault;
    const none = { rows: 0, inserted: 0, updated: 0, unchanged: 0, stale: 0, rejected: 0 };
    const begun = { sources: 0, failures: 0, gaps: 0, lastAt: undefined, lastError: undefined };
    this.#counts = { name, ...none, ...begun };
  }

  /** Reads one source to its end. **Throws** what ingest throws. */
  async read(source: IngestSource, format?: "sbs"): Promise<void> {
    const newestBy = this.#table.definition.find("updated_at")?.name;
    const said = { newestBy, ...(format === undefined ? {} : { format }) };
    const report = await this.#table.ingest(source, { ...said, ...this.#options.ingest });
    if (report.rows > 0 || format === undefined) this.#note(report);
  }

  #note(report: IngestReport): void {
    const counts = this.#counts;
    for (const name of ["rows", "inserted", "updated", "unchanged", "stale", "rejected"] as const) {
      counts[name] += report[name];
    }
    counts.sources += 1;
    counts.lastAt = Date.now();
    counts.lastError = undefined;
    this.#pauseMs = this.#options.pauseMsMin ?? pauseMsMinDefault;
    this.#options.onStep?.({ ...counts });
  }

  /** Counts a failure; the milliseconds to pause before the next attempt. */
  fail(error: unknown): number {
    const counts = this.#counts;
    counts.failures += 1;
    if (counts.lastError === undefined) counts.gaps += 1;
    counts.lastError = error instanceof Error ? error.message : String(error);
    this.#options.onStep?.({ ...counts });
    const [random = 0] = crypto.getRandomValues(new Uint8Array(1));
    const pauseMs = this.#pauseMs * (0.5 + random / 512);
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#options.pauseMsMax ?? pauseMsMaxDefault);
    return pauseMs;
  }
}

/**
 * Fetches `url` every `everyMs` and ingests it, until the signal ends it. A document that takes
 * longer than ten turns, at least 10 s, is given up.
 */
export async function followUrl(
  table: Table,
  url: string,
  everyMs: number,
  options: FollowOptions,
): Promise<void> {
  const { signal } = options;
  const follower = new Follower(url, table, options);
  const limitMs = Math.max(10_000, everyMs * 10);
  while (!signal.aborted) {
    const startedAt = performance.now();
    let pauseMs: number;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
      const response = await fetch(url, { signal: limit });
      if (!response.ok) throw new Error(`${url} answers ${response.status}`);
      await follower.read(await response.bytes());
      pauseMs = Math.max(0, everyMs - (performance.now() - startedAt));
    } catch (error) {
      if (signal.aborted) return;
      pauseMs = follower.fail(error);
    }
    await pause(pauseMs, signal);
  }
}

export interface SbsAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads the BaseStation stream of a receiver, and connects anew when it ends or falls silent. */
export async function connectSbs(
  table: Table,
  { host, port }: SbsAddress,
  options: FollowOptions,
): Promise<void> {
  const { signal } = options;
  const follower = new Follower(`${host}:${port}`, table, options);
  while (!signal.aborted) {
    const queue = new ByteQueue();
    try {
      const socket = await Bun.connect({ hostname: host, port, socket: handlersOf(queue) });
      const end = (): void => socket.terminate();
      signal.addEventListener("abort", end);
      socket.data = queue;
      socket.timeout(silenceSecondsMax);
      try {
        await follower.read(wholeLines(queue), "sbs");
      } finally {
        signal.removeEventListener("abort", end);
        socket.terminate();
      }
      if (!signal.aborted) throw new Error(queue.reason);
    } catch (error) {
      if (signal.aborted) return;
      await pause(follower.fail(error), signal);
    }
  }
}

/** Takes BaseStation streams of any number of senders on `port` (0: a free one). */
export function listenSbs(
  table: Table,
  { host, port }: SbsAddress,
  options: FollowOptions,
): { readonly port: number; readonly ended: Promise<void> } {
  const { signal } = options;
  const listener = Bun.listen<ByteQueue>({
    hostname: host,
    port,
    socket: {
      ...handlersOf(),
      open(socket) {
        const queue = new ByteQueue();
        socket.data = queue;
        socket.timeout(silenceSecondsMax);
        queue.onRoom = () => void socket.resume();
        const follower = new Follower(`${socket.remoteAddress}`, table, options);
        follower
          .read(wholeLines(queue), "sbs")
          .catch((error: unknown) => void follower.fail(error));
      },
    },
  });
  const ended = Promise.withResolvers<void>();
  const end = (): void => {
    listener.stop(true);
    ended.resolve();
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end);
  return { port: listener.port, ended: ended.promise };
}

/** What a socket does with its bytes. */
function handlersOf(first?: ByteQueue): Bun.SocketHandler<ByteQueue> {
  const queueOf = (socket: Bun.Socket<ByteQueue>): ByteQueue => first ?? socket.data;
  return {
    open(socket) {
      if (first !== undefined) first.onRoom = () => void socket.resume();
    },
    data(socket, bytes) {
      socket.timeout(silenceSecondsMax);
      // Copied: the buffer is the socket's.
      if (!queueOf(socket).push(new Uint8Array(bytes))) socket.pause();
    },
    close: (socket) => queueOf(socket).end("the sender closed the connection"),
    error: (socket, error) => queueOf(socket).end(error.message),
    timeout(socket) {
      queueOf(socket).end(`the sender was silent for ${silenceSecondsMax} s`);
      socket.terminate();
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
