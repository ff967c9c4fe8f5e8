/** Aerostore through its public face, as a program uses it. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AerostoreError, defineTable, open, param, t } from "aerostore";
import type { Database, Savepoint, TableDefinition, TableShape, Transaction } from "aerostore";
import type { AnyShape, Change, Column, Key, Query, Shape, Value } from "../workloads/model.ts";
import { packageVersion } from "./package.ts";
import type { Body, OpenOptions, OpenTx, Peer, Place, Store, Table, TxTable } from "./peer.ts";
import { runNow } from "./peer.ts";

/** Tables of the benchmark have no optional columns: all forms of a row are the row. */
interface RowShape<R extends object> extends TableShape {
  readonly row: R;
  readonly insert: R;
  readonly upsert: R;
  readonly patch: Partial<R>;
  readonly key: Key;
}

type Definition<R extends object> = TableDefinition<RowShape<R>>;

const definitions = new WeakMap<AnyShape, TableDefinition<TableShape>>();

function definitionOf<R extends object>(shape: Shape<R>): Definition<R> {
  return definition(shape) as Definition<R>; // its columns are those of R
}

function definition(shape: AnyShape): TableDefinition<TableShape> {
  let found = definitions.get(shape);
  if (found === undefined) {
    const columns = shape.columns.map((column, at) => [column.name, declare(column, at === 0)]);
    found = defineTable(shape.name, Object.fromEntries(columns));
    definitions.set(shape, found);
  }
  return found;
}

function declare(column: Column, isKey: boolean) {
  const base = typeOf(column);
  if (isKey) return base.primaryKey();
  return column.indexed === true ? base.index() : base;
}

function typeOf(column: Column) {
  switch (column.kind) {
    case "string":
      return t.string(column.size ?? 255);
    case "bytes":
      return t.bytes(column.size ?? 255);
    case "i32":
      return t.i32();
    case "i64":
      return t.i64();
    case "decimal":
      return t.decimal(column.scale ?? 6);
  }
}

class AerostoreStore implements Store {
  readonly inFlight = 0;
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  table<R extends object>(shape: Shape<R>): Table<R> {
    return new AerostoreTable(this.#db, shape);
  }

  transact<T>(body: Body<T>): T {
    return this.#db.transact((tx) => runNow(body(new AerostoreTx(tx))));
  }

  begin(): OpenTx {
    return new AerostoreTx(this.#db.begin());
  }

  isConflict(error: unknown): boolean {
    return error instanceof AerostoreError && error.code === "SERIALIZATION_FAILURE";
  }

  /** What this process has handed to the kernel: it writes the log of all, and nothing else. */
  async logBytes(): Promise<number> {
    await this.#db.durable();
    const text = readFileSync("/proc/self/io", "latin1");
    return Number(/^wchar: (\d+)/m.exec(text)?.[1] ?? 0);
  }

  memoryBytes(): number {
    return this.#db.stats().memory.usedBytes;
  }

  close(): void {
    this.#db.close();
  }
}

class AerostoreTable<R extends object> implements Table<R> {
  readonly #db: Database;
  readonly #definition: Definition<R>;
  readonly #table;

  constructor(db: Database, shape: Shape<R>) {
    this.#db = db;
    this.#definition = definitionOf(shape);
    this.#table = db.table(this.#definition);
  }

  load(rows: readonly R[]): void {
    this.#table.upsertMany(rows);
  }

  upsert(row: R): boolean {
    return this.#table.upsert(row);
  }

  async upsertDurable(row: R): Promise<void> {
    this.#table.upsert(row);
    await this.#db.durable();
  }

  get(key: Key): R | undefined {
    return this.#table.get(key);
  }

  delete(key: Key): boolean {
    return this.#table.delete(key);
  }

  modify(change: Change<R>): (key: Key, value: number) => void {
    return (key, value) =>
      this.#db.transact((tx) => {
        const table = tx.table(this.#definition);
        const row = table.get(key);
        if (row === undefined) throw new Error(`no row ${key}`);
        table.upsert(change.apply(row, value));
      });
  }

  search(query: Query): (values: readonly Value[]) => R[] {
    const prepared = this.#table.prepare(wordsOf(query, placeholder));
    return (values) => prepared.all(parametersOf(values));
  }

  count(query: Query): (values: readonly Value[]) => number {
    const prepared = this.#table.prepare(wordsOf(query, placeholder));
    return (values) => prepared.count(parametersOf(values));
  }

  ingest(text: Uint8Array): Promise<unknown> {
    return this.#table.ingestTsv(text);
  }
}

class AerostoreTx implements OpenTx {
  readonly #tx: Transaction;
  #savepoint: Savepoint | undefined;

  constructor(tx: Transaction) {
    this.#tx = tx;
  }

  table<R extends object>(shape: Shape<R>): TxTable<R> {
    const table = this.#tx.table(definitionOf(shape));
    return {
      get: (key) => table.get(key),
      upsert: (row) => table.upsert(row),
      delete: (key) => table.delete(key),
      search: (query, values) => table.search(wordsOf(query, (at) => values[at])).toArray(),
    };
  }

  savepoint(): void {
    this.#savepoint = this.#tx.savepoint();
  }

  rollback(): void {
    if (this.#savepoint !== undefined) this.#tx.rollbackTo(this.#savepoint);
  }

  commit(): void {
    this.#tx.commit();
  }

  abort(): void {
    this.#tx.abort();
  }
}

const operators = {
  "=": "=",
  "<": "<",
  "<=": "<=",
  ">": ">",
  ">=": ">=",
  match: "match_case",
} as const;

/** A query in its array form. */
function wordsOf(query: Query, value: (position: number) => unknown): readonly unknown[] {
  const compare = query.where.map((each) => [operators[each.op], each.column, value(each.value)]);
  const words: unknown[] = compare.length === 0 ? [] : ["-compare", compare];
  const { sort, limit } = query;
  if (sort !== undefined) words.push("-sort", `${sort.descending ? "-" : ""}${sort.column}`);
  if (limit !== undefined) words.push("-limit", limit);
  return words;
}

const placeholder = (position: number): unknown => param(`v${position}`);

type Parameters = Readonly<Record<string, Value>>;

/** As a program writes them: `{ v0: low, v1: high }`. */
function parametersOf(values: readonly Value[]): Parameters {
  const [v0, v1, ...more] = values;
  if (v0 === undefined) return {};
  if (v1 === undefined) return { v0 };
  if (more.length > 0) throw new RangeError("queries have at most two values");
  return { v0, v1 };
}

/** What `open` does by itself. */
const sessionsMin = 256;
/** Its handle's, and its maintenance thread's. */
const sessionsPerProcess = 2;

const segmentOf = (place: Place): string => join(place.memory, "segment.mmap");

async function openStore(
  place: Place,
  shapes: readonly AnyShape[],
  options: OpenOptions,
): Promise<Store> {
  const db = await open(place.directory, {
    tables: shapes.map(definition),
    shmPath: segmentOf(place),
    maxBytes: options.bytesMax,
    maxSessions: Math.max(sessionsMin, sessionsPerProcess * options.processes),
  });
  return new AerostoreStore(db);
}

export const aerostore: Peer = {
  name: "aerostore",
  promises: {
    survives: "processes",
    loses: "on power loss: up to 10 ms, never part of a transaction (synchronous_commit off)",
    isolation: "serializable",
    shared: "processes",
  },
  cannot: {},
  getIt: "bun run build",
  version: () => packageVersion(".."),
  forgetMemory: (place) => rmSync(segmentOf(place), { force: true }),
  open: openStore,
};
