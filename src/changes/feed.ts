/**
 * A feed: whole committed transactions of every process in serial order, as an iterable. The engine
 * reads them from shared memory while they are there and from the log after that; nothing of a feed
 * holds writers up.
 */
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { ChangeValues as ChangeValuesCode } from "../ffi/constants.gen.ts";
import { Memory } from "../schema/memory.ts";
import type { Catalog } from "../session/catalog.ts";
import { inputAt, numbers, words } from "../session/session.ts";
import type { Session } from "../session/session.ts";
import { decodeCommits } from "./decode.ts";
import type { ChangeValues, ChangeWrite, DecodedCommit } from "./decode.ts";
import type { ChangeMonitor } from "./monitor.ts";
import type { Position } from "./position.ts";
import { isSystemTable } from "./system.ts";
import type { Timeline } from "./timeline.ts";

export interface ChangesOptions {
  /**
   * Where to begin: `now` (default), `oldest` (what the log still has), `snapshot` (the rows of one
   * instant, then what follows), or a position.
   */
  readonly from?: "now" | "oldest" | "snapshot" | Position | undefined;
  /**
   * Names a subscription, whose position is kept in the database: it begins at `from` once, and
   * goes on after what was acknowledged. One consumer at a time has it.
   */
  readonly name?: string | undefined;
  /** Only writes to these tables. Default: all. */
  readonly tables?: readonly string[] | undefined;
  /** What is told of a row: the changed columns (default), the whole row, or only the key. */
  readonly values?: ChangeValues | undefined;
  /** Only commits that are on disk. Default: true with a name, else as soon as they are visible. */
  readonly durable?: boolean | undefined;
  /** Ends the iterable, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Lets the process end while the feed waits. */
  readonly unref?: boolean | undefined;
}

/** What happened at once. */
export interface Change {
  /**
   * `commit`: a transaction; `snapshot`: rows to begin with, as inserts; `catalog`: a table was
   * created or changed; `progress`: nothing of interest happened up to here.
   */
  readonly kind: "commit" | "snapshot" | "catalog" | "progress";
  /** Of the commit; of a snapshot, every commit below is in it. */
  readonly csn: number;
  /** Where a feed goes on after this change; within a snapshot, `snapshot`: it begins again. */
  readonly position: Position;
  /** Milliseconds since 1970, to about a second; NaN while the log has not told it. */
  readonly time: number;
  readonly writes: readonly ChangeWrite[];
  /**
   * Of a named subscription: it goes on after this change. Settles when that is on disk; what came
   * before is not told again then. Rejects with `CLOSED`. **Throws** `TypeError` without a name.
   */
  ack(): Promise<void>;
  /**
   * The same as a part of a transaction, so that the effect of a change and the position after it
   * are one commit: exactly once. **Throws** `TypeError` without a name.
   */
  ackIn(transaction: AnyTransaction): void;
}

/** A `Transaction`, of which no more needs to be known here. */
export interface AnyTransaction {
  readonly isOpen: boolean;
  readonly readOnly: boolean;
}

/** Keeps the position of a named subscription. */
export interface Acknowledger {
  readonly ack: (position: Position) => Promise<void>;
  readonly ackIn: (transaction: AnyTransaction, position: Position) => void;
  readonly release: () => void;
}

/** How far a feed is behind. */
export interface ChangeLag {
  /** Commits, aborted ones included. */
  readonly csns: number;
  /** About so many bytes of the log. */
  readonly bytes: number;
  /** Since the feed was at the end. */
  readonly ms: number;
}

/** What a feed needs of its database. */
export interface FeedSource {
  readonly session: Session;
  readonly catalog: Catalog;
  readonly monitor: ChangeMonitor;
  readonly timeline: Timeline;
  /** Rows of one instant, in chunks: which one, and for each table its rows. */
  readonly snapshot: (tables: readonly string[]) => SnapshotRows;
}

export interface SnapshotRows extends Disposable {
  /** Every commit below is in it. */
  readonly csn: number;
  readonly chunks: () => Iterable<readonly ChangeWrite[]>;
}

const bufferSizeMin = 256 << 10;
const bufferSizeMax = 1 << 30;
/** A quiet feed tells its position so often. */
const progressMs = 1_000;
const namedProgressMs = 10_000;
const valueCodes: Readonly<Record<ChangeValues, number>> = ChangeValuesCode;
const onlyDurable = 1;
const fromNow = 0;
const tableBytes = 32;

class ChangeRecord implements Change {
  readonly kind: Change["kind"];
  readonly csn: number;
  readonly time: number;
  readonly writes: readonly ChangeWrite[];
  readonly #timeline: Timeline;
  readonly #acknowledger: Acknowledger | undefined;

  constructor(
    timeline: Timeline,
    acknowledger: Acknowledger | undefined,
    kind: Change["kind"],
    commit: Omit<DecodedCommit, "isCatalog">,
  ) {
    this.#timeline = timeline;
    this.#acknowledger = acknowledger;
    this.kind = kind;
    this.csn = commit.csn;
    this.time = commit.time;
    this.writes = commit.writes;
  }

  get position(): Position {
    if (this.kind === "snapshot") return "snapshot" as Position;
    return this.#timeline.positionOf(this.csn + 1);
  }

  ack(): Promise<void> {
    return this.#named.ack(this.position);
  }

  ackIn(transaction: AnyTransaction): void {
    this.#named.ackIn(transaction, this.position);
  }

  get #named(): Acknowledger {
    if (this.#acknowledger !== undefined) return this.#acknowledger;
    throw new TypeError("a feed without a name keeps no position: give changes() a name");
  }
}

/**
 * Changes as they are committed. One consumer iterates it; ending the loop closes it. The iterable
 * **throws** `CLOSED` when the database is closed, `POSITION_LOST` when the log does not have what
 * followed on the position any more.
 */
export class ChangeFeed implements AsyncIterable<Change>, AsyncDisposable {
  readonly #source: FeedSource;
  readonly #options: ChangesOptions;
  readonly #acknowledger: Acknowledger | undefined;
  readonly #values: ChangeValues;
  readonly #wanted: ReadonlySet<string> | undefined;
  #number: number | undefined;
  #memory = Memory.allocate(bufferSizeMin);
  /** All below was read. */
  #nextCsn = 0;
  /** All below was handed out. */
  #toldCsn = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #atEndAt = performance.now();
  #isInSnapshot = false;
  #isOver = false;
  #ended = new AbortController();

  /** For `Database.changes`. **Throws** `UNKNOWN_TABLE`, `INVALID_VALUE`, `POSITION_LOST`. */
  constructor(source: FeedSource, options: ChangesOptions, acknowledger?: Acknowledger) {
    this.#source = source;
    this.#options = options;
    this.#acknowledger = acknowledger;
    const { values = "changed", tables, from = "now" } = options;
    if (!Object.hasOwn(valueCodes, values)) {
      throw new TypeError(`values is "changed", "row" or "keys", not ${String(values)}`);
    }
    this.#values = values;
    for (const name of tables ?? []) source.catalog.find(name);
    this.#wanted = tables === undefined ? undefined : new Set(tables);
    // What happens from here on is told, however late the iteration begins.
    this.#open(from);
    options.signal?.addEventListener("abort", () => this.#ended.abort(), { once: true });
    if (options.signal?.aborted === true) this.#ended.abort();
  }

  /** Where a feed goes on that has had what this one has handed out. */
  get position(): Position {
    if (this.#isInSnapshot) return "snapshot" as Position;
    return this.#source.timeline.positionOf(this.#toldCsn);
  }

  /** How far the feed is behind. **Throws** `CLOSED`. */
  get lag(): ChangeLag {
    const { csn, logBytes } = this.#source.timeline.now();
    const csns = Math.max(0, csn - this.#toldCsn);
    const bytes = csns === 0 ? 0 : Math.ceil((logBytes * csns) / Math.max(csn, 1));
    return { csns, bytes, ms: csns === 0 ? 0 : performance.now() - this.#atEndAt };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Change, void> {
    for await (const batch of this.#follow()) {
      for (const change of batch) {
        this.#hand(change);
        yield change;
      }
    }
  }

  /** The same in arrays of what is there at once: fewer turns of the event loop. */
  async *batches(): AsyncGenerator<readonly Change[], void> {
    for await (const batch of this.#follow()) {
      const last = batch.at(-1);
      if (last !== undefined) this.#hand(last);
      yield batch;
    }
  }

  /**
   * What is there now, for those who follow in their own way; `isAtEnd`: there was no more. All
   * below `nextCsn` was read.
   */
  take(): { readonly batch: readonly Change[]; readonly isAtEnd: boolean } {
    return this.#read();
  }

  get nextCsn(): number {
    return this.#nextCsn;
  }

  /** Settles when there may be more to take, or when `signal` is aborted. */
  more(signal: AbortSignal, keepsAlive: boolean): Promise<void> {
    const isDurable = this.#options.durable === true;
    return this.#source.monitor.wait({ csn: this.#nextCsn, isDurable, keepsAlive }, signal);
  }

  async *#follow(): AsyncGenerator<readonly Change[], void> {
    try {
      if (this.#options.from === "snapshot") yield* this.#snapshot();
      while (!this.#isEnded) {
        const { batch, isAtEnd } = this.#read();
        if (batch.length > 0) {
          yield batch;
          continue;
        }
        if (!isAtEnd) continue;
        this.#atEndAt = performance.now();
        const progress = this.#progress();
        if (progress !== undefined) yield [progress];
        else await this.#wait();
      }
    } finally {
      this.close();
    }
  }

  /** Ends the feed. Does nothing when it has ended. */
  close(): void {
    this.#isOver = true;
    this.#ended.abort();
    const { session } = this.#source;
    if (this.#number !== undefined && session.isOpen) {
      session.calls.aerostore_changes_close(session.handle, this.#number);
    }
    if (this.#number !== undefined) this.#acknowledger?.release();
    this.#number = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  get #isEnded(): boolean {
    return this.#isOver || this.#ended.signal.aborted;
  }

  #open(from: NonNullable<ChangesOptions["from"]>): void {
    const { session, timeline } = this.#source;
    const { calls, handle, u32, f64 } = session;
    const start =
      from === "now" || from === "snapshot"
        ? fromNow
        : from === "oldest"
          ? timeline.oldest()
          : timeline.check(from);
    const flags = this.#options.durable === true ? onlyDurable : 0;
    session.run({ attempted: "following changes" }, () =>
      calls.aerostore_changes_open(handle, start, flags, valueCodes[this.#values]),
    );
    this.#number = u32[words.cursor] ?? 0;
    this.#nextCsn = f64[numbers.csn] ?? 0;
    this.#toldCsn = this.#nextCsn;
    this.#filter();
  }

  /** Tells the engine which tables are of interest. */
  #filter(): void {
    if (this.#wanted === undefined) return;
    const { session, catalog } = this.#source;
    const bits = session.memory.u8.subarray(inputAt, inputAt + tableBytes);
    bits.fill(0);
    for (const name of this.#wanted) {
      const { id } = catalog.bind(catalog.find(name));
      bits[id >> 3] = (bits[id >> 3] ?? 0) | (1 << (id & 7));
    }
    session.run({ attempted: "following changes" }, () =>
      session.calls.aerostore_changes_filter(session.handle, this.#number ?? 0),
    );
  }

  #read(): { readonly batch: readonly Change[]; readonly isAtEnd: boolean } {
    const { session, catalog, timeline } = this.#source;
    if (!session.isOpen) throw closed();
    const { calls, handle, u32, f64 } = session;
    const number = this.#number ?? 0;
    let status = calls.aerostore_changes_read(handle, number, this.#memory.u8, this.#memory.u8);
    while (status === Status.buffer_too_small) {
      const size = this.#memory.buffer.byteLength * 2;
      if (size > bufferSizeMax) break;
      this.#memory = Memory.allocate(size);
      status = calls.aerostore_changes_read(handle, number, this.#memory.u8, this.#memory.u8);
    }
    if (status === Status.position_lost || status === Status.values_lost) {
      throw timeline.lost(this.#toldCsn, status === Status.values_lost ? "values" : "dropped");
    }
    if (status !== Status.ok) throw session.error(status, { attempted: "reading changes" });
    this.#nextCsn = f64[numbers.csn] ?? 0;
    const isAtEnd = u32[words.done] === 1;
    const commits = decodeCommits(this.#memory, u32[words.rows] ?? 0, {
      values: this.#values,
      tableOf: (id) => catalog.tableOf(id),
      isWanted: (table) => this.#wanted?.has(table) ?? !isSystemTable(table),
    });
    const batch = commits.map(
      (each) =>
        new ChangeRecord(timeline, this.#acknowledger, each.isCatalog ? "catalog" : "commit", each),
    );
    return { batch, isAtEnd: isAtEnd && batch.length === 0 };
  }

  #hand({ kind, csn }: Change): void {
    this.#isInSnapshot = kind === "snapshot";
    if (kind !== "snapshot") this.#toldCsn = Math.max(this.#toldCsn, csn + 1);
    this.#toldAt = performance.now();
  }

  /** Nothing of interest up to here, told now and then. */
  #progress(): Change | undefined {
    const isNews = this.#nextCsn > this.#toldCsn;
    if (!isNews || performance.now() - this.#toldAt < this.#progressMs) return undefined;
    return this.#progressAt(this.#nextCsn - 1);
  }

  /** An acknowledgement is a commit itself: a feed must not be kept busy by its own. */
  get #progressMs(): number {
    return this.#acknowledger === undefined ? progressMs : namedProgressMs;
  }

  #progressAt(csn: number): Change {
    const nothing = { csn, time: Number.NaN, writes: [] };
    return new ChangeRecord(this.#source.timeline, this.#acknowledger, "progress", nothing);
  }

  #wait(): Promise<void> {
    const isDurable = this.#options.durable === true;
    const keepsAlive = this.#options.unref !== true;
    const awaited = { csn: this.#nextCsn, isDurable, keepsAlive };
    return this.#source.monitor.wait(awaited, this.#ended.signal);
  }

  async *#snapshot(): AsyncGenerator<readonly Change[], void> {
    const { timeline, catalog } = this.#source;
    const names =
      this.#wanted === undefined ? catalog.list().map(({ name }) => name) : this.#wanted;
    const tables = [...names].filter((name) => this.#wanted !== undefined || !isSystemTable(name));
    using rows = this.#source.snapshot(tables);
    const { csn } = rows;
    for (const writes of rows.chunks()) {
      if (this.#isEnded) return;
      const kept = this.#values === "keys" ? writes.map(keyOnly) : writes;
      yield [
        new ChangeRecord(timeline, this.#acknowledger, "snapshot", {
          csn,
          time: Number.NaN,
          writes: kept,
        }),
      ];
    }
    // What was committed after the feed was made and before the snapshot is in the rows.
    let rest: readonly Change[] = [];
    while (this.#nextCsn < csn && !this.#isEnded) {
      const before = this.#nextCsn;
      rest = this.#read().batch.filter((change) => change.csn >= csn);
      if (this.#nextCsn === before) await this.#wait();
    }
    // The rows are complete: from here on the position can be kept.
    yield [this.#progressAt(csn - 1), ...rest];
  }
}

function keyOnly({ table, op, key }: ChangeWrite): ChangeWrite {
  return { table, op, key };
}

function closed(): AerostoreError {
  return new AerostoreError("CLOSED", "following changes: the database was closed");
}
