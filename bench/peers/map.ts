/**
 * What a program does without a database: a `Map` of row objects and a sorted index beside it. It
 * is the floor: nobody shares it, nothing survives, nothing is undone.
 */
import BTree from "sorted-btree";
import type { AnyShape, Change, Column, Key, Query, Shape, Value } from "../workloads/model.ts";
import {
  asKey,
  boundsOn,
  counter,
  keyClause,
  order,
  predicate,
  reader,
  routeOf,
  top,
} from "./code.ts";
import type { Predicate } from "./code.ts";
import { parseTsv } from "./lines.ts";
import type { Body, Peer, Promises, Store, Table } from "./peer.ts";
import { runNow } from "./peer.ts";
import { keyOf } from "./sql.ts";
import { UndoTx } from "./undo.ts";

/** Rows of one index, walked from a bound. `visit` returns true to stop. */
interface Index<R> {
  add(row: R): void;
  remove(row: R): void;
  /** `remove` and `add`, cheaper where the entry stays in its place. */
  replace(old: R, row: R): void;
  walk(low: number, high: number, descending: boolean, visit: (row: R) => boolean): void;
}

class MapStore implements Store {
  readonly inFlight = 0;
  readonly #appending: boolean;
  readonly #tables = new Map<string, unknown>();

  constructor(appending: boolean) {
    this.#appending = appending;
  }

  table<R extends object>(shape: Shape<R>): MapTable<R> {
    let table = this.#tables.get(shape.name);
    if (table === undefined) {
      table = new MapTable(shape, this.#appending);
      this.#tables.set(shape.name, table);
    }
    return table as MapTable<R>; // one shape has one name
  }

  transact<T>(body: Body<T>): T {
    return runNow(body(new UndoTx((shape) => this.table(shape))));
  }

  close(): void {}
}

class MapTable<R extends object> implements Table<R> {
  readonly #rows = new Map<Key, R>();
  readonly #indexes: ReadonlyMap<string, Index<R>>;
  readonly #indexList: readonly Index<R>[];
  readonly #shape: Shape<R>;
  readonly #keyOf: (row: R) => Key;
  readonly #searches = new Map<Query, (values: readonly Value[]) => R[]>();

  constructor(shape: Shape<R>, appending: boolean) {
    this.#shape = shape;
    this.#keyOf = new Function("row", `return row.${keyOf(shape).name}`) as (row: R) => Key;
    const indexed = shape.columns.filter((column) => column.indexed === true);
    this.#indexes = new Map(
      indexed.map((column) => [
        column.name,
        appending && column.growing === true
          ? new AppendedIndex<R>(column, this.#rows, this.#keyOf)
          : new TreeIndex<R>(shape, column),
      ]),
    );
    this.#indexList = [...this.#indexes.values()];
  }

  load(rows: readonly R[]): void {
    for (const row of rows) this.upsert(row);
  }

  upsert(row: R): void {
    const key = this.#keyOf(row);
    const old = this.#rows.get(key);
    this.#rows.set(key, row);
    for (const index of this.#indexList) {
      if (old === undefined) index.add(row);
      else index.replace(old, row);
    }
  }

  get(key: Key): R | undefined {
    return this.#rows.get(key);
  }

  delete(key: Key): void {
    const old = this.#rows.get(key);
    if (old === undefined) return;
    this.#rows.delete(key);
    for (const index of this.#indexList) index.remove(old);
  }

  modify(change: Change<R>): (key: Key, value: number) => void {
    return (key, value) => {
      const row = this.#rows.get(key);
      if (row === undefined) throw new Error(`no row ${key}`);
      this.upsert(change.apply(row, value));
    };
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
    const count = counter<R>(query);
    return (values) => count(this.#rows.values(), values);
  }

  ingest(text: Uint8Array): void {
    for (const values of parseTsv(this.#shape, text)) this.upsert(this.#shape.make(values));
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
    const index = route === undefined ? undefined : this.#indexes.get(route);
    const limit = query.limit === undefined || query.limit === 0 ? Infinity : query.limit;
    const { sort } = query;
    if (index === undefined || route === undefined) {
      const test = predicate<R>(query);
      const compare = sort === undefined ? undefined : order<R>(this.#shape, sort);
      return (values) => top(this.#scan(test, values), compare, limit);
    }
    const bounds = boundsOn(query, route);
    const rest = predicate<R>(query, route);
    const value = reader<R>(route);
    const inOrder = sort === undefined || sort.column === route;
    const compare = inOrder ? undefined : order<R>(this.#shape, sort);
    return (values) => {
      const low = bounds.low === undefined ? -Infinity : Number(values[bounds.low.value]);
      const high = bounds.high === undefined ? Infinity : Number(values[bounds.high.value]);
      const found: R[] = [];
      index.walk(low, high, inOrder && sort?.descending === true, (row) => {
        const at = value(row);
        if (at === low && bounds.low?.included === false) return false;
        if (at === high && bounds.high?.included === false) return false;
        if (rest(row, values)) found.push(row);
        return inOrder && found.length >= limit;
      });
      return top(found, compare, limit);
    };
  }

  #scan(test: Predicate<R>, values: readonly Value[]): R[] {
    const found: R[] = [];
    for (const row of this.#rows.values()) if (test(row, values)) found.push(row);
    return found;
  }
}

/** A B+ tree of the row objects themselves, by value and key. */
class TreeIndex<R extends object> implements Index<R> {
  readonly #tree: BTree<R, undefined>;
  readonly #column: Column;
  readonly #key: Column;
  readonly #value: (row: R) => number;

  constructor(shape: AnyShape, column: Column) {
    this.#column = column;
    this.#key = keyOf(shape);
    this.#value = reader<R>(column.name);
    const compare = order<R>(shape, { column: column.name, descending: false });
    this.#tree = new BTree<R, undefined>(undefined, compare);
  }

  add(row: R): void {
    this.#tree.set(row, undefined);
  }

  remove(row: R): void {
    this.#tree.delete(row);
  }

  /** An entry that compares equal is set to the new row. */
  replace(old: R, row: R): void {
    if (this.#value(old) !== this.#value(row)) this.remove(old);
    this.add(row);
  }

  walk(low: number, high: number, descending: boolean, visit: (row: R) => boolean): void {
    const value = this.#value;
    if (descending) {
      for (const [row] of this.#tree.entriesReversed(this.#probe(high, true), [])) {
        if (value(row) < low || visit(row)) return;
      }
      return;
    }
    const from = this.#probe(low, false);
    this.#tree.forRange(from, this.#probe(high, true), true, (row) =>
      visit(row) ? { break: true } : undefined,
    );
  }

  /** Stands before or after all rows with this value. */
  #probe(value: number, after: boolean): R {
    const low = this.#key.kind === "string" ? "" : -Infinity;
    const high = this.#key.kind === "string" ? "\uffff" : Infinity;
    const probe = { [this.#column.name]: value, [this.#key.name]: after ? high : low };
    return probe as R; // has the two columns that are compared
  }
}

/**
 * For values that only grow: a list in order of arrival, where what was replaced is passed over.
 */
class AppendedIndex<R extends object> implements Index<R> {
  readonly #value: (row: R) => number;
  readonly #rows: ReadonlyMap<Key, R>;
  readonly #keyOf: (row: R) => Key;
  #list: R[] = [];

  constructor(column: Column, rows: ReadonlyMap<Key, R>, key: (row: R) => Key) {
    this.#value = reader(column.name);
    this.#rows = rows;
    this.#keyOf = key;
  }

  add(row: R): void {
    if (this.#list.length > 4 * this.#rows.size + 1_024) {
      this.#list = this.#list.filter((each) => this.#isCurrent(each));
    }
    this.#list.push(row);
  }

  remove(): void {}

  replace(_old: R, row: R): void {
    this.add(row);
  }

  walk(low: number, high: number, descending: boolean, visit: (row: R) => boolean): void {
    const list = this.#list;
    const step = descending ? -1 : 1;
    // Values are whole numbers.
    for (let at = descending ? this.#find(high + 1) - 1 : this.#find(low); ; at += step) {
      const row = list[at];
      if (row === undefined) return;
      const value = this.#value(row);
      if (value < low || value > high) return;
      if (this.#isCurrent(row) && visit(row)) return;
    }
  }

  #isCurrent(row: R): boolean {
    return this.#rows.get(this.#keyOf(row)) === row;
  }

  /** The first place whose value is not below `low`. */
  #find(low: number): number {
    let from = 0;
    let to = this.#list.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const row = this.#list[middle];
      if (row !== undefined && this.#value(row) < low) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

const promises: Promises = {
  survives: "nothing",
  loses: "everything with the process",
  isolation: "none",
  shared: "one thread",
};

const cannot = {
  processes: "a Map belongs to one thread",
  overlap: "a Map has no transactions",
  durable: "a Map is in memory only",
  restart: "a Map ends with its process",
  log: "a Map is in memory only",
} as const;

/** A `Map` with a B+ tree for each index. */
export const map: Peer = {
  name: "map",
  promises,
  cannot,
  getIt: "comes with Bun (the tree is sorted-btree: bun install)",
  version: async () => "JavaScriptCore, sorted-btree 2.1.0",
  open: () => new MapStore(false),
};

/** A `Map` with a plain list where an index only grows at its end. */
export const mapAppending: Peer = { ...map, name: "map-append", open: () => new MapStore(true) };
