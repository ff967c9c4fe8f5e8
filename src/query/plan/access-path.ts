/**
 * Ways to reach rows: for a term, the primary key or a range of an index that delivers at least the
 * rows that satisfy it. What is delivered too much stays for the residual.
 */
import { assumePrefix, type Cardinality, estimateTerm, measureBetween } from "./cardinality.ts";
import { literalOf, nextPrefix, spellings } from "../resolve/glob.ts";
import type { PlannerColumn } from "../resolve/planner-table.ts";
import type { Stored } from "../resolve/bound.ts";
import { type Bound, memberTerm, sortDistinct, type Term } from "../resolve/term.ts";

/** One source of rows: the union of what its clauses select on its column. */
export interface Access {
  readonly kind: "key" | "index";
  readonly column: PlannerColumn;
  readonly clauses: readonly Term[];
  /** The terms that hold for every row delivered, so that nobody need test them. */
  readonly implied: readonly Term[];
  /** Rows delivered, estimated. */
  readonly rows: number;
}

/** Spellings of a pattern's beginning in upper and lower case that are looked up, at most. */
const spellingsMax = 8;

/** How to reach the rows of `term`, if there is a way other than a scan. */
export function accessOf(term: Term, rows: number, cardinality: Cardinality): Access | undefined {
  const { column } = term;
  if (column.position === 0 && (term.kind === "equal" || term.kind === "member")) {
    const count = term.kind === "member" ? term.operands.length : 1;
    return { kind: "key", column, clauses: [term], implied: [term], rows: count };
  }
  if (!column.indexed) return undefined;
  switch (term.kind) {
    case "equal":
    case "member":
    case "between":
    case "null":
    case "notNull": {
      const estimate = estimateTerm(term, rows, cardinality);
      return { kind: "index", column, clauses: [term], implied: [term], rows: estimate };
    }
    case "like":
      return accessOfPattern(term, rows, cardinality);
    case "differ":
    case "unlike":
      return undefined;
  }
}

/** The whole index: every row, in its order. */
export function accessAll(column: PlannerColumn, rows: number): Access {
  const values: Term = { kind: "notNull", column };
  const clauses: readonly Term[] = column.nullable ? [values, { kind: "null", column }] : [values];
  return { kind: "index", column, clauses, implied: [values], rows };
}

/** The ranges of texts that begin like the pattern, in every spelling if case is folded. */
function accessOfPattern(
  term: Extract<Term, { kind: "like" | "unlike" }>,
  rows: number,
  cardinality: Cardinality,
): Access | undefined {
  const { column, pattern } = term;
  if (pattern.kind === "parameter" || !(pattern.value instanceof Uint8Array)) return undefined;
  const literal = literalOf(pattern.value);
  const { variants, whole } = term.fold
    ? spellings(literal.bytes, spellingsMax)
    : { variants: [literal.bytes], whole: true };
  if (variants[0]?.length === 0) return undefined;

  const isPoint = whole && literal.rest === "nothing";
  const clauses = isPoint
    ? pointsOf(column, variants)
    : variants.map((each) => startsWith(column, each));
  let estimate = 0;
  for (const clause of clauses) {
    const measured =
      clause.kind === "between"
        ? measureBetween(column, clause.low, clause.high, cardinality)
        : estimateTerm(clause, rows, cardinality);
    estimate += measured ?? assumePrefix(rows);
  }
  const implied = whole && literal.rest !== "other" ? [term] : [];
  return { kind: "index", column, clauses, implied, rows: Math.min(estimate, rows) };
}

function pointsOf(column: PlannerColumn, variants: readonly Stored[]): readonly Term[] {
  const points = memberTerm(column, sortDistinct([...variants]), []);
  return typeof points === "string" ? [] : [points];
}

function startsWith(column: PlannerColumn, prefix: Uint8Array): Extract<Term, { kind: "between" }> {
  const next = nextPrefix(prefix);
  const high: Bound | undefined =
    next === undefined
      ? undefined
      : { operand: { kind: "constant", value: next }, inclusive: false };
  const low: Bound = { operand: { kind: "constant", value: prefix }, inclusive: true };
  return { kind: "between", column, low, high };
}
