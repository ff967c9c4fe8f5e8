/**
 * What a workload says about data and operations, with no engine named. Peers compile it once, as a
 * program prepares its statements; what is measured is the use of what was prepared.
 */

/** Now for a peer in the same process, later for one behind a socket. */
export type Soon<T> = T | Promise<T>;

export type Key = string | number;
export type Value = string | number | Uint8Array;

/** One column. The first of a shape is the primary key: `string` or `i32`. */
export interface Column {
  readonly name: string;
  /** `decimal` holds numbers with `scale` digits; `i64` holds safe integers. */
  readonly kind: "string" | "bytes" | "i32" | "i64" | "decimal";
  /** Bytes at most, of a string or bytes. */
  readonly size?: number;
  readonly scale?: number;
  readonly indexed?: boolean;
  /** New values are above all earlier ones: an index only grows at its end. */
  readonly growing?: boolean;
}

/** A table and how its rows are taken apart and put together. */
export interface Shape<R extends object> {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly values: (row: R) => Value[];
  readonly make: (values: readonly Value[]) => R;
  /** A number from every column of a row: what a program that uses the row has to touch. */
  readonly fold: (row: R) => number;
}

/** A shape of some row type, where which one does not matter. */
export type AnyShape = Pick<Shape<never>, "name" | "columns">;

/** `value` is the position of the bound value among those given at each call. */
export interface Clause {
  readonly column: string;
  readonly op: "=" | "<" | "<=" | ">" | ">=" | "match";
  readonly value: number;
}

/** Ties come in key order, unless no two rows have the same value. */
export interface Sort {
  readonly column: string;
  readonly descending: boolean;
  readonly distinct?: boolean;
}

/** Rows that satisfy all clauses, in order, at most `limit` (0 is no limit). */
export interface Query {
  readonly where: readonly Clause[];
  readonly sort?: Sort;
  readonly limit?: number;
}

/** One column's part in a read-modify-write: the given value, or what is there plus `add`. */
export type Modification =
  | { readonly kind: "set"; readonly column: string }
  | { readonly kind: "add"; readonly column: string; readonly add: number }
  /** Adds 1 to the first byte, within 0..127. */
  | { readonly kind: "byte"; readonly column: string };

/** A read-modify-write of one row in one transaction, as data and as what it does to a row. */
export interface Change<R extends object> {
  readonly steps: readonly Modification[];
  readonly apply: (row: R, value: number) => R;
}

/** The first byte of `bytes` raised by one, within 0..127 so that it is text for every peer. */
export function raiseFirstByte(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[0] = ((copy[0] ?? 0) + 1) & 127;
  return copy;
}

/** Adds a value to a running checksum. */
export function mix(sum: number, value: number): number {
  return (Math.imul(sum, 31) + value) | 0;
}

/** A number from a text: its length, first and last character. */
export function foldText(text: string): number {
  return text.length * 65_599 + text.charCodeAt(0) * 257 + text.charCodeAt(text.length - 1);
}

/** A decimal of up to 6 digits as an exact 32-bit number. */
export function foldDecimal(value: number): number {
  return Math.round(value * 1e6) | 0;
}

/** A string that owns its characters: one that was concatenated is flattened at its first use. */
export function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
