/**
 * How many rows terms select: measured on indexed columns where the values are known, assumed
 * elsewhere. The assumptions are those of textbooks; what matters is that they are fixed.
 */
import {
  encodeKey,
  encodeNullKey,
  type KeyWords,
  nextKey,
  previousKey,
} from "../resolve/index-key.ts";
import type { PlannerColumn } from "../resolve/planner-table.ts";
import type { Bound, Term, TermOperand } from "../resolve/term.ts";

/** What the engine measures. Both are estimates, cheap to ask for, and may be out of date. */
export interface Cardinality {
  rowCount(): number;
  /**
   * Rows whose key of the indexed column `column` (its position) is from `low` to `high`, both
   * included; `undefined` is no bound. Nulls are behind all values.
   */
  estimateRange(column: number, low: KeyWords | undefined, high: KeyWords | undefined): number;
  /** Rows of a term on an indexed column that has parameters, where their values are known. */
  estimateBound?(term: Term): number | undefined;
}

/** Whether a value of the term is bound later. */
export function hasParameter(term: Term): boolean {
  switch (term.kind) {
    case "equal":
    case "differ":
      return term.operand.kind === "parameter";
    case "between":
      return term.low?.operand.kind === "parameter" || term.high?.operand.kind === "parameter";
    case "member":
      return term.operands.some(({ kind }) => kind === "parameter");
    case "like":
    case "unlike":
      return term.pattern.kind === "parameter";
    case "null":
    case "notNull":
      return false;
  }
}

/** Members of a list that are measured; the others are assumed to be alike. */
const membersMeasuredMax = 16;

const assumed = {
  equal: 0.01,
  between: 0.1,
  halfOpen: 0.33,
  null: 0.05,
  prefix: 0.02,
  like: 0.1,
} as const;

/** Rows of `rows` that satisfy `term`, from 0 to `rows`. */
export function estimateTerm(term: Term, rows: number, cardinality: Cardinality): number {
  const estimate = term.column.indexed
    ? (measureTerm(term, cardinality) ?? assumeTerm(term, rows))
    : assumeTerm(term, rows);
  return Math.min(Math.max(estimate, 0), rows);
}

/** Rows of a term on an indexed column; `undefined` where an index cannot tell. */
export function measureTerm(term: Term, cardinality: Cardinality): number | undefined {
  const { column } = term;
  switch (term.kind) {
    case "equal":
      if (column.unique) return 1;
      if (hasParameter(term)) return cardinality.estimateBound?.(term);
      return measurePoint(column, term.operand, cardinality);
    case "member": {
      if (column.unique) return term.operands.length;
      if (hasParameter(term)) return cardinality.estimateBound?.(term);
      const measured = term.operands.slice(0, membersMeasuredMax);
      let sum = 0;
      for (const operand of measured) {
        const rows = measurePoint(column, operand, cardinality);
        if (rows === undefined) return undefined;
        sum += rows;
      }
      return (sum / measured.length) * term.operands.length;
    }
    case "between":
      if (hasParameter(term)) return cardinality.estimateBound?.(term);
      return measureBetween(column, term.low, term.high, cardinality);
    case "null": {
      const key = encodeNullKey(column);
      return cardinality.estimateRange(column.position, key, key);
    }
    case "notNull":
      return measureBetween(column, undefined, undefined, cardinality);
    case "differ":
    case "like":
    case "unlike":
      return undefined;
  }
}

function measurePoint(
  column: PlannerColumn,
  operand: TermOperand,
  cardinality: Cardinality,
): number | undefined {
  if (operand.kind === "parameter") return undefined;
  const key = encodeKey(column, operand.value);
  return cardinality.estimateRange(column.position, key, key);
}

/** `undefined` when an end is a parameter. */
export function measureBetween(
  column: PlannerColumn,
  low: Bound | undefined,
  high: Bound | undefined,
  cardinality: Cardinality,
): number | undefined {
  if (low?.operand.kind === "parameter" || high?.operand.kind === "parameter") return undefined;
  let lowKey: KeyWords | undefined;
  let highKey: KeyWords | undefined;
  if (low !== undefined) {
    const key = encodeKey(column, low.operand.value);
    lowKey = low.inclusive ? key : nextKey(key);
  }
  if (high !== undefined) {
    const key = encodeKey(column, high.operand.value);
    if (!high.inclusive && key.every((half) => half === 0)) return 0;
    highKey = high.inclusive ? key : previousKey(key);
  } else if (column.nullable) {
    highKey = previousKey(encodeNullKey(column));
  }
  return cardinality.estimateRange(column.position, lowKey, highKey);
}

function assumeTerm(term: Term, rows: number): number {
  switch (term.kind) {
    case "equal":
      return assumePoints(term.column, 1, rows);
    case "differ":
      return rows - assumePoints(term.column, 1, rows);
    case "member":
      return assumePoints(term.column, term.operands.length, rows);
    case "between": {
      const isClosed = term.low !== undefined && term.high !== undefined;
      return rows * (isClosed ? assumed.between : assumed.halfOpen);
    }
    case "null":
      return rows * assumed.null;
    case "notNull":
      return rows * (1 - assumed.null);
    case "like":
      return rows * assumed.like;
    case "unlike":
      return rows * (1 - assumed.like);
  }
}

function assumePoints(column: PlannerColumn, count: number, rows: number): number {
  if (column.position === 0 || column.unique) return count;
  if (column.kind === "bool") return rows * 0.5;
  if (column.kind === "enum") return (rows * count) / Math.max(column.labels.length, 1);
  return rows * assumed.equal * count;
}

/** Rows of a term whose pattern begins with text that is not measured. */
export function assumePrefix(rows: number): number {
  return rows * assumed.prefix;
}

/** A cardinality that knows the number of rows only, for plans without an engine. */
export function assumedCardinality(rowCount: number): Cardinality {
  return {
    rowCount: () => rowCount,
    estimateRange: (_, low, high) => {
      if (low === undefined && high === undefined) return rowCount;
      if (low === undefined || high === undefined) return rowCount * assumed.halfOpen;
      const isPoint = low.every((half, index) => half === high[index]);
      return rowCount * (isPoint ? assumed.equal : assumed.between);
    },
  };
}
