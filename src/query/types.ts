/**
 * The object form of a query for a table whose rows are known: column names, the operators that a
 * column takes and the values that it compares with are checked where a query is written.
 */
import type { Parameter } from "./parse/parameter.ts";
import type { ColumnValue } from "../schema/column.ts";
import type { Comparison, MatchOperator, RawValue } from "./query.ts";

/** Values that a column of type `V` compares with. */
type ValueFor<V> = [V] extends [boolean]
  ? boolean
  : [V] extends [Uint8Array]
    ? Uint8Array | string
    : [V] extends [number | bigint]
      ? number | bigint | `${number}` | Date
      : [V] extends [string]
        ? V
        : [V] extends [number | string]
          ? number | bigint | `${number}`
          : RawValue;

type OperandFor<V> = ValueFor<V> | Parameter;

/** Labels of an enum are literal types; only a plain string takes patterns. */
type IsText<V> = [V] extends [string] ? (string extends V ? true : false) : false;
/** The type of a column that is known only at run time. */
type IsOpen<V> = [V] extends [string | number | bigint | boolean | Uint8Array]
  ? [string | boolean] extends [V]
    ? true
    : false
  : true;
type HasTruth<V> = [V] extends [boolean | number | bigint]
  ? true
  : [string | number, V] extends [V, string | number]
    ? true
    : false;

type ComparisonOperator = Comparison | "==" | "<>";

type ClauseFor<K extends string, V> =
  | readonly [operator: ComparisonOperator, column: K, value: OperandFor<V>]
  | readonly [operator: "range", column: K, low: OperandFor<V>, high: OperandFor<V>]
  | readonly [operator: "in", column: K, values: readonly OperandFor<V>[] | Parameter]
  | readonly [operator: "null" | "notnull", column: K]
  | (IsText<V> extends true
      ? readonly [operator: MatchOperator, column: K, pattern: string]
      : never)
  | (HasTruth<V> extends true ? readonly [operator: "true" | "false", column: K] : never)
  | (IsOpen<V> extends true
      ? | readonly [operator: MatchOperator, column: K, pattern: string]
        | readonly [operator: "true" | "false", column: K]
      : never);

type ColumnOf<Row> = Extract<keyof Row, string>;

/** A clause on one of the columns of `Row`. */
export type SearchClause<Row> = {
  [K in ColumnOf<Row>]: ClauseFor<K, NonNullable<Row[K]>>;
}[ColumnOf<Row>];

/** Columns of the order and their values in the last row of a page. */
export type PageStart = Readonly<Record<string, ColumnValue>>;

/** One clause, or a list of them that must all hold. */
export type SearchClauses<Row> = SearchClause<Row> | readonly SearchClause<Row>[];

/** A column to sort by; a leading `-` descends. */
export type SearchSort<Row> = ColumnOf<Row> | `-${ColumnOf<Row>}`;

/**
 * A query in object form. Every property is the option of the same name. `Patch` has the columns
 * that may be set: all but the primary key.
 */
export interface SearchQuery<Row, Patch = Row> {
  readonly compare?: SearchClauses<Row> | undefined;
  /** At least one of these must hold, too. */
  readonly or?: readonly SearchClauses<Row>[] | undefined;
  readonly sort?: SearchSort<Row> | readonly SearchSort<Row>[] | undefined;
  readonly asc?: boolean | undefined;
  /** Reverses the whole order, ties included. */
  readonly desc?: boolean | undefined;
  /** The most rows to give. **0 is no limit**, and so is leaving it out: all rows. */
  readonly limit?: number | Parameter | undefined;
  readonly offset?: number | Parameter | undefined;
  /**
   * The last row of the page before, or its values of the sort columns and the key: the result
   * begins after it. `Result.next` is one.
   */
  readonly after?: Partial<Row> | PageStart | readonly unknown[] | undefined;
  readonly fields?: readonly ColumnOf<Row>[] | undefined;
  readonly countOnly?: boolean | undefined;
  /** Says that all rows are meant, which `updateWhere` and `deleteWhere` want to be told. */
  readonly all?: boolean | undefined;
  /** Deletes the rows found, in one transaction; for `execute` alone. */
  readonly delete?: boolean | undefined;
  /** Sets columns of the rows found, in one transaction; for `execute` alone. */
  readonly update?: SearchUpdate<Row, Patch> | undefined;
}

/** Columns to set; `null` where the column may be null. */
export type SearchUpdate<Row, Patch = Row> = {
  readonly [K in ColumnOf<Row> & keyof Patch]?: Row[K] | ValueFor<NonNullable<Row[K]>> | Parameter;
};

/** A query in any form: text, words, or an object. */
export type SearchInput<Row, Patch = Row> = string | readonly unknown[] | SearchQuery<Row, Patch>;
