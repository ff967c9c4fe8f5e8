/**
 * What a search asks for, before it meets a table: names are as written, values unconverted. The
 * three forms of STAPI (text, words, object) all become this.
 */

/** A value as written. Text in a text query is not yet a number. */
export type RawValue = string | number | bigint | boolean | Uint8Array;

/** What stands where a value may stand. */
export type Operand =
  | { readonly kind: "value"; readonly value: RawValue }
  | { readonly kind: "parameter"; readonly name: string };

/** A name as written, and where. */
export interface Name {
  readonly text: string;
  /** In a text query, characters from its start; in words, the index of the word. */
  readonly position: number | undefined;
}

/** Operators that compare with one value. */
export type Comparison = "=" | "!=" | "<" | "<=" | ">" | ">=";

/** Operators on patterns. */
export type MatchOperator = "match" | "notmatch" | "match_case" | "notmatch_case";

/** One condition on one column. */
export type Clause =
  | {
      readonly kind: "compare";
      readonly operator: Comparison;
      readonly column: Name;
      readonly value: Operand;
    }
  | {
      readonly kind: "range";
      readonly column: Name;
      readonly low: Operand;
      readonly high: Operand;
    }
  | { readonly kind: "in"; readonly column: Name; readonly values: readonly Operand[] }
  | { readonly kind: "null"; readonly column: Name; readonly expected: boolean }
  | { readonly kind: "truth"; readonly column: Name; readonly expected: boolean }
  | {
      readonly kind: "match";
      readonly operator: MatchOperator;
      readonly column: Name;
      readonly pattern: Operand;
    };

export interface SortKey {
  readonly column: Name;
  readonly descending: boolean;
}

/** A limit or an offset. */
export type Count =
  | { readonly kind: "count"; readonly count: number }
  | { readonly kind: "parameter"; readonly name: string };

/** The row after which the result begins, in the order of the sort; `null` is null. */
export type After = { readonly position: number | undefined } & (
  | {
      readonly kind: "values";
      /** Of the sort columns as written, and of the key. */
      readonly values: readonly (Operand | null)[];
    }
  | {
      readonly kind: "row";
      /** By the names of columns; others than those of the order are not looked at. */
      readonly values: readonly (readonly [name: string, value: Operand | null])[];
    }
);

/** How a value of a group comes about. */
export type Function = "count" | "sum" | "avg" | "min" | "max" | "distinct" | "quantile";

/** A part of the key of a group. */
export type GroupKey =
  | { readonly kind: "column"; readonly column: Name; readonly as: string }
  | {
      /** Values from a multiple of `size` up to the next one. */
      readonly kind: "bucket";
      readonly column: Name;
      readonly size: RawValue;
      readonly as: string;
      readonly position: number | undefined;
    }
  | {
      /** Squares of degrees: of two columns, or of the geo index that has one name for both. */
      readonly kind: "cell";
      readonly column: Name;
      readonly second: Name | undefined;
      readonly size: RawValue;
      readonly as: string;
      readonly position: number | undefined;
    };

/** A value to give of each group. */
export interface Select {
  readonly as: string;
  readonly function: Function;
  /** Absent for the number of rows. */
  readonly column: Name | undefined;
  /** Of a quantile. */
  readonly fraction: number;
  readonly position: number | undefined;
}

/** Groups in place of rows: what decides about rows is in the query, and this about groups. */
export interface Aggregation {
  readonly keys: readonly GroupKey[];
  readonly selects: readonly Select[];
  /** Clauses on what is given of a group. */
  readonly having: readonly Clause[];
  readonly sort: readonly SortKey[];
  readonly reverse: boolean;
  readonly limit: Count;
  readonly offset: Count;
}

/** A column to set, and to what. */
export interface Assignment {
  readonly column: Name;
  /** `null` clears the column; so does `{}` in a text query, where the column is not text. */
  readonly value: Operand | null;
}

/** What is done with the rows found. */
export type Action =
  | { readonly kind: "read" }
  | { readonly kind: "delete" }
  | { readonly kind: "update"; readonly assignments: readonly Assignment[] };

export interface Query {
  /** All must hold. */
  readonly compare: readonly Clause[];
  /** If there, all clauses of at least one group must hold, too. */
  readonly or: readonly (readonly Clause[])[] | undefined;
  readonly sort: readonly SortKey[];
  /** The whole order is reversed, ties included. */
  readonly reverse: boolean;
  /** 0 is no limit. */
  readonly limit: Count;
  readonly offset: Count;
  readonly after: After | undefined;
  /** Columns to read; `undefined` is all. */
  readonly fields: readonly Name[] | undefined;
  readonly countOnly: boolean;
  readonly action: Action;
  /** Absent where rows are asked for. */
  readonly aggregation: Aggregation | undefined;
  /** It says that all rows are meant: `-compare {}`, or `all` in the object form. */
  readonly isAll: boolean;
}

/** Whether nothing in the query keeps a row out. */
export function findsAll({ compare, or, limit, offset, after }: Query): boolean {
  if (compare.length > 0 || or !== undefined || after !== undefined) return false;
  const isZero = (count: Count): boolean => count.kind === "count" && count.count === 0;
  return isZero(limit) && isZero(offset);
}

/** Names of all parameters, each once. */
export function parameterNames(query: Query): ReadonlySet<string> {
  const names = new Set<string>();
  const note = (operand: Operand | Count | null): void => {
    if (operand?.kind === "parameter") names.add(operand.name);
  };
  for (const clause of query.compare) noteOperands(clause, note);
  for (const group of query.or ?? []) for (const clause of group) noteOperands(clause, note);
  note(query.limit);
  note(query.offset);
  for (const each of query.after?.values ?? []) note(isOperand(each) ? each : (each?.[1] ?? null));
  if (query.aggregation !== undefined) {
    for (const clause of query.aggregation.having) noteOperands(clause, note);
    note(query.aggregation.limit);
    note(query.aggregation.offset);
  }
  if (query.action.kind === "update") {
    for (const { value } of query.action.assignments) note(value);
  }
  return names;
}

function isOperand(
  value: Operand | readonly [string, Operand | null] | null,
): value is Operand | null {
  return !Array.isArray(value);
}

function noteOperands(clause: Clause, note: (operand: Operand) => void): void {
  switch (clause.kind) {
    case "compare":
      return note(clause.value);
    case "range":
      note(clause.low);
      return note(clause.high);
    case "in":
      return clause.values.forEach(note);
    case "match":
      return note(clause.pattern);
    case "null":
    case "truth":
      return;
  }
}
