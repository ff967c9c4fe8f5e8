/**
 * The planner: which way the rows of a search are reached, and what is left to test, to sort and to
 * cut. Pure: the same query, table and cardinality give the same plan, whatever the order of
 * clauses. A plan can be slow, never wrong: what a plan means does not depend on its route.
 *
 * The rules, in this order. Each says why it keeps the rows.
 *
 * 1. *Canonical form* (`term.ts`, `rules.ts`): names and values are resolved, terms merged.
 *    A condition that is never true has no arm: nothing is read.
 * 2. *Order.* Counting needs none. A column that an `=` or `null` of the AND list fixes orders
 *    nothing and is dropped; columns behind the primary key or behind a unique column that is never
 *    null decide nothing and are dropped. When a sort was given, ties are broken by primary key.
 * 3. *Routes of the AND list.* Each term may give one (`access.ts`): primary key for `=` and `in`;
 *    index for `=`, `in`, ranges, null tests and patterns with a literal beginning. Every row of
 *    the result satisfies every term, so any one of them reaches all rows of the result. The
 *    route's own term is dropped from the residual when every delivered row satisfies it. Of the
 *    terms on one column only the one of the fewest rows is weighed.
 * 4. *Routes of `-or`.* When every group has a route, their union reaches all rows of the result.
 *    Groups on one index become one arm. The groups are dropped from the residual when each is
 *    nothing but its implied term. At most 16 arms.
 * 5. *Walks.* An index on the first sort column delivers rows in order, both ways: a route on that
 *    column is walked, and the whole index is a route too. The walk stops with the window.
 * 6. *Scan* reaches every row.
 * 7. *Choice.* The least cost by estimated rows; at a tie the first of: primary key, index by
 *    column position, walk of a whole index, union, scan. One row by primary key or unique index is
 *    taken at once.
 * 8. *Reach.* With values for the parameters, the choice is made by them, and holds for all numbers
 *    of rows of each term with a parameter for which it would be the same: `guards`, which the
 *    engine compares with its indexes before it runs the plan.
 * 9. *Residual.* What is left of the AND list, the cheapest and most selective first; all terms
 *    must hold, so their order is free.
 */
import { type Access, accessAll, accessOf } from "./access-path.ts";
import { type ResolvedAggregation, resolveAggregation } from "./aggregate.ts";
import { type AfterColumn, resolveAfter } from "./after.ts";
import { boundCardinality, givenCardinality, type Values } from "./bound-cardinality.ts";
import { type Cardinality, estimateTerm } from "./cardinality.ts";
import { dependenceOf, isWindowBound, type Reach, reachOf, unlimitedReach } from "./reach.ts";
import type { PlannerColumn, PlannerTable } from "../resolve/planner-table.ts";
import { type Count, parameterNames, type Query } from "../query.ts";
import { wholeNumber } from "../parse/stapi.ts";
import { type Condition, canonicalCondition } from "../resolve/normalize.ts";
import { findColumn, resolveClause, type Term } from "../resolve/term.ts";

export interface SortColumn {
  readonly column: PlannerColumn;
  readonly descending: boolean;
}

/** How the rows of a plan are reached. */
export type Route =
  | { readonly kind: "nothing" }
  | { readonly kind: "scan" }
  /** One arm, or the union of several. */
  | { readonly kind: "arms"; readonly arms: readonly Access[] };

/** A route that was weighed. */
export interface Candidate {
  readonly route: Route;
  /** Rows are delivered in the order of the first sort column. */
  readonly walk: boolean;
  /** Terms left to test. */
  readonly residual: readonly Term[];
  readonly groups: readonly (readonly Term[])[];
  /** Rows that will be read, estimated. */
  readonly examined: number;
  /** In units of one row of a scan. */
  readonly cost: number;
}

export interface Plan extends Candidate {
  readonly table: PlannerTable;
  /** Empty when the order does not matter. Else ties are broken by the primary key. */
  readonly order: readonly SortColumn[];
  readonly keyDescending: boolean;
  readonly offset: Count;
  readonly limit: Count;
  /** Where the page begins; empty at the first row. */
  readonly after: readonly AfterColumn[];
  readonly fields: readonly PlannerColumn[];
  readonly countOnly: boolean;
  /** What is given instead of rows. */
  readonly aggregation: ResolvedAggregation | undefined;
  /** Names of the query's parameters, also of those that the plan does not need. */
  readonly parameters: ReadonlySet<string>;
  /** Rows of the table, and of the result before its window, estimated. */
  readonly tableRows: number;
  readonly resultRows: number;
  /** All routes that were weighed, the chosen one first. */
  readonly candidates: readonly Candidate[];
  /** What of the parameters' values decides about the way. */
  readonly dependence: Dependence;
  /** For which rows and which window the plan was chosen. */
  readonly reach: Reach;
}

/**
 * - `none`: there is one way for all values.
 * - `estimates`: the rows of some terms, or the window.
 * - `values`: with values the query may become another: patterns have beginnings, and terms on one
 *   column merge or contradict each other.
 */
export type Dependence = "none" | "estimates" | "values";

/**
 * Plans `query` for `table`. **Throws** `UNKNOWN_FIELD` and `INVALID_VALUE`. The query's action is
 * not looked at: what is to be updated or deleted is found like what is to be read.
 */
export function plan(query: Query, table: PlannerTable, cardinality: Cardinality): Plan {
  const [best] = plansOf(query, table, cardinality, false, undefined);
  return best ?? nothingPlan(query, table, cardinality);
}

/**
 * Plans `query` by the values of its parameters, for them and for others like them: `reach` says
 * which. **Throws** what `plan` throws, for the values, too.
 */
export function planFor(
  query: Query,
  table: PlannerTable,
  cardinality: Cardinality,
  values: Values,
): Plan {
  const [best] = plansOf(query, table, cardinality, false, values);
  return best ?? nothingPlan(query, table, cardinality);
}

/** `plan` by every route that there is, the one that it takes first. **Throws** likewise. */
export function plansByRoute(
  query: Query,
  table: PlannerTable,
  cardinality: Cardinality,
): readonly Plan[] {
  const plans = plansOf(query, table, cardinality, true, undefined);
  return plans.length > 0 ? plans : [nothingPlan(query, table, cardinality)];
}

function baseOf(query: Query, table: PlannerTable) {
  return {
    table,
    keyDescending: query.reverse,
    offset: query.offset,
    limit: query.limit,
    fields: fieldsOf(query, table),
    countOnly: query.countOnly,
    aggregation:
      query.aggregation === undefined ? undefined : resolveAggregation(table, query.aggregation),
    parameters: parameterNames(query),
  };
}

function nothingPlan(query: Query, table: PlannerTable, cardinality: Cardinality): Plan {
  const nothing = nothingCandidate();
  const rows = { order: [], after: [], tableRows: cardinality.rowCount(), resultRows: 0 };
  const fixed = { dependence: "none", reach: unlimitedReach } as const;
  return { ...baseOf(query, table), ...rows, ...nothing, ...fixed, candidates: [nothing] };
}

/** By the best route, or by all, the best one first; none for what is never true. */
function plansOf(
  query: Query,
  table: PlannerTable,
  cardinality: Cardinality,
  byAll: boolean,
  values: Values | undefined,
): readonly Plan[] {
  const compare = query.compare.map((clause) => resolveClause(table, clause));
  const or = query.or?.map((group) => group.map((clause) => resolveClause(table, clause)));
  const condition = canonicalCondition(compare, or);
  const sort = query.sort.map(({ column, descending }): SortColumn => {
    return { column: findColumn(table, column), descending: descending !== query.reverse };
  });
  const base = baseOf(query, table);
  if (condition === "never") return [];
  const sorted = orderOf(sort, condition.terms, table, query.reverse);
  const after =
    query.after === undefined ? [] : resolveAfter(table, query.after, sort, sorted, query.reverse);
  const order = query.countOnly ? [] : sorted;
  const bound = values === undefined ? undefined : boundCardinality(table, cardinality, values);
  const window = windowRows(query, values);
  const weigher = new Weigher(condition, order, window, bound ?? cardinality);
  const candidates = weigher.candidates(byAll);
  const dependence = dependenceOf(query, condition, order, candidates);
  const [first] = candidates;
  const isOpen = bound !== undefined && dependence === "estimates" && first !== undefined;
  const reach = isOpen
    ? reachOf(first, bound.measured, window, isWindowBound(query), (rows, within) =>
        new Weigher(condition, order, within, givenCardinality(cardinality, rows)).best(),
      )
    : unlimitedReach;
  const chosen = byAll ? candidates : candidates.slice(0, 1);
  return chosen.map((candidate) => {
    const isSingle = isSingleRow(candidate);
    const { route, walk, residual, groups, examined, cost } = candidate;
    return {
      ...base,
      route,
      walk: walk && !isSingle,
      residual: weigher.sorted(residual),
      groups: groups.map((group) => weigher.sorted(group)),
      examined,
      cost,
      order: isSingle ? [] : order,
      after,
      tableRows: weigher.rows,
      resultRows: weigher.resultRows(),
      candidates,
      dependence,
      reach,
    };
  });
}

function nothingCandidate(): Candidate {
  return {
    route: { kind: "nothing" },
    walk: false,
    residual: [],
    groups: [],
    examined: 0,
    cost: 0,
  };
}

/** Positions in `-fields`, each once; all columns when it is not given. */
function fieldsOf(query: Query, table: PlannerTable): readonly PlannerColumn[] {
  if (query.fields === undefined) return table.columns;
  return [...new Set(query.fields.map((name) => findColumn(table, name)))];
}

/** Rule 2. */
function orderOf(
  sort: readonly SortColumn[],
  terms: readonly Term[],
  table: PlannerTable,
  keyDescending: boolean,
): readonly SortColumn[] {
  if (sort.length === 0) return [];
  const order: SortColumn[] = [];
  for (const each of sort) {
    if (order.some(({ column }) => column === each.column)) continue;
    if (terms.some((term) => term.column === each.column && isFixed(term))) continue;
    order.push(each);
    if (isTotal(each.column)) return order;
  }
  const [key] = table.columns;
  return order.length > 0 || key === undefined
    ? order
    : [{ column: key, descending: keyDescending }];
}

function isFixed(term: Term): boolean {
  return term.kind === "equal" || term.kind === "null";
}

function isTotal(column: PlannerColumn): boolean {
  return column.position === 0 || (column.unique && !column.nullable);
}

/** Rows of the order that the window reaches; infinite where there is no limit. */
export function windowRows(query: Query, values: Values | undefined): number {
  const limit = countOf(query.limit, values);
  return limit === 0 ? Infinity : limit + countOf(query.offset, values);
}

/** A limit or an offset; that of a parameter is assumed where its value is not known. */
export function countOf(count: Count, values: Values | undefined): number {
  if (count.kind === "count") return count.count;
  return wholeNumber(values?.[count.name]) ?? assumedCount;
}

const assumedCount = 100;

/** One row at most, so it needs no order. */
function isSingleRow(candidate: Candidate): boolean {
  const { route } = candidate;
  if (route.kind !== "arms") return route.kind === "nothing";
  const [arm, more] = route.arms;
  return arm !== undefined && more === undefined && isSinglePoint(arm);
}

function isSinglePoint(access: Access): boolean {
  const [clause, more] = access.clauses;
  if (clause === undefined || more !== undefined || clause.kind !== "equal") return false;
  return access.column.position === 0 || access.column.unique;
}

/** Costs in units of one row of a scan, which passes over memory in order. */
const costs = {
  /** A row through an index: three random places. */
  indexRow: 4,
  keyRow: 4,
  /** Descending to the first row of a range. */
  seek: 10,
  /** Keeping a row for the sort, and comparing it once. */
  keep: 0.2,
  compare: 0.1,
} as const;

/** A small table may grow while its plan is kept: a scan of it is not called cheap. */
const scanRowsMin = 1_024;
/** A row of a later arm is tested against all earlier ones. */
const armsMax = 16;

class Weigher {
  readonly rows: number;
  readonly #condition: Condition;
  readonly #order: readonly SortColumn[];
  readonly #window: number;
  readonly #cardinality: Cardinality;
  /** Estimates by term. */
  readonly #estimates = new Map<Term, number>();

  constructor(
    condition: Condition,
    order: readonly SortColumn[],
    window: number,
    cardinality: Cardinality,
  ) {
    this.rows = cardinality.rowCount();
    this.#condition = condition;
    this.#order = order;
    this.#window = window;
    this.#cardinality = cardinality;
  }

  /** Rules 3 to 7: the best candidate first; `all`, even where one needs no comparison. */
  candidates(all: boolean): readonly Candidate[] {
    const { terms, groups } = this.#condition;
    const found: Candidate[] = [];
    const accesses = this.#accessesOf(terms);
    for (const access of all ? accesses : fewestByColumn(accesses)) {
      const residual = terms.filter((each) => !access.implied.includes(each));
      const candidate = this.#weigh([access], residual, groups);
      if (!all && isSinglePoint(access)) return [candidate];
      found.push(candidate);
    }
    const walk = this.#walkOfAll();
    if (walk !== undefined) found.push(walk);
    const union = this.#unionOfGroups();
    if (union !== undefined) found.push(union);
    found.push(this.#weighScan());
    // Stable: at a tie the first one found stays first.
    return found.sort((a, b) => a.cost - b.cost || rankOf(a) - rankOf(b));
  }

  /** The candidate to take. */
  best(): Candidate {
    return this.candidates(false)[0] ?? nothingCandidate();
  }

  /** Rows of the result before its window, with terms taken as independent. */
  resultRows(): number {
    return this.rows * this.#selectivity(this.#condition.terms, this.#condition.groups);
  }

  /** Rule 9. */
  sorted(terms: readonly Term[]): readonly Term[] {
    if (terms.length < 2) return terms;
    const weight = (term: Term): number => {
      const failing = 1 - this.#fraction(term);
      return testCost(term) / Math.max(failing, 0.001);
    };
    const weighed = terms.map((term) => ({ term, weight: weight(term) }));
    return weighed.sort((a, b) => a.weight - b.weight).map(({ term }) => term);
  }

  /** Rule 5 for the whole index. */
  #walkOfAll(): Candidate | undefined {
    const column = this.#order[0]?.column;
    const { terms, groups } = this.#condition;
    if (column === undefined || !column.indexed) return undefined;
    // A route on the column is walked already, and reads less.
    if (terms.some((term) => term.column === column && term.kind !== "differ")) return undefined;
    return this.#weigh([accessAll(column, this.rows)], terms, groups);
  }

  /** Rule 4. */
  #unionOfGroups(): Candidate | undefined {
    const { terms, groups } = this.#condition;
    if (groups.length === 0) return undefined;
    const arms: Access[][] = [];
    let isImplied = true;
    for (const group of groups) {
      const access = fewestRows(this.#accessesOf(group));
      if (access === undefined) return undefined;
      isImplied &&= group.every((term) => access.implied.includes(term));
      const arm = arms.find(([first]) => first !== undefined && isAlike(first, access));
      if (arm === undefined) arms.push([access]);
      else arm.push(access);
      if (arms.length > armsMax) return undefined;
    }
    return this.#weigh(arms.flatMap(joinAccesses), terms, isImplied ? [] : groups);
  }

  /** A way to the rows of each term that has one. */
  #accessesOf(terms: readonly Term[]): readonly Access[] {
    const accesses: Access[] = [];
    for (const term of terms) {
      const access = accessOf(term, this.rows, this.#cardinality);
      if (access === undefined) continue;
      this.#estimates.set(term, access.rows);
      accesses.push(access);
    }
    return accesses;
  }

  #weigh(
    arms: readonly Access[],
    residual: readonly Term[],
    groups: readonly (readonly Term[])[],
  ): Candidate {
    const [arm] = arms;
    const [first] = this.#order;
    const walk = arms.length === 1 && first !== undefined && arm?.column === first.column;
    let delivered = 0;
    let ranges = 0;
    for (const { rows, clauses } of arms) {
      delivered += rows;
      for (const clause of clauses) {
        ranges += clause.kind === "member" ? clause.operands.length : 1;
      }
    }
    const passing = this.#selectivity(residual, groups);
    const examined = this.#examined(delivered, passing, walk);
    const perRow = arm?.kind === "key" ? costs.keyRow : costs.indexRow;
    const cost = ranges * costs.seek + examined * perRow + this.#sortCost(examined * passing, walk);
    return { route: { kind: "arms", arms }, walk, residual, groups, examined, cost };
  }

  #weighScan(): Candidate {
    const { terms, groups } = this.#condition;
    const rows = Math.max(this.rows, scanRowsMin);
    const passing = this.#selectivity(terms, groups);
    const examined = this.#examined(rows, passing, false);
    const cost = examined + this.#sortCost(examined * passing, false);
    return {
      route: { kind: "scan" },
      walk: false,
      residual: terms,
      groups,
      examined: Math.min(examined, this.rows),
      cost,
    };
  }

  /** Rows read until the window is complete. A sort that is not walked reads all. */
  #examined(delivered: number, passing: number, walk: boolean): number {
    if (this.#window === Infinity || (this.#order.length > 0 && !walk)) return delivered;
    return Math.min(delivered, this.#window / Math.max(passing, 1e-9));
  }

  #sortCost(kept: number, walk: boolean): number {
    if (walk || this.#order.length === 0) return 0;
    const compared = Math.min(kept, this.#window);
    return kept * costs.keep + compared * Math.log2(compared + 2) * costs.compare;
  }

  /** The fraction of rows that satisfy all terms and one of the groups. */
  #selectivity(terms: readonly Term[], groups: readonly (readonly Term[])[]): number {
    let fraction = 1;
    for (const term of terms) fraction *= this.#fraction(term);
    if (groups.length === 0) return fraction;
    let missing = 1;
    for (const group of groups) missing *= 1 - this.#selectivity(group, []);
    return fraction * (1 - missing);
  }

  #fraction(term: Term): number {
    if (this.rows === 0) return 0;
    let estimate = this.#estimates.get(term);
    if (estimate === undefined) {
      estimate = estimateTerm(term, this.rows, this.#cardinality);
      this.#estimates.set(term, estimate);
    }
    return estimate / this.rows;
  }
}

/** Whether both reach rows in the same place. */
function isAlike(a: Access, b: Access): boolean {
  return a.kind === b.kind && a.column === b.column;
}

/** The first access of the fewest rows. */
function fewestRows(accesses: readonly Access[]): Access | undefined {
  let best: Access | undefined;
  for (const access of accesses) if (best === undefined || access.rows < best.rows) best = access;
  return best;
}

/** In each place the access of the fewest rows. */
function fewestByColumn(accesses: readonly Access[]): readonly Access[] {
  const best: Access[] = [];
  for (const access of accesses) {
    const at = best.findIndex((each) => isAlike(each, access));
    const known = best[at];
    if (known === undefined) best.push(access);
    else if (access.rows < known.rows) best[at] = access;
  }
  return best;
}

/** One access to all that accesses of one place reach; none for none. */
function joinAccesses(accesses: readonly Access[]): readonly Access[] {
  const [first, more] = accesses;
  if (first === undefined || more === undefined) return accesses;
  return [
    {
      kind: first.kind,
      column: first.column,
      clauses: accesses.flatMap(({ clauses }) => clauses),
      implied: [],
      rows: accesses.reduce((sum, { rows }) => sum + rows, 0),
    },
  ];
}

function rankOf({ route }: Candidate): number {
  if (route.kind !== "arms") return 3;
  return route.arms.length > 1 ? 2 : route.arms[0]?.kind === "key" ? 0 : 1;
}

/** What testing one row costs, in units of an integer comparison. */
function testCost(term: Term): number {
  switch (term.kind) {
    case "null":
    case "notNull":
      return 0.5;
    case "equal":
    case "differ":
    case "between":
      return isText(term.column) ? 3 : 1;
    case "member":
      return isText(term.column) ? 6 : 2;
    case "like":
    case "unlike":
      return 8;
  }
}

function isText(column: PlannerColumn): boolean {
  return column.kind === "string" || column.kind === "bytes";
}
