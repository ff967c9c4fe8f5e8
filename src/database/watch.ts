/**
 * Standing queries over the changes of one table: one feed of the keys that commits write, one
 * snapshot for all queries of a turn. A slow consumer gets fewer and larger deltas; writers never
 * wait.
 */
import { AerostoreError } from "../errors.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import { keyText } from "../changes/key-text.ts";
import { Standing } from "../changes/standing.ts";
import type { Delta, FindRows, StandingOptions } from "../changes/standing.ts";
import type { Query } from "../query/query.ts";
import type { ColumnValue } from "../schema/column.ts";
import type { TableDefinition, TableShape } from "../schema/table.ts";
import { numbers } from "../session/session.ts";
import type { Handle } from "./scope.ts";

export interface WatchOptions extends StandingOptions {
  /** Between two deltas at least so long: for browsers, 1000. Default 0. */
  readonly minIntervalMs?: number | undefined;
  /** Commits may be gathered for so long. Default 0: as soon as the event loop comes to it. */
  readonly maxLatencyMs?: number | undefined;
  /** Keeps `rows`. */
  readonly keep?: boolean | undefined;
  /** Ends the watch, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Lets the process end while the watch waits. */
  readonly unref?: boolean | undefined;
}

type AnyDelta = Delta<Readonly<Record<string, ColumnValue>>>;

/** What a watch needs of its table. */
export interface WatchSource {
  readonly handle: Handle;
  readonly definition: TableDefinition<TableShape>;
  readonly openFeed: () => ChangeFeed;
}

interface Member<Id> {
  readonly id: Id;
  readonly standing: Standing;
  readonly intervalMs: number;
  readonly latencyMs: number;
  dueAt: number;
  /** Rows written since it was looked at; undefined: any. */
  affected: Map<string, ColumnValue> | undefined;
}

/** Keys that are remembered for one query; beyond them it is run again as a whole. */
const affectedMax = 4_096;

/**
 * Many standing queries on one table. Iterated by one consumer: pairs of an id and a delta, the
 * first delta of each id with `reset`. **Throws** `CLOSED` when the database is closed.
 */
export class WatchSet<Row, Key, Id = string>
  implements AsyncIterable<readonly [Id, Delta<Row, Key>]>, Disposable
{
  readonly #source: WatchSource;
  readonly #unref: boolean;
  readonly #members = new Map<Id, Member<Id>>();
  readonly #ended = new AbortController();
  #changed = new AbortController();
  #feed: ChangeFeed;
  /** The instant of this turn may be older than the feed. */
  #again = false;

  /** For `Table.watchMany`. */
  constructor(source: WatchSource, unref = false) {
    this.#source = source;
    this.#unref = unref;
    this.#feed = source.openFeed();
  }

  /** How many queries stand. */
  get size(): number {
    return this.#members.size;
  }

  /**
   * Lets a query stand, in place of one with the same id. **Throws** `PARSE_ERROR`,
   * `UNKNOWN_FIELD`, `INVALID_VALUE`.
   */
  add(id: Id, query?: unknown, options: WatchOptions = {}): void {
    const standing = new Standing(this.#source.definition, query, options);
    const intervalMs = wait("minIntervalMs", options.minIntervalMs);
    // Mistakes in values are found by running it.
    this.#atInstant((find) => find({ ...standing.query, limit: { kind: "count", count: 1 } }));
    const latencyMs = wait("maxLatencyMs", options.maxLatencyMs);
    const member = { id, standing, intervalMs, latencyMs, dueAt: 0, affected: undefined };
    this.#members.set(id, member);
    this.#wake();
  }

  /** False: there is no query of this id. */
  remove(id: Id): boolean {
    return this.#members.delete(id);
  }

  /** The rows of a query as they were told. */
  rowsOf(id: Id): ReadonlyMap<Key, Row> | undefined {
    return this.#members.get(id)?.standing.rows as ReadonlyMap<Key, Row> | undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly [Id, Delta<Row, Key>], void> {
    try {
      while (!this.#isEnded) {
        for (const told of this.#turn()) {
          yield told as readonly [Id, Delta<Row, Key>];
          if (this.#isEnded) return;
        }
        await this.#rest();
      }
    } finally {
      this.close();
    }
  }

  /** Ends the set. Does nothing when it has ended. */
  close(): void {
    this.#ended.abort();
    this.#wake();
    this.#feed.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #isEnded(): boolean {
    return this.#ended.signal.aborted;
  }

  #wake(): void {
    this.#changed.abort();
  }

  /** One instant, and what each query that is due has to tell at it. */
  #turn(): (readonly [Id, AnyDelta])[] {
    const told: (readonly [Id, AnyDelta])[] = [];
    this.#changed = new AbortController();
    this.#again = false;
    this.#atInstant((find, csn) => {
      const later = this.#note(csn);
      const now = performance.now();
      for (const member of this.#members.values()) {
        if (isTouched(member) && member.dueAt <= now) {
          const delta = member.standing.look(find, csn - 1, member.affected);
          member.affected = this.#again ? undefined : new Map();
          if (delta !== undefined) {
            member.dueAt = now + member.intervalMs;
            told.push([member.id, delta]);
          }
        }
        touch(member, later);
      }
    });
    return told;
  }

  /** Notes which rows were written below `csn`; those that were written since are given back. */
  #note(csn: number): ReadonlyMap<string, ColumnValue> {
    const later = new Map<string, ColumnValue>();
    while (true) {
      const taken = this.#take();
      if (taken === undefined) return later;
      const before = new Map<string, ColumnValue>();
      for (const change of taken.batch) {
        const target = change.csn < csn ? before : later;
        for (const { key } of change.writes) target.set(keyText(key), key);
      }
      for (const member of this.#members.values()) touch(member, before);
      if (taken.isAtEnd && this.#feed.nextCsn >= csn) return later;
    }
  }

  /** What was committed since; undefined: so much that the log has not all of it any more. */
  #take(): ReturnType<ChangeFeed["take"]> | undefined {
    try {
      return this.#feed.take();
    } catch (error) {
      if (!(error instanceof AerostoreError) || error.code !== "POSITION_LOST") throw error;
      // Every query is run again as a whole, and nothing is lost. The new feed begins before the
      // next instant; this one may be older than it, so that is looked at once more.
      this.#feed.close();
      this.#feed = this.#source.openFeed();
      for (const member of this.#members.values()) member.affected = undefined;
      this.#again = true;
      return undefined;
    }
  }

  /** Until something was written, or a query that has something to tell is due. */
  async #rest(): Promise<void> {
    const waiting = [...this.#members.values()].filter(isTouched);
    const dueAt = waiting.reduce((least, member) => Math.min(least, member.dueAt), Infinity);
    const dueMs = dueAt - performance.now();
    if (dueMs <= 0) return;
    const signals = [this.#ended.signal, this.#changed.signal];
    if (Number.isFinite(dueMs)) signals.push(AbortSignal.timeout(Math.ceil(dueMs)));
    await this.#feed.more(AbortSignal.any(signals), !this.#unref);
  }

  #atInstant(body: (find: FindRows, csn: number) => unknown): void {
    const { handle, definition } = this.#source;
    using view = handle.view();
    const { session, catalog, searches } = handle;
    const tx = view.scope.use();
    session.run({ attempted: "watching a table" }, () =>
      session.calls.aerostore_transaction_snapshot(session.handle, tx),
    );
    const csn = session.f64[numbers.csn] ?? 0;
    const binding = catalog.bind(definition);
    const find = (query: Query): readonly Readonly<Record<string, ColumnValue>>[] => {
      const planned = searches.plans.planParsed(binding, query);
      const ready = { planned, parameters: {} };
      const rows: readonly object[] = searches.all(definition, binding, ready, tx);
      return rows as readonly Readonly<Record<string, ColumnValue>>[];
    };
    body(find, csn);
  }
}

/** One standing query, for one consumer. **Throws** `CLOSED` when the database is closed. */
export class Watch<Row, Key> implements AsyncIterable<Delta<Row, Key>>, Disposable {
  readonly #set: WatchSet<Row, Key>;
  readonly #keeps: boolean;

  /** For `Table.watch`. */
  constructor(source: WatchSource, query: unknown, options: WatchOptions) {
    this.#set = new WatchSet(source, options.unref === true);
    this.#keeps = options.keep === true;
    try {
      this.#set.add("", query, options);
    } catch (error) {
      this.#set.close();
      throw error;
    }
    if (options.signal?.aborted === true) this.close();
    options.signal?.addEventListener("abort", () => this.close(), { once: true });
  }

  /** The rows as they were told. **Throws** `TypeError` without `keep`. */
  get rows(): ReadonlyMap<Key, Row> {
    if (!this.#keeps) throw new TypeError("watch.rows is there with { keep: true }");
    return this.#set.rowsOf("") ?? new Map();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Delta<Row, Key>, void> {
    for await (const [, delta] of this.#set) yield delta;
  }

  /** Ends the watch. Does nothing when it has ended. */
  close(): void {
    this.#set.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One row as it is now, then whenever it has changed; `undefined` while there is none. */
export async function* watchRow<Row, Key>(
  source: WatchSource,
  key: unknown,
  options: WatchOptions,
): AsyncGenerator<Row | undefined, void> {
  const query = { compare: [["=", source.definition.key.name, key]] };
  using watch = new Watch<Row, Key>(source, query, options);
  for await (const { entered, changed } of watch) yield entered[0] ?? changed[0];
}

function isTouched<Id>({ affected }: Member<Id>): boolean {
  return affected === undefined || affected.size > 0;
}

function touch<Id>(member: Member<Id>, rows: ReadonlyMap<string, ColumnValue>): void {
  if (member.affected?.size === 0 && rows.size > 0 && member.latencyMs > 0) {
    member.dueAt = Math.max(member.dueAt, performance.now() + member.latencyMs);
  }
  for (const [name, key] of rows) member.affected?.set(name, key);
  if ((member.affected?.size ?? 0) > affectedMax) member.affected = undefined;
}

function wait(name: string, ms = 0): number {
  if (!(ms >= 0)) throw new RangeError(`${name} is from 0, not ${ms}`);
  return ms;
}

/** Calls `tell` with each delta. Closing the database ends it; other failures are not caught. */
export function tellAll<Row, Key>(
  watch: Watch<Row, Key>,
  tell: (delta: Delta<Row, Key>) => void,
): void {
  const run = async (): Promise<void> => {
    try {
      for await (const delta of watch) tell(delta);
    } catch (error) {
      if (!(error instanceof AerostoreError) || error.code !== "CLOSED") throw error;
    }
  };
  // A rejection without a handler is reported, as what a listener throws is.
  run();
}
