/** The object form of an aggregation for a table whose rows are known, and what it gives. */
import type { Parameter } from "./parse/parameter.ts";
import type { SearchClauses } from "./types.ts";

type ColumnOf<Row> = Extract<keyof Row, string>;

/** A part of the key of a group: a column, a bucket of numbers or times, a square of degrees. */
export type GroupBy<Row> =
  | ColumnOf<Row>
  | {
      readonly bucket: ColumnOf<Row>;
      /** In the unit of the column; of a timestamp in milliseconds or like `"15m"`. */
      readonly size: number | bigint | string;
      /** Its name in the result; without it that of the column. */
      readonly as?: string;
    }
  | {
      readonly cell: readonly [lat: ColumnOf<Row>, lon: ColumnOf<Row>] | string;
      readonly degrees: number;
      /** Its name in the result; without it `cell`. */
      readonly as?: string;
    };

/** A value of each group. `count` alone counts rows, with a column the values that are not null. */
export type SelectBy<Row> =
  | "count"
  | readonly [function: "count" | "sum" | "avg" | "min" | "max" | "distinct", column: ColumnOf<Row>]
  | readonly [function: "quantile", column: ColumnOf<Row>, fraction: number];

type Clause = readonly [operator: string, name: string, ...values: unknown[]];

/** An aggregation. `compare` and `or` are about rows, everything else about groups. */
export interface AggregateQuery<
  Row,
  G extends readonly GroupBy<Row>[],
  V extends Readonly<Record<string, SelectBy<Row>>>,
> {
  readonly compare?: SearchClauses<Row> | undefined;
  readonly or?: readonly SearchClauses<Row>[] | undefined;
  readonly group?: G | undefined;
  readonly select?: V | undefined;
  /** On names of the result. */
  readonly having?: Clause | readonly Clause[] | undefined;
  /** Names of the result; a leading `-` descends. Groups are in the order of their keys else. */
  readonly sort?: string | readonly string[] | undefined;
  readonly desc?: boolean | undefined;
  readonly limit?: number | Parameter | undefined;
  readonly offset?: number | Parameter | undefined;
}

type NameOfKey<G> = G extends string
  ? G
  : G extends { readonly as: infer A extends string }
    ? A
    : G extends { readonly bucket: infer B extends string }
      ? B
      : "cell";

type ValueOfKey<Row, G> = G extends keyof Row
  ? Row[G]
  : G extends { readonly bucket: infer B extends keyof Row }
    ? Row[B]
    : readonly [lat: number, lon: number] | null;

type SumOf<V> = [NonNullable<V>] extends [bigint]
  ? bigint
  : NonNullable<V> | (NonNullable<V> extends number ? number | bigint | string : never);

type ValueOfSelect<Row, V> = V extends "count" | readonly ["count" | "distinct", ...unknown[]]
  ? number
  : V extends readonly ["avg", ...unknown[]]
    ? number | null
    : V extends readonly ["sum", infer C extends keyof Row]
      ? SumOf<Row[C]>
      : V extends readonly [string, infer C extends keyof Row, ...unknown[]]
        ? NonNullable<Row[C]> | null
        : never;

/** A group: its key and its values, by name. */
export type GroupOf<Row, G extends readonly unknown[], V> = {
  readonly [E in G[number] as NameOfKey<E>]: ValueOfKey<Row, E>;
} & { readonly [N in keyof V]: ValueOfSelect<Row, V[N]> };
