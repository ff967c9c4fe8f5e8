/**
 * Terms: clauses after they met the table. Columns are found, values are stored values of the
 * column, and what only looks different is the same: `= a 1.5` on an integer is never, `> a 1.5` is
 * `> a 1`, `match_case a X` is `= a X`, `true a` is `!= a 0`.
 */
import { AerostoreError } from "../../errors.ts";
import { nearestName } from "../../schema/nearest.ts";
import { describeValue } from "../../schema/value.ts";
import { literalOf } from "./glob.ts";
import {
  compareStored,
  invalidValue,
  isAboveAll,
  patternOf,
  placeOf,
  type Stored,
} from "./bound.ts";
import type { PlannerColumn, PlannerTable } from "./planner-table.ts";
import type { Clause, Comparison, MatchOperator, Name, Operand } from "../query.ts";

/** A value that is known, or one that is bound at execution. */
export type TermOperand =
  | { readonly kind: "constant"; readonly value: Stored }
  | { readonly kind: "parameter"; readonly name: string };

export interface Bound {
  readonly operand: TermOperand;
  readonly inclusive: boolean;
}

export type Term =
  | {
      readonly kind: "equal" | "differ";
      readonly column: PlannerColumn;
      readonly operand: TermOperand;
    }
  | {
      readonly kind: "between";
      readonly column: PlannerColumn;
      /** At least one of both is there. */
      readonly low: Bound | undefined;
      readonly high: Bound | undefined;
    }
  | {
      readonly kind: "member";
      readonly column: PlannerColumn;
      /** Two or more; the constants first, sorted and distinct, then the parameters, likewise. */
      readonly operands: readonly TermOperand[];
    }
  | { readonly kind: "null" | "notNull"; readonly column: PlannerColumn }
  | {
      readonly kind: "like" | "unlike";
      readonly column: PlannerColumn;
      readonly pattern: TermOperand;
      readonly fold: boolean;
    };

/** A term, or what it comes down to. */
export type Resolved = Term | "always" | "never";

/** The column of this name. **Throws** `UNKNOWN_FIELD` with the nearest name. */
export function findColumn(table: PlannerTable, name: Name): PlannerColumn {
  const column = table.find(name.text);
  if (column !== undefined) return column;
  const near = nearestName(name.text, table.names());
  const hint = near === undefined ? "" : `; did you mean "${near}"?`;
  throw new AerostoreError(
    "UNKNOWN_FIELD",
    `${table.name} has no column ${describeValue(name.text)}${hint}`,
    { table: table.name, column: name.text, position: name.position },
  );
}

/** Resolves one clause. **Throws** `UNKNOWN_FIELD`, `INVALID_VALUE`. */
export function resolveClause(table: PlannerTable, clause: Clause): Resolved {
  const column = findColumn(table, clause.column);
  switch (clause.kind) {
    case "compare":
      return resolveComparison(table, column, clause.operator, clause.value);
    case "range": {
      const low = resolveComparison(table, column, ">=", clause.low);
      const high = resolveComparison(table, column, "<", clause.high);
      if (low === "never" || high === "never") return "never";
      if (typeof low === "string" || low.kind === "notNull") return high;
      if (typeof high === "string" || high.kind === "notNull") return low;
      if (low.kind !== "between" || high.kind !== "between") return "never";
      return { kind: "between", column, low: low.low, high: high.high };
    }
    case "in":
      return resolveMembers(table, column, clause.values);
    case "null":
      if (clause.expected) return column.nullable ? { kind: "null", column } : "never";
      return notNull(column);
    case "truth": {
      if (!hasTruth(column)) {
        throw invalidValue(table, column, clause.expected, "a bool or a number");
      }
      const zero: TermOperand = { kind: "constant", value: 0 };
      return { kind: clause.expected ? "differ" : "equal", column, operand: zero };
    }
    case "match":
      return resolveMatch(table, column, clause.operator, clause.pattern);
  }
}

function hasTruth(column: PlannerColumn): boolean {
  return column.kind !== "string" && column.kind !== "bytes" && column.kind !== "enum";
}

function notNull(column: PlannerColumn): Resolved {
  return column.nullable ? { kind: "notNull", column } : "always";
}

function resolveComparison(
  table: PlannerTable,
  column: PlannerColumn,
  operator: Comparison,
  value: Operand,
): Resolved {
  if (value.kind === "parameter") return comparisonTerm(column, operator, value);
  const place = placeOf(table, column, value.value);
  switch (operator) {
    case "=":
    case "!=":
      if (place.kind !== "at") return operator === "=" ? "never" : notNull(column);
      return comparisonTerm(column, operator, { kind: "constant", value: place.value });
    case "<":
    case "<=": {
      if (place.kind === "belowAll") return "never";
      if (isAboveAll(column, place)) return notNull(column);
      const constant: TermOperand = { kind: "constant", value: place.value };
      return comparisonTerm(column, place.kind === "above" ? "<=" : operator, constant);
    }
    case ">":
    case ">=": {
      if (place.kind === "belowAll") return notNull(column);
      if (isAboveAll(column, place)) return "never";
      const constant: TermOperand = { kind: "constant", value: place.value };
      return comparisonTerm(column, place.kind === "above" ? ">" : operator, constant);
    }
  }
}

function comparisonTerm(column: PlannerColumn, operator: Comparison, operand: TermOperand): Term {
  switch (operator) {
    case "=":
      return { kind: "equal", column, operand };
    case "!=":
      return { kind: "differ", column, operand };
    case "<":
    case "<=":
      return {
        kind: "between",
        column,
        low: undefined,
        high: { operand, inclusive: operator === "<=" },
      };
    case ">":
    case ">=":
      return {
        kind: "between",
        column,
        low: { operand, inclusive: operator === ">=" },
        high: undefined,
      };
  }
}

function resolveMembers(
  table: PlannerTable,
  column: PlannerColumn,
  values: readonly Operand[],
): Resolved {
  const constants: Stored[] = [];
  const names = new Set<string>();
  for (const value of values) {
    if (value.kind === "parameter") {
      names.add(value.name);
      continue;
    }
    const place = placeOf(table, column, value.value);
    if (place.kind === "at") constants.push(place.value);
  }
  return memberTerm(column, sortDistinct(constants), [...names].sort());
}

/** A term for any number of values. Constants are sorted and distinct, names too. */
export function memberTerm(
  column: PlannerColumn,
  constants: readonly Stored[],
  names: readonly string[],
): Resolved {
  const operands: TermOperand[] = [
    ...constants.map((value): TermOperand => ({ kind: "constant", value })),
    ...names.map((name): TermOperand => ({ kind: "parameter", name })),
  ];
  const first = operands[0];
  if (first === undefined) return "never";
  return operands.length === 1
    ? { kind: "equal", column, operand: first }
    : { kind: "member", column, operands };
}

export function sortDistinct(values: Stored[]): readonly Stored[] {
  values.sort(compareStored);
  return values.filter((value, index) => {
    const previous = values[index - 1];
    return previous === undefined || compareStored(previous, value) !== 0;
  });
}

function resolveMatch(
  table: PlannerTable,
  column: PlannerColumn,
  operator: MatchOperator,
  pattern: Operand,
): Resolved {
  if (column.kind !== "string") {
    const given = pattern.kind === "value" ? pattern.value : `$${pattern.name}`;
    throw invalidValue(table, column, given, `no ${operator}: patterns are for string columns`);
  }
  const like = operator === "match" || operator === "match_case";
  const fold = operator === "match" || operator === "notmatch";
  const kind = like ? "like" : "unlike";
  if (pattern.kind === "parameter") return { kind, column, pattern, fold };

  const bytes = patternOf(table, column, pattern.value);
  const literal = literalOf(bytes);
  if (literal.bytes.length > column.limit) return like ? "never" : notNull(column);
  if (literal.rest === "star" && literal.bytes.length === 0)
    return like ? notNull(column) : "never";
  const folds = fold && hasLetters(bytes);
  if (literal.rest === "nothing" && !folds) {
    return comparisonTerm(column, like ? "=" : "!=", { kind: "constant", value: literal.bytes });
  }
  return { kind, column, pattern: { kind: "constant", value: bytes }, fold: folds };
}

function hasLetters(bytes: Uint8Array): boolean {
  return bytes.some((byte) => (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a);
}
