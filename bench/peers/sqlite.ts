/**
 * SQLite behind either of its two drivers for Bun, prepared statements throughout. In WAL mode a
 * file is shared by processes; one of them writes at a time.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { AnyShape, Change, Column, Key, Query, Shape, Value } from "../workloads/model.ts";
import { parseTsv } from "./lines.ts";
import type { Body, OpenOptions, OpenTx, Place, Store, Table, Tx, TxTable } from "./peer.ts";
import { runNow } from "./peer.ts";
import {
  createIndexes,
  createTable,
  deleteByKey,
  insertRow,
  keyOf,
  onConflictUpdate,
  selectByKey,
  selectWhere,
} from "./sql.ts";
import type { Dialect } from "./sql.ts";

/** What both drivers have. */
export interface SqliteStatement {
  run(...values: Value[]): unknown;
  get(...values: Value[]): unknown;
  all(...values: Value[]): unknown[];
}

export interface SqliteDriver {
  prepare(sql: string): SqliteStatement;
  exec(sql: string): unknown;
  close(): unknown;
}

const types: Readonly<Record<Column["kind"], string>> = {
  string: "TEXT",
  bytes: "BLOB",
  i32: "INTEGER",
  i64: "INTEGER",
  decimal: "REAL",
};

const dialect: Dialect = {
  parameter: () => "?", // one driver does not take a number behind it
  type: (column) => types[column.kind],
  tableOptions: (shape) => (keyOf(shape).kind === "string" ? " WITHOUT ROWID" : ""),
  match: (column, parameter) => `${column} GLOB ${parameter}`,
};

/** Rows between two commits of a load. */
const batchRows = 1_000;

export function openSqlite(
  connect: (path: string) => SqliteDriver,
  place: Place | undefined,
  shapes: readonly AnyShape[],
  options: OpenOptions,
): Store {
  const path = place === undefined ? ":memory:" : join(place.directory, "data.sqlite");
  const driver = connectTuned(connect, path, options);
  if (options.create) {
    for (const shape of shapes) {
      driver.exec(createTable(shape, dialect));
      for (const sql of createIndexes(shape)) driver.exec(sql);
    }
  }
  return new SqliteStore(driver, path, () => connectTuned(connect, path, options));
}

function connectTuned(
  connect: (path: string) => SqliteDriver,
  path: string,
  options: OpenOptions,
): SqliteDriver {
  const driver = connect(path);
  driver.prepare("PRAGMA busy_timeout = 60000").get();
  driver.prepare("PRAGMA journal_mode = WAL").get();
  driver.exec(`PRAGMA synchronous = ${options.durable ? "FULL" : "OFF"}`);
  driver.exec("PRAGMA cache_size = -262144");
  driver.prepare("PRAGMA mmap_size = 1073741824").get();
  driver.exec("PRAGMA temp_store = MEMORY");
  return driver;
}

class SqliteStore implements Store {
  readonly inFlight = 0;
  readonly #driver: SqliteDriver;
  readonly #path: string;
  readonly #reconnect: () => SqliteDriver;
  readonly #tx: SqliteTx;

  constructor(driver: SqliteDriver, path: string, reconnect: () => SqliteDriver) {
    this.#driver = driver;
    this.#path = path;
    this.#reconnect = reconnect;
    this.#tx = new SqliteTx(driver);
  }

  table<R extends object>(shape: Shape<R>): Table<R> {
    return new SqliteTable(this.#driver, shape);
  }

  transact<T>(body: Body<T>): T {
    this.#tx.begin.run();
    try {
      const result = runNow(body(this.#tx));
      this.#tx.end.run();
      return result;
    } catch (error) {
      this.#driver.exec("ROLLBACK");
      throw error;
    }
  }

  begin(): OpenTx {
    return new SqliteOpenTx(this.#reconnect());
  }

  isConflict(error: unknown): boolean {
    return error instanceof Error && /database is locked|SQLITE_BUSY/.test(error.message);
  }

  /** The whole WAL file: it must not have been checkpointed since. */
  logBytes(): number {
    const wal = `${this.#path}-wal`;
    this.#driver.prepare("PRAGMA wal_autocheckpoint = 0").get();
    return existsSync(wal) ? statSync(wal).size : 0;
  }

  close(): void {
    this.#driver.close();
  }
}

class SqliteTable<R extends object> implements Table<R>, TxTable<R> {
  readonly #driver: SqliteDriver;
  readonly #shape: Shape<R>;
  readonly #insert: SqliteStatement;
  readonly #upsert: SqliteStatement;
  readonly #select: SqliteStatement;
  readonly #delete: SqliteStatement;
  readonly #searches = new Map<Query, SqliteStatement>();

  constructor(driver: SqliteDriver, shape: Shape<R>) {
    this.#driver = driver;
    this.#shape = shape;
    this.#insert = driver.prepare(insertRow(shape, dialect));
    this.#upsert = driver.prepare(insertRow(shape, dialect) + onConflictUpdate(shape));
    this.#select = driver.prepare(selectByKey(shape, dialect));
    this.#delete = driver.prepare(deleteByKey(shape, dialect));
  }

  load(rows: readonly R[]): void {
    this.#inBatches(rows, (row) => this.#insert.run(...this.#shape.values(row)));
  }

  upsert(row: R): void {
    this.#upsert.run(...this.#shape.values(row));
  }

  async upsertDurable(row: R): Promise<void> {
    this.upsert(row);
  }

  get(key: Key): R | undefined {
    return (this.#select.get(key) ?? undefined) as R | undefined; // as it was selected
  }

  delete(key: Key): void {
    this.#delete.run(key);
  }

  modify(change: Change<R>): (key: Key, value: number) => void {
    const begin = this.#driver.prepare("BEGIN IMMEDIATE");
    const commit = this.#driver.prepare("COMMIT");
    return (key, value) => {
      begin.run();
      try {
        const row = this.get(key);
        if (row === undefined) throw new Error(`no row ${key}`);
        this.#upsert.run(...this.#shape.values(change.apply(row, value)));
        commit.run();
      } catch (error) {
        this.#driver.exec("ROLLBACK");
        throw error;
      }
    };
  }

  search(query: Query): (values: readonly Value[]) => R[];
  search(query: Query, values: readonly Value[]): R[];
  search(query: Query, values?: readonly Value[]): R[] | ((values: readonly Value[]) => R[]) {
    let statement = this.#searches.get(query);
    if (statement === undefined) {
      statement = this.#driver.prepare(selectWhere(this.#shape, query, dialect));
      this.#searches.set(query, statement);
    }
    const prepared = statement;
    if (values !== undefined) return prepared.all(...values) as R[]; // as it was selected
    return (given) => prepared.all(...given) as R[];
  }

  count(query: Query): (values: readonly Value[]) => number {
    const sql = selectWhere(this.#shape, query, dialect, "count(*) AS n");
    const statement = this.#driver.prepare(sql);
    return (values) => {
      const { n } = statement.get(...values) as { n: number }; // the statement names it so
      return n;
    };
  }

  ingest(text: Uint8Array): void {
    this.#inBatches(parseTsv(this.#shape, text), (values) => this.#upsert.run(...values));
  }

  #inBatches<T>(items: Iterable<T>, write: (item: T) => void): void {
    let inBatch = 0;
    this.#driver.exec("BEGIN IMMEDIATE");
    for (const item of items) {
      write(item);
      if (++inBatch % batchRows === 0) this.#driver.exec("COMMIT; BEGIN IMMEDIATE");
    }
    this.#driver.exec("COMMIT");
  }
}

class SqliteTx implements Tx {
  readonly begin: SqliteStatement;
  readonly end: SqliteStatement;
  protected readonly driver: SqliteDriver;
  readonly #savepoint: SqliteStatement;
  readonly #rollback: SqliteStatement;
  readonly #tables = new Map<string, unknown>();

  constructor(driver: SqliteDriver) {
    this.driver = driver;
    this.begin = driver.prepare("BEGIN IMMEDIATE");
    this.end = driver.prepare("COMMIT");
    this.#savepoint = driver.prepare("SAVEPOINT s");
    this.#rollback = driver.prepare("ROLLBACK TO s");
  }

  table<R extends object>(shape: Shape<R>): TxTable<R> {
    let table = this.#tables.get(shape.name);
    if (table === undefined) {
      table = new SqliteTable(this.driver, shape);
      this.#tables.set(shape.name, table);
    }
    return table as SqliteTable<R>; // one shape has one name
  }

  savepoint(): void {
    this.#savepoint.run();
  }

  rollback(): void {
    this.#rollback.run();
  }
}

/** A deferred transaction on a connection of its own. */
class SqliteOpenTx extends SqliteTx implements OpenTx {
  constructor(driver: SqliteDriver) {
    super(driver);
    driver.prepare("PRAGMA busy_timeout = 0").get();
    driver.exec("BEGIN");
  }

  commit(): void {
    this.end.run();
    this.driver.close();
  }

  abort(): void {
    this.driver.close();
  }
}
