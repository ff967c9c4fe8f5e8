/**
 * LMDB behind lmdb-js: rows as MessagePack with shared structures, each index a database of its own
 * with sorted duplicates. Processes share the file; one of them writes at a time.
 */
import { join } from "node:path";
import { open } from "lmdb";
import type { Database, RootDatabase } from "lmdb";
import type { AnyShape, Change, Key, Query, Shape, Value } from "../workloads/model.ts";
import { asKey, boundsOn, keyClause, order, predicate, reader, routeOf, top } from "./code.ts";
import { parseTsv } from "./lines.ts";
import type { Body, OpenOptions, Peer, Place, Store, Table } from "./peer.ts";
import { runNow } from "./peer.ts";
import { packageVersion } from "./package.ts";
import { keyOf } from "./sql.ts";
import { UndoTx } from "./undo.ts";

const batchRows = 1_000;

class LmdbStore implements Store {
  readonly inFlight = 0;
  readonly #root: RootDatabase;
  readonly #tables = new Map<string, unknown>();

  constructor(root: RootDatabase) {
    this.#root = root;
  }

  table<R extends object>(shape: Shape<R>): LmdbTable<R> {
    let table = this.#tables.get(shape.name);
    if (table === undefined) {
      table = new LmdbTable(this.#root, shape);
      this.#tables.set(shape.name, table);
    }
    return table as LmdbTable<R>; // one shape has one name
  }

  transact<T>(body: Body<T>): T {
    return this.#root.transactionSync(() => {
      return runNow(body(new UndoTx((shape) => this.table(shape).inside)));
    });
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}

interface Index<R> {
  readonly column: string;
  readonly value: (row: R) => number;
  readonly entries: Database<Key, number>;
}

class LmdbTable<R extends object> implements Table<R> {
  /** The same operations for use inside a transaction. */
  readonly inside: {
    get(key: Key): R | undefined;
    upsert(row: R): void;
    delete(key: Key): void;
    search(query: Query): (values: readonly Value[]) => R[];
  };
  readonly #root: RootDatabase;
  readonly #shape: Shape<R>;
  readonly #rows: Database<R, Key>;
  readonly #indexes: readonly Index<R>[];
  readonly #keyOf: (row: R) => Key;
  readonly #searches = new Map<Query, (values: readonly Value[]) => R[]>();

  constructor(root: RootDatabase, shape: Shape<R>) {
    this.#root = root;
    this.#shape = shape;
    this.#rows = root.openDB<R, Key>(shape.name, {
      encoding: "msgpack",
      sharedStructuresKey: Symbol.for("structures"),
    });
    this.#indexes = shape.columns
      .filter(({ indexed }) => indexed === true)
      .map(({ name }) => ({
        column: name,
        value: reader<R>(name),
        entries: root.openDB<Key, number>(`${shape.name}_${name}`, {
          dupSort: true,
          encoding: "ordered-binary",
        }),
      }));
    this.#keyOf = new Function("row", `return row.${keyOf(shape).name}`) as (row: R) => Key;
    this.inside = {
      get: (key) => this.get(key),
      upsert: (row) => this.#put(row),
      delete: (key) => this.#remove(key),
      search: (query) => this.search(query),
    };
  }

  load(rows: readonly R[]): void {
    for (let at = 0; at < rows.length; at += batchRows) {
      this.#root.transactionSync(() => {
        for (const row of rows.slice(at, at + batchRows)) this.#put(row);
      });
    }
  }

  upsert(row: R): void {
    this.#root.transactionSync(() => this.#put(row));
  }

  async upsertDurable(row: R): Promise<void> {
    await this.#root.transaction(() => this.#put(row));
    await this.#root.flushed;
  }

  get(key: Key): R | undefined {
    return this.#rows.get(key);
  }

  delete(key: Key): void {
    this.#root.transactionSync(() => this.#remove(key));
  }

  modify(change: Change<R>): (key: Key, value: number) => void {
    return (key, value) =>
      this.#root.transactionSync(() => {
        const row = this.#rows.get(key);
        if (row === undefined) throw new Error(`no row ${key}`);
        this.#put(change.apply(row, value), row);
      });
  }

  search(query: Query): (values: readonly Value[]) => R[] {
    let search = this.#searches.get(query);
    if (search === undefined) {
      search = this.#plan(query);
      this.#searches.set(query, search);
    }
    return search;
  }

  count(query: Query): (values: readonly Value[]) => number {
    const test = predicate<R>(query);
    return (values) => {
      let count = 0;
      for (const { value } of this.#rows.getRange()) if (test(value, values)) count++;
      return count;
    };
  }

  ingest(text: Uint8Array): void {
    const lines = parseTsv(this.#shape, text);
    let isDone = false;
    while (!isDone) {
      this.#root.transactionSync(() => {
        for (let i = 0; i < batchRows && !isDone; i++) {
          const line = lines.next();
          if (line.done === true) isDone = true;
          else this.#put(this.#shape.make(line.value));
        }
      });
    }
  }

  #put(row: R, old: R | undefined = this.#rows.get(this.#keyOf(row))): void {
    const key = this.#keyOf(row);
    this.#rows.putSync(key, row);
    for (const { value, entries } of this.#indexes) {
      const now = value(row);
      if (old !== undefined) {
        const before = value(old);
        if (before === now) continue;
        entries.removeSync(before, key);
      }
      entries.putSync(now, key);
    }
  }

  #remove(key: Key): void {
    const old = this.#rows.get(key);
    if (old === undefined) return;
    this.#rows.removeSync(key);
    for (const { value, entries } of this.#indexes) entries.removeSync(value(old), key);
  }

  #plan(query: Query): (values: readonly Value[]) => R[] {
    const key = keyClause(this.#shape, query);
    if (key !== undefined) {
      return (values) => {
        const row = this.get(asKey(values[key]));
        return row === undefined ? [] : [row];
      };
    }
    const route = routeOf(this.#shape, query);
    const index = this.#indexes.find(({ column }) => column === route);
    const limit = query.limit === undefined || query.limit === 0 ? Infinity : query.limit;
    const { sort } = query;
    const inOrder = sort === undefined || (index !== undefined && sort.column === route);
    const compare = inOrder ? undefined : order<R>(this.#shape, sort);
    if (index === undefined || route === undefined) {
      const test = predicate<R>(query);
      return (values) => {
        const found: R[] = [];
        for (const { value } of this.#rows.getRange()) if (test(value, values)) found.push(value);
        return top(found, compare, limit);
      };
    }
    const bounds = boundsOn(query, route);
    const rest = predicate<R>(query, route);
    return (values) => {
      const low = bounds.low === undefined ? -Infinity : Number(values[bounds.low.value]);
      const high = bounds.high === undefined ? Infinity : Number(values[bounds.high.value]);
      const reverse = inOrder && sort?.descending === true;
      // Indexed are whole numbers. The end of a range is left out, the start of it is not.
      const first = bounds.low?.included === false ? low + 1 : low;
      const last = bounds.high?.included === false ? high - 1 : high;
      const start = reverse ? last : first;
      const end = reverse ? first - 1 : last + 1;
      const found: R[] = [];
      for (const { value: key } of index.entries.getRange({ start, end, reverse })) {
        const row = this.#rows.get(key);
        if (row === undefined || !rest(row, values)) continue;
        found.push(row);
        if (inOrder && found.length >= limit) break;
      }
      return compare === undefined ? found : found.sort(compare).slice(0, limit);
    };
  }
}

function openStore(place: Place, shapes: readonly AnyShape[], options: OpenOptions): Store {
  const indexes = shapes.flatMap(({ columns }) => columns.filter(({ indexed }) => indexed));
  const root = open({
    path: join(place.directory, "data.mdb"),
    noSync: !options.durable,
    useWritemap: !options.durable,
    mapSize: 4 * options.bytesMax,
    maxDbs: shapes.length + indexes.length + 4,
    maxReaders: 1_024,
  });
  return new LmdbStore(root);
}

export const lmdb: Peer = {
  name: "lmdb",
  promises: {
    survives: "processes",
    loses: "on power loss: anything, perhaps the file (noSync)",
    isolation: "serializable",
    shared: "processes",
  },
  cannot: {
    overlap: "one write transaction at a time",
    log: "it has no log: pages are copied in place",
  },
  getIt: "bun install (it has no prebuilt library for this machine)",
  version: () => packageVersion("lmdb"),
  open: openStore,
};
