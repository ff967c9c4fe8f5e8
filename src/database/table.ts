/** A table as programs use it: rows by key, searches, and writes by search. */
import { upsertMany } from "./upsert-many.ts";
import type { BatchOptions, WriteCounts } from "./upsert-many.ts";
import type { TableBinding } from "../session/catalog.ts";
import { Status } from "../ffi/abi.gen.ts";
import { WriteOp } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import type { IngestReport } from "../ingest/ingest.ts";
import type { IngestInput } from "../ingest/input.ts";
import type { IngestOptions } from "../ingest/options.ts";
import type { IngestSource } from "../ingest/source.ts";
import { checkOptions } from "./options.ts";
import type { DueBatch, DueOptions } from "./due.ts";
import { PreparedAggregate } from "./aggregate.ts";
import { Prepared } from "./prepared.ts";
import type { AggregateQuery, GroupBy, GroupOf, SelectBy } from "../query/aggregate-types.ts";
import type { Group } from "../search/groups.ts";
import { explain } from "../query/plan/explain.ts";
import type { ExplainedPlan } from "../query/plan/explain.ts";
import { takeParameters } from "../query/parse/parameter.ts";
import type { Parameters } from "../query/plan/encode.ts";
import type { SearchInput, SearchQuery } from "../query/types.ts";
import type { Result } from "../search/result.ts";
import type { RowDecoder } from "../schema/decode.ts";
import type { RowEncoder } from "../schema/encode.ts";
import { recordHeadSize } from "../schema/layout.ts";
import type { DynamicShape, TableDefinition, TableShape } from "../schema/table.ts";
import { isScalar, readValue } from "../schema/value.ts";
import { autoCommit } from "./scope.ts";
import type { Scope } from "./scope.ts";
import type { Delta } from "../changes/standing.ts";
import { tellAll, Watch, watchRow, WatchSet } from "./watch.ts";
import type { WatchOptions, WatchSource } from "./watch.ts";
import { inputAt, outputAt, words } from "../session/session.ts";
import type { CallSubject, Session } from "../session/session.ts";
import { deleteFound, executeChange, updateFound } from "./statement.ts";

export interface ExplainOptions {
  /** Runs the search, too, and tells what was examined and returned. */
  readonly analyze?: boolean | undefined;
}

/** Where a write record has the mask of columns without a value. */
const missingAt: number = layouts.RecordHead.fields.missing.offset;

/** The shape of a table whose rows are read with the columns `F` alone. */
export interface ShapeOfFields<S extends TableShape, F extends keyof S["row"]> extends TableShape {
  readonly row: Pick<S["row"], F>;
  readonly insert: S["insert"];
  readonly upsert: S["upsert"];
  readonly patch: S["patch"];
  readonly key: S["key"];
}

/** A table in a scope: the database or a transaction. */
export class Table<S extends TableShape = DynamicShape> {
  readonly definition: TableDefinition<S>;
  /** @internal */
  protected readonly scope: Scope;
  /** @internal */
  protected readonly binding: TableBinding;
  readonly #session: Session;
  readonly #encoder: RowEncoder;
  readonly #decoder: RowDecoder<S["row"]>;

  /**
   * @internal For `Database.table`, `Transaction.table`. **Throws** `UNKNOWN_TABLE`,
   * `SCHEMA_MISMATCH`.
   */
  constructor(scope: Scope, definition: TableDefinition<S>) {
    this.definition = definition;
    this.scope = scope;
    this.binding = scope.handle.catalog.bind(definition);
    this.#session = scope.handle.session;
    this.#encoder = this.binding.encoder;
    this.#decoder = definition.decoder;
  }

  get name(): string {
    return this.definition.name;
  }

  /**
   * Inserts the row, or changes the named columns of the one that has its key; true if inserted.
   *
   * **Throws** `INVALID_VALUE`, `UNKNOWN_FIELD`, `DUPLICATE_KEY` (a unique column),
   * `SERIALIZATION_FAILURE`, `SEGMENT_FULL`.
   */
  upsert(row: S["upsert"]): boolean {
    this.#encoder.record(row, inputAt);
    this.#write(WriteOp.upsert, "upserting");
    return this.#session.u32[words.inserted] === 1;
  }

  /** Inserts the row. **Throws** `DUPLICATE_KEY` if its key is taken, and what `upsert` throws. */
  insert(row: S["insert"]): void {
    this.#encoder.record(row, inputAt);
    this.#write(WriteOp.insert, "inserting");
  }

  /** Changes columns of a row; true if it is there, changed or not. **Throws** like `upsert`. */
  update(key: S["key"], patch: S["patch"]): boolean {
    this.#encoder.patch(key, patch, inputAt);
    this.#write(WriteOp.update, "updating");
    return this.#session.u32[words.found] === 1;
  }

  /** Deletes a row; true if it was there. **Throws** like `upsert`. */
  delete(key: S["key"]): boolean {
    const tx = this.scope.useToWrite();
    const { calls, handle, u32 } = this.#session;
    this.#encoder.key(key, inputAt);
    const status = calls.aerostore_row_delete(handle, tx, this.binding.id);
    if (status !== Status.ok) {
      this.#session.settle(status, this.subject("deleting", key), () =>
        calls.aerostore_row_delete(handle, tx, this.binding.id),
      );
    }
    const found = u32[words.found] === 1;
    this.scope.wrote();
    return found;
  }

  /** The row of a key. **Throws** `INVALID_VALUE` for what cannot be a key. */
  get(key: S["key"]): S["row"] | undefined {
    const tx = this.scope.use();
    const session = this.#session;
    const { calls, handle } = session;
    this.#encoder.key(key, inputAt);
    const status = calls.aerostore_row_get(handle, tx, this.binding.id);
    if (status !== Status.ok) {
      session.settle(status, this.subject("reading", key), () =>
        calls.aerostore_row_get(handle, tx, this.binding.id),
      );
    }
    if (session.u32[words.found] !== 1) return undefined;
    return this.#decoder.row(session.memory, outputAt);
  }

  /**
   * Upserts many rows, one transaction per batch. **Throws** what `upsert` throws; batches before
   * the failing one are in, the failing one is not.
   */
  upsertMany(rows: Iterable<S["upsert"]>, options: BatchOptions = {}): WriteCounts {
    return upsertMany(this.scope, this.binding, rows, options);
  }

  /**
   * Streams a file, text, bytes or a stream of them into the table, one transaction per batch.
   *
   * **Throws** what `upsert` throws when it concerns more than a line, `INVALID_VALUE` at the first
   * bad line with `strict`, `UNKNOWN_FIELD` and `PARSE_ERROR` for a header, `IO_ERROR`.
   */
  async ingest(
    source: IngestSource | IngestInput,
    options: IngestOptions = {},
  ): Promise<IngestReport> {
    this.scope.useToWrite();
    // Loaded when it is needed: the streams of its formats cost more than all else at the start.
    const { ingest } = await import("../ingest/ingest.ts");
    const { ingestEngine } = await import("./ingest-engine.ts");
    return ingest(ingestEngine(this.scope, this.binding), source, options);
  }

  /** `ingest` of tab-separated lines. */
  async ingestTsv(source: IngestSource, options: IngestOptions = {}): Promise<IngestReport> {
    return this.ingest(source, { format: "tsv", ...options });
  }

  /**
   * The rows that a query finds (docs/stapi.md); all rows without one. Only reads. Rows have the
   * columns of `fields`, where the query names them.
   *
   * **Throws** `PARSE_ERROR`, also for a query with `-update` or `-delete`, which `execute` runs;
   * `UNKNOWN_FIELD`, `INVALID_VALUE`; `SNAPSHOT_TOO_OLD` while a long result is read.
   */
  search<const F extends string & keyof S["row"]>(
    query: SearchQuery<S["row"], S["patch"]> & { readonly fields: readonly F[] },
  ): Result<Pick<S["row"], F>>;
  search(query?: SearchInput<S["row"], S["patch"]>): Result<S["row"]>;
  search(query?: unknown): unknown {
    this.scope.use();
    const ready = this.scope.handle.searches.plans.ready(this.binding, query, false);
    return this.scope.handle.searches.rows(this.definition, this.binding, ready, this.scope);
  }

  /** How many rows a query finds, after its offset and limit. **Throws** like `search`. */
  count(query?: SearchInput<S["row"], S["patch"]>): number {
    this.scope.use();
    const { searches } = this.scope.handle;
    const ready = searches.plans.ready(this.binding, query, true);
    return searches.count(this.binding, ready, this.scope.use());
  }

  /** How a query would be run; with `analyze`, also what running it gives. **Throws** likewise. */
  explain(query?: SearchInput<S["row"], S["patch"]>, options: ExplainOptions = {}): ExplainedPlan {
    checkOptions("explain", options, ["analyze"]);
    const tx = this.scope.use();
    const { searches } = this.scope.handle;
    if (options.analyze !== true)
      return explain(searches.plans.plan(this.binding, query, false).plan);
    const { plan, measured } = searches.measure(this.binding, query, tx);
    return explain(plan, measured);
  }

  /**
   * A search with parameters where values stand, planned once: `$name` in a text, `param("name")`
   * in an object. **Throws** like `search`.
   */
  prepare<const F extends string & keyof S["row"]>(
    query: SearchQuery<S["row"], S["patch"]> & { readonly fields: readonly F[] },
  ): Prepared<ShapeOfFields<S, F>>;
  prepare(query: SearchInput<S["row"], S["patch"]>): Prepared<S>;
  prepare(query: unknown): unknown {
    this.scope.use();
    return new Prepared(this.scope, this.binding, this.definition, query);
  }

  /**
   * The rows that a query finds, live: a first delta with all of them, then what has changed,
   * whatever process wrote it. Deltas folded up to a commit are what the query finds after it. With
   * a function, it is called with each delta, until it is disposed.
   *
   * **Throws** `PARSE_ERROR`, `UNKNOWN_FIELD`, `INVALID_VALUE`, `TypeError` inside a transaction;
   * the iterable `CLOSED`.
   */
  watch(
    query?: SearchInput<S["row"], S["patch"]>,
    options?: WatchOptions,
  ): Watch<S["row"], S["key"]>;
  watch(
    query: SearchInput<S["row"], S["patch"]>,
    options: WatchOptions,
    tell: (delta: Delta<S["row"], S["key"]>) => void,
  ): Disposable;
  watch(
    query?: unknown,
    options: WatchOptions = {},
    tell?: (delta: Delta<S["row"], S["key"]>) => void,
  ): Watch<S["row"], S["key"]> {
    const watch = new Watch<S["row"], S["key"]>(this.#watched(), query, options);
    if (tell !== undefined) tellAll(watch, tell);
    return watch;
  }

  /** One row, live: as it is, then whenever it has changed; `undefined` while there is none. */
  watchKey(key: S["key"], options: WatchOptions = {}): AsyncGenerator<S["row"] | undefined, void> {
    return watchRow<S["row"], S["key"]>(this.#watched(), key, options);
  }

  /** Many standing queries that share what they have in common: for servers. */
  watchMany<Id = string>(): WatchSet<S["row"], S["key"], Id> {
    return new WatchSet<S["row"], S["key"], Id>(this.#watched());
  }

  #watched(): WatchSource {
    if (this.scope.use() !== autoCommit) {
      throw new TypeError("a transaction sees one instant: watch db.table(…)");
    }
    const { handle } = this.scope;
    const { definition } = this;
    const options = { tables: [definition.name], values: "keys" as const };
    return { handle, definition, openFeed: () => handle.follow(options) };
  }

  /**
   * Values of groups of rows: counts, sums, averages, smallest, largest and distinct values, and
   * quantiles. Computed by the engine from one snapshot, without making rows: integers and decimals
   * exactly, sums of floats exactly and rounded once. Groups are in the order of their keys, unless
   * `sort` says otherwise. Without a group there is one row, also of no rows: `sum` is 0 then, and
   * `avg`, `min`, `max` and `quantile` are null.
   *
   * Linear in the rows examined; `min` and `max` of an indexed column of the whole table read one
   * entry. `distinct` and `quantile` keep all values. **Throws** `PARSE_ERROR`, `UNKNOWN_FIELD`,
   * `INVALID_VALUE`.
   */
  aggregate<
    const G extends readonly GroupBy<S["row"]>[] = readonly [],
    const V extends Readonly<Record<string, SelectBy<S["row"]>>> = Readonly<Record<never, never>>,
  >(query: AggregateQuery<S["row"], G, V>): readonly GroupOf<S["row"], G, V>[];
  aggregate(query: string | readonly unknown[]): readonly Group[];
  aggregate(query: unknown): unknown {
    this.scope.use();
    return new PreparedAggregate(this.scope, this.binding, query).all();
  }

  /** An aggregation with parameters where values stand, planned once. **Throws** likewise. */
  prepareAggregate<
    const G extends readonly GroupBy<S["row"]>[] = readonly [],
    const V extends Readonly<Record<string, SelectBy<S["row"]>>> = Readonly<Record<never, never>>,
  >(query: AggregateQuery<S["row"], G, V>): PreparedAggregate<GroupOf<S["row"], G, V>>;
  prepareAggregate(query: string | readonly unknown[]): PreparedAggregate;
  prepareAggregate(query: unknown): unknown {
    this.scope.use();
    return new PreparedAggregate(this.scope, this.binding, query);
  }

  /**
   * The different values of a column in the rows that a query finds, in order, null last.
   * **Throws** like `aggregate`; `PARSE_ERROR` for a query with an order or a window.
   */
  distinct<K extends string & keyof S["row"]>(
    column: K,
    query?: SearchInput<S["row"], S["patch"]>,
  ): S["row"][K][];
  distinct(column: string, query?: unknown): unknown {
    const tx = this.scope.use();
    const { searches } = this.scope.handle;
    const kept = searches.plans.keepDistinct(this.binding, column, query);
    const ready = searches.plans.bind(this.binding, kept, {});
    return searches.groups(this.binding, ready, tx).map((group) => group[column]);
  }

  /**
   * Changes columns of the rows that a query finds, in one transaction; its sort and limit apply.
   * The number of rows found. All rows are changed only when the query says so: `{ all: true }` or
   * `"-compare {}"`. **Throws** like `search` and `upsert`, `TypeError` for a query of all rows.
   */
  updateWhere(query: SearchInput<S["row"], S["patch"]>, patch: S["patch"]): number {
    this.scope.useToWrite();
    const { plans } = this.scope.handle.searches;
    const planned = plans.planOfChange(this.binding, query, "updateWhere");
    return updateFound(this.scope, this.binding, { planned, parameters: {} }, patch);
  }

  /**
   * Runs a query with `-update` or `-delete`, in one transaction. The number of rows found.
   * **Throws** like `updateWhere`, `PARSE_ERROR` for a query that only reads.
   */
  execute(query: SearchInput<S["row"], S["patch"]>, parameters: Parameters = {}): number {
    this.scope.useToWrite();
    const values = takeParameters(parameters);
    const { plans } = this.scope.handle.searches;
    const ready = plans.readyToChange(this.binding, query, values);
    return executeChange(this.scope, this.binding, ready, values);
  }

  /** Deletes the rows that a query finds, likewise. The number of rows deleted. */
  deleteWhere(query: SearchInput<S["row"], S["patch"]>): number {
    this.scope.useToWrite();
    const { plans } = this.scope.handle.searches;
    const planned = plans.planOfChange(this.binding, query, "deleteWhere");
    return deleteFound(this.scope, this.binding, { planned, parameters: {} });
  }

  /**
   * Deletes the rows that a query finds and returns them as they were, in one transaction; its sort
   * and limit apply. **Throws** like `updateWhere`.
   */
  takeWhere(query: SearchInput<S["row"], S["patch"]>): S["row"][] {
    this.scope.useToWrite();
    const { searches } = this.scope.handle;
    const planned = searches.plans.planOfChange(this.binding, query, "takeWhere");
    const ready = { planned, parameters: {} };
    return this.scope.atomically((inner) => {
      const rows = searches.rows(this.definition, this.binding, ready, inner).toArray();
      deleteFound(inner, this.binding, ready);
      return rows;
    });
  }

  /**
   * Batches of rows whose time in `column` has come, the earliest first, each row to one worker of
   * any process; waits while none is due. A batch that is not `done` is given back when the next is
   * asked for, when the loop ends, and when the worker dies.
   *
   * **Throws** `UNKNOWN_FIELD`, `INVALID_VALUE` for a column that is no indexed time, `RangeError`
   * for a wrong batch size, `CLOSED`.
   */
  async *due(options: DueOptions): AsyncGenerator<DueBatch<S["row"]>, void> {
    this.scope.useToWrite();
    const { dueBatches } = await import("./due.ts");
    yield* dueBatches(this.scope.handle, this, options);
  }

  /** @internal */
  protected subject(attempted: string, key: unknown): CallSubject {
    return { attempted, table: this.definition.name, ...(isScalar(key) ? { key } : {}) };
  }

  /** Writes the record in the input. */
  #write(op: WriteOp, attempted: string): void {
    const tx = this.scope.useToWrite();
    const { calls, handle } = this.#session;
    const status = calls.aerostore_row_write(handle, tx, this.binding.id, op);
    if (status !== Status.ok) {
      const missing = status === Status.missing_value ? this.#missingColumn() : undefined;
      const subject = { ...this.subject(attempted, this.#key()), column: missing };
      this.#session.settle(status, subject, () =>
        calls.aerostore_row_write(handle, tx, this.binding.id, op),
      );
    }
    this.scope.wrote();
  }

  /** The key of the record in the input. The row is not asked again: it may have changed. */
  #key(): unknown {
    const { key } = this.definition;
    return readValue(this.#session.memory, inputAt + recordHeadSize + key.offset, key);
  }

  /** The first column that the record in the input has no value for. */
  #missingColumn(): string | undefined {
    const missing = this.#session.memory.u64[(inputAt + missingAt) >> 3] ?? 0n;
    return this.definition.columns.find(
      ({ position }) => position > 0 && (missing >> BigInt(position - 1)) % 2n === 1n,
    )?.name;
  }
}
