/**
 * Predicates and orders as the JavaScript that a person would write for one query: generated once
 * per query, so that a peer without a query engine is measured at its best.
 */
import type { AnyShape, Key, Query, Sort, Value } from "../workloads/model.ts";
import { keyOf } from "./sql.ts";

export type Predicate<R> = (row: R, values: readonly Value[]) => boolean;
export type Order<R> = (a: R, b: R) => number;

/** Whether a row satisfies all clauses but those on `except`. */
export function predicate<R>(query: Query, except?: string): Predicate<R> {
  const tests = query.where
    .filter(({ column }) => column !== except)
    .map(({ column, op, value }) => {
      // A text between two stars is all that is asked for.
      if (op === "match") return `row.${column}.includes(v[${value}].slice(1, -1))`;
      return `row.${column} ${op === "=" ? "===" : op} v[${value}]`;
    });
  const body = tests.length === 0 ? "true" : tests.join(" && ");
  return new Function("row", "v", `return ${body}`) as Predicate<R>;
}

/** The loop over all rows that counts those which satisfy a query. */
export function counter<R>(query: Query): (rows: Iterable<R>, values: readonly Value[]) => number {
  const test = predicate<R>(query)
    .toString()
    .replace(/^[^{]*\{\s*return|\}\s*$/g, "");
  const body = `let n = 0; for (const row of rows) if (${test}) n++; return n;`;
  return new Function("rows", "v", body) as (rows: Iterable<R>, values: readonly Value[]) => number;
}

/** By one column, ties by key. */
export function order<R>(shape: AnyShape, sort: Sort): Order<R> {
  const { column, descending } = sort;
  const key = keyOf(shape).name;
  const first = descending ? `b.${column} - a.${column}` : `a.${column} - b.${column}`;
  const ties = `(a.${key} < b.${key} ? -1 : a.${key} > b.${key} ? 1 : 0)`;
  return new Function("a", "b", `return ${first} || ${ties}`) as Order<R>;
}

/**
 * The first `limit` rows in an order, or all as they come without one. Of many rows few are sorted:
 * those that come before the last of the best so far.
 */
export function top<R>(rows: R[], compare: Order<R> | undefined, limit: number): R[] {
  if (compare === undefined) return rows.length > limit ? rows.slice(0, limit) : rows;
  if (rows.length <= 2 * limit) return rows.sort(compare).slice(0, limit);
  let best = rows.slice(0, limit).sort(compare);
  let last = best.at(-1);
  for (let at = limit; at < rows.length; at++) {
    const row = rows[at];
    if (row === undefined || last === undefined || compare(row, last) >= 0) continue;
    best.push(row);
    if (best.length < 2 * limit) continue;
    best = best.sort(compare).slice(0, limit);
    last = best.at(-1);
  }
  return best.sort(compare).slice(0, limit);
}

/** The values of a column, without a lookup by name in each row. */
export function reader<R>(column: string): (row: R) => number {
  return new Function("row", `return row.${column}`) as (row: R) => number;
}

/** The clause bounds on one column, as positions among the values. */
export interface Bounds {
  readonly low?: { readonly value: number; readonly included: boolean };
  readonly high?: { readonly value: number; readonly included: boolean };
}

export function boundsOn(query: Query, column: string): Bounds {
  let low: Bounds["low"];
  let high: Bounds["high"];
  for (const clause of query.where) {
    if (clause.column !== column) continue;
    const { op, value } = clause;
    if (op === "=" || op === ">" || op === ">=") low = { value, included: op !== ">" };
    if (op === "=" || op === "<" || op === "<=") high = { value, included: op !== "<" };
  }
  return { ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) };
}

/**
 * The indexed column that a person would go by: the one that is bounded, else the one sorted by.
 */
export function routeOf(shape: AnyShape, query: Query): string | undefined {
  const indexed = shape.columns.filter((column) => column.indexed === true);
  const bounded = indexed.find(({ name }) =>
    query.where.some(({ column, op }) => column === name && op !== "match"),
  );
  return (bounded ?? indexed.find(({ name }) => query.sort?.column === name))?.name;
}

/** Which value is the key, when a search asks for one key and nothing else. */
export function keyClause(shape: AnyShape, query: Query): number | undefined {
  const [clause] = query.where;
  if (query.where.length !== 1 || clause?.op !== "=") return undefined;
  return clause.column === keyOf(shape).name ? clause.value : undefined;
}

/** A value that stands for a key. **Throws** when it cannot. */
export function asKey(value: Value | undefined): Key {
  if (typeof value === "string" || typeof value === "number") return value;
  throw new TypeError(`a key is a string or a number, not ${String(value)}`);
}
