/**
 * How many rows terms with parameters select, once values for these are known.
 */
import { isRaw } from "../parse/lists.ts";
import { compareStored, type Place, placeOf, type Stored } from "../resolve/bound.ts";
import type { PlannerTable } from "../resolve/planner-table.ts";
import { memberTerm, sortDistinct } from "../resolve/term.ts";
import type { Bound, Resolved, Term, TermOperand } from "../resolve/term.ts";
import { type Cardinality, measureTerm } from "./cardinality.ts";

/** Values of parameters by name, without `$`. */
export type Values = Readonly<Record<string, unknown>>;

/** `cardinality` where the values of parameters are known. Terms are measured once. */
export function boundCardinality(
  table: PlannerTable,
  cardinality: Cardinality,
  values: Values,
): Cardinality & { readonly measured: ReadonlyMap<Term, number> } {
  const measured = new Map<Term, number>();
  return {
    rowCount: () => cardinality.rowCount(),
    estimateRange: (column, low, high) => cardinality.estimateRange(column, low, high),
    estimateBound: (term) => {
      const known = measured.get(term);
      if (known !== undefined) return known;
      const constant = substitute(table, term, values);
      if (constant === undefined) return undefined;
      const rows = typeof constant === "string" ? 0 : measureTerm(constant, cardinality);
      if (rows !== undefined) measured.set(term, rows);
      return rows;
    },
    measured,
  };
}

/** `cardinality` where the rows of terms with parameters are given. */
export function givenCardinality(
  cardinality: Cardinality,
  rows: ReadonlyMap<Term, number>,
): Cardinality {
  return {
    rowCount: () => cardinality.rowCount(),
    estimateRange: (column, low, high) => cardinality.estimateRange(column, low, high),
    estimateBound: (term) => rows.get(term),
  };
}

/** The term with values in place of its parameters; `undefined` where one is no value. */
function substitute(table: PlannerTable, term: Term, values: Values): Resolved | undefined {
  const { column } = term;
  const placeIn = (operand: TermOperand): Place | undefined => {
    if (operand.kind === "constant") return { kind: "at", value: operand.value };
    const value = values[operand.name];
    return isRaw(value) ? placeOf(table, column, value) : undefined;
  };
  switch (term.kind) {
    case "equal": {
      const place = placeIn(term.operand);
      if (place === undefined) return undefined;
      if (place.kind !== "at") return "never";
      return { ...term, operand: { kind: "constant", value: place.value } };
    }
    case "member": {
      const stored: Stored[] = [];
      for (const operand of term.operands) {
        const place = placeIn(operand);
        if (place === undefined) return undefined;
        if (place.kind === "at") stored.push(place.value);
      }
      return memberTerm(column, sortDistinct(stored), []);
    }
    case "between": {
      const low = term.low === undefined ? undefined : placeIn(term.low.operand);
      const high = term.high === undefined ? undefined : placeIn(term.high.operand);
      if (term.low !== undefined && low === undefined) return undefined;
      if (term.high !== undefined && high === undefined) return undefined;
      if (high?.kind === "belowAll") return "never";
      const constantLow = lowBound(low, term.low?.inclusive === true);
      const constantHigh = highBound(high, term.high?.inclusive === true);
      if (isEmpty(constantLow, constantHigh)) return "never";
      return { kind: "between", column, low: constantLow, high: constantHigh };
    }
    default:
      return undefined;
  }
}

function lowBound(place: Place | undefined, inclusive: boolean): Bound | undefined {
  if (place === undefined || place.kind === "belowAll") return undefined;
  const operand: TermOperand = { kind: "constant", value: place.value };
  return { operand, inclusive: inclusive && place.kind === "at" };
}

function highBound(place: Place | undefined, inclusive: boolean): Bound | undefined {
  if (place === undefined || place.kind === "belowAll") return undefined;
  const operand: TermOperand = { kind: "constant", value: place.value };
  return { operand, inclusive: inclusive || place.kind === "above" };
}

function isEmpty(low: Bound | undefined, high: Bound | undefined): boolean {
  if (low?.operand.kind !== "constant" || high?.operand.kind !== "constant") return false;
  const order = compareStored(low.operand.value, high.operand.value);
  return order > 0 || (order === 0 && !(low.inclusive && high.inclusive));
}
