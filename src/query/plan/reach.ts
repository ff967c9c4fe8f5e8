/**
 * How far a choice between ways reaches: for which rows of its terms with parameters, and for which
 * window, the planner would choose the same way again. Found by weighing the ways at the corners of
 * a box around the values at hand, a large one first, then smaller ones.
 */
import type { Query } from "../query.ts";
import type { Condition } from "../resolve/normalize.ts";
import type { Term } from "../resolve/term.ts";
import { hasParameter } from "./cardinality.ts";
import type { Candidate, Dependence, SortColumn } from "./planner.ts";

/** From one number to another, both included. */
export interface Span {
  readonly low: number;
  readonly high: number;
}

/** The rows of a term for which a plan was chosen. */
export interface Guard extends Span {
  readonly term: Term;
}

export interface Reach {
  readonly guards: readonly Guard[];
  /** Rows of the order that the window reaches; infinite without a limit. */
  readonly window: Span;
}

/** The reach of a plan that is right for all values. */
export const unlimitedReach: Reach = { guards: [], window: { low: 0, high: Infinity } };

/** The engine looks at no more of them. */
export const guardsMax = 8;
/** More corners than 2 to this number are not weighed. */
const sidesMax = 4;
/** How large a box is, seen from its middle. */
const factors = [32, 4, 1.5] as const;
/** A box so small that the way hardly matters at its ends. */
const closest = 1.02;
/** Rows by which estimates may differ without any consequence. */
const slack = 2;

/** What decides about the way. `candidates` are the ways that were weighed. */
export function dependenceOf(
  query: Query,
  condition: Condition,
  order: readonly SortColumn[],
  candidates: readonly Candidate[],
): Dependence {
  const [first, second] = candidates;
  if (second === undefined && first?.route.kind !== "scan") return "none";
  const lists = [condition.terms, ...condition.groups];
  if (lists.some(isOpen) || areGroupsOpen(condition, order)) return "values";
  if (second === undefined) return "none";
  const guards = lists.reduce((sum, list) => sum + list.filter(isMeasured).length, 0);
  if (guards > guardsMax) return "values";
  return guards > 0 || isWindowBound(query) ? "estimates" : "none";
}

/** Whether values could make other terms of these. */
function isOpen(terms: readonly Term[]): boolean {
  return terms.some((term, index) => {
    if (!hasParameter(term)) return false;
    if ((term.kind === "like" || term.kind === "unlike") && term.column.indexed) return true;
    return terms[index - 1]?.column === term.column || terms[index + 1]?.column === term.column;
  });
}

/**
 * Whether values could leave one group alone, which then belongs to the AND list, and change more
 * than the rows of the others.
 */
function areGroupsOpen({ terms, groups }: Condition, order: readonly SortColumn[]): boolean {
  const members = groups.flat();
  if (!members.some(hasParameter)) return false;
  return members.some((term) => {
    const { column } = term;
    if (hasParameter(term) && !isMeasured(term)) return true;
    if (term.kind === "between" && term.low !== undefined && term.high !== undefined) return true;
    return terms.some((each) => each.column === column) || order[0]?.column === column;
  });
}

/** Whether an index says how many rows the term has, once its values are known. */
function isMeasured(term: Term): boolean {
  if (!term.column.indexed || !hasParameter(term)) return false;
  if (term.kind === "between") return true;
  return (term.kind === "equal" || term.kind === "member") && !term.column.unique;
}

/** Whether limit or offset is a parameter. */
export function isWindowBound({ limit, offset }: Query): boolean {
  return limit.kind === "parameter" || offset.kind === "parameter";
}

/** Weighs the ways for so many rows of terms and such a window. */
type Weigh = (rows: ReadonlyMap<Term, number>, window: number) => Candidate;

/** How far `chosen` reaches, which was chosen for these rows and this window. */
export function reachOf(
  chosen: Candidate,
  rows: ReadonlyMap<Term, number>,
  window: number,
  isWindowOpen: boolean,
  weigh: Weigh,
): Reach {
  const sides = rows.size + (isWindowOpen ? 1 : 0);
  for (const factor of sides > sidesMax ? [] : factors) {
    const box = boxOf(rows, window, isWindowOpen, factor);
    const windows = isWindowOpen ? [box.window.low, box.window.high] : [window];
    if (
      cornersOf(box.guards, windows).every((corner) =>
        isAlike(chosen, weigh(corner.rows, corner.window)),
      )
    ) {
      return box;
    }
  }
  return boxOf(rows, window, isWindowOpen, closest);
}

function boxOf(
  rows: ReadonlyMap<Term, number>,
  window: number,
  isWindowOpen: boolean,
  factor: number,
): Reach {
  const guards = Array.from(rows, ([term, count]): Guard => {
    return { term, ...spanOf(count, factor) };
  });
  return { guards, window: isWindowOpen ? spanOf(window, factor) : unlimitedReach.window };
}

function spanOf(count: number, factor: number): Span {
  return {
    low: Math.max(0, Math.floor(count / factor) - slack),
    high: Math.ceil(count * factor) + slack,
  };
}

/** The ends of all spans in every combination. */
function cornersOf(
  guards: readonly Guard[],
  windows: readonly number[],
): readonly { readonly rows: ReadonlyMap<Term, number>; readonly window: number }[] {
  let corners = windows.map((each) => ({ rows: new Map<Term, number>(), window: each }));
  for (const { term, low, high } of guards) {
    corners = corners.flatMap((corner) =>
      [low, high].map((count) => ({
        rows: new Map([...corner.rows, [term, count]]),
        window: corner.window,
      })),
    );
  }
  return corners;
}

/** Whether two candidates for one condition go the same way. */
function isAlike(a: Candidate, b: Candidate): boolean {
  if (a.walk !== b.walk || a.route.kind !== b.route.kind) return false;
  if (a.route.kind !== "arms" || b.route.kind !== "arms") return true;
  const arms = b.route.arms;
  return (
    a.route.arms.length === arms.length &&
    a.route.arms.every((arm, index) => {
      const other = arms[index];
      if (other === undefined || arm.kind !== other.kind || arm.column !== other.column)
        return false;
      const isSame = arm.clauses.every((clause, at) => clause.kind === other.clauses[at]?.kind);
      return isSame && arm.clauses.length === other.clauses.length;
    })
  );
}

/** Whether a plan of this reach is the one to run; `rows` are those of its guards, in order. */
export function reaches(reach: Reach, window: number, rows?: ArrayLike<number>): boolean {
  if (window < reach.window.low || window > reach.window.high) return false;
  if (rows === undefined) return true;
  return reach.guards.every(({ low, high }, index) => {
    const count = rows[index] ?? 0;
    return count >= low && count <= high;
  });
}
