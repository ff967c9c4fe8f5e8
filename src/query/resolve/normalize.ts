/**
 * Rules that put terms into one canonical form, before any route is looked at. Each keeps the rows:
 *
 * 1. Terms of one column in one AND list are merged: bounds to the tightest, values of `=` and `in`
 *    to their intersection within the bounds. What contradicts itself is never; `notNull` beside
 *    another term is dropped, for nulls satisfy none; `null` beside another term is never.
 * 2. A parameter is a value that is not known: it takes an end that no constant has, and stays a
 *    term of its own otherwise.
 * 3. A group that is never is dropped, equal groups are one. No group left is never; a group that
 *    always holds makes `-or` hold; a single group belongs to the AND list.
 * 4. Groups of one `=` or `in` each, all on one column, are one `in`.
 * 5. Terms are sorted by column, then by what they are: the order of clauses leaves no trace.
 */
import type { PlannerColumn } from "./planner-table.ts";
import { compareStored, type Stored } from "./bound.ts";
import { type Bound, memberTerm, type Resolved, sortDistinct } from "./term.ts";
import type { Term, TermOperand } from "./term.ts";

/** The AND of terms: sorted, merged. "never" holds for no row, the empty list for every row. */
export type Conjunction = readonly Term[] | "never";

/** A whole condition in canonical form; no group is empty. */
export interface Condition {
  readonly terms: readonly Term[];
  /** Two or more, or none. */
  readonly groups: readonly (readonly Term[])[];
}

/** Rules 1 and 5 for one AND list. */
export function mergeTerms(resolved: readonly Resolved[]): Conjunction {
  const terms: Term[] = [];
  for (const each of resolved) {
    if (each === "never") return "never";
    if (each !== "always") terms.push(each);
  }
  terms.sort(compareTerms);
  const merged: Term[] = [];
  for (let from = 0; from < terms.length;) {
    let to = from + 1;
    while (terms[to]?.column === terms[from]?.column) to++;
    const list = terms.slice(from, to);
    const column = isMerged(list) ? list : mergeColumn(list);
    if (column === "never") return "never";
    merged.push(...column);
    from = to;
  }
  return merged;
}

/** All rules for a condition of an AND list and groups (`undefined` when there is no `-or`). */
export function canonicalCondition(
  compare: readonly Resolved[],
  or: readonly (readonly Resolved[])[] | undefined,
): Condition | "never" {
  const terms = mergeTerms(compare);
  if (terms === "never") return "never";
  if (or === undefined) return { terms, groups: [] };

  const groups = canonicalGroups(or);
  if (groups === "always") return { terms, groups: [] };
  const [first, second] = groups;
  if (first === undefined) return "never";
  const joined = second === undefined ? first : joinMembers(groups);
  if (joined === undefined) return { terms, groups };
  const all = mergeTerms([...terms, ...joined]);
  return all === "never" ? "never" : { terms: all, groups: [] };
}

/** Rule 3: groups that can hold, each once, sorted. */
function canonicalGroups(
  or: readonly (readonly Resolved[])[],
): readonly (readonly Term[])[] | "always" {
  const groups: (readonly Term[])[] = [];
  for (const each of or) {
    const group = mergeTerms(each);
    if (group === "never") continue;
    if (group.length === 0) return "always";
    groups.push(group);
  }
  groups.sort(compareGroups);
  return groups.filter((group, index) => {
    const previous = groups[index - 1];
    return previous === undefined || compareGroups(previous, group) !== 0;
  });
}

/** Rule 4. */
function joinMembers(groups: readonly (readonly Term[])[]): readonly Term[] | undefined {
  const constants: Stored[] = [];
  const names = new Set<string>();
  const column = groups[0]?.[0]?.column;
  for (const [term, more] of groups) {
    if (term === undefined || more !== undefined || term.column !== column) return undefined;
    if (term.kind !== "equal" && term.kind !== "member") return undefined;
    for (const operand of term.kind === "member" ? term.operands : [term.operand]) {
      if (operand.kind === "constant") constants.push(operand.value);
      else names.add(operand.name);
    }
  }
  if (column === undefined) return undefined;
  const joined = memberTerm(column, sortDistinct(constants), [...names].sort());
  return typeof joined === "string" ? undefined : [joined];
}

/** Whether the terms of a column cannot become others. */
function isMerged(terms: readonly Term[]): boolean {
  const [term, more] = terms;
  if (term === undefined || more !== undefined) return false;
  return term.kind !== "between" || term.low === undefined || term.high === undefined;
}

/** Rules 1 and 2 for the terms of one column. */
function mergeColumn(terms: readonly Term[]): Conjunction {
  const first = terms[0];
  if (first === undefined) return [];
  const column = first.column;
  const merger = new Merger();
  for (const term of terms) merger.add(term);
  return merger.finish(column);
}

class Merger {
  #low: Bound | undefined;
  #high: Bound | undefined;
  /** Values that `=` and `in` allow; all of them while undefined. */
  #values: readonly Stored[] | undefined;
  #nulls = 0;
  #others = 0;
  /** Bounds by parameters. */
  readonly #lows: Bound[] = [];
  readonly #highs: Bound[] = [];
  readonly #differs: Stored[] = [];
  /** Terms that nothing is known to merge with. */
  readonly #rest: Term[] = [];

  add(term: Term): void {
    if (term.kind === "null") this.#nulls++;
    else this.#others++;
    switch (term.kind) {
      case "null":
      case "notNull":
        return;
      case "equal":
        if (term.operand.kind === "constant") this.#intersect([term.operand.value]);
        else this.#rest.push(term);
        return;
      case "member": {
        const values = constantsOf(term.operands);
        if (values === undefined) this.#rest.push(term);
        else this.#intersect(values);
        return;
      }
      case "differ":
        if (term.operand.kind === "constant") this.#differs.push(term.operand.value);
        else this.#rest.push(term);
        return;
      case "between":
        if (term.low !== undefined) this.#addLow(term.low);
        if (term.high !== undefined) this.#addHigh(term.high);
        return;
      case "like":
      case "unlike":
        this.#rest.push(term);
        return;
    }
  }

  finish(column: PlannerColumn): Conjunction {
    if (this.#nulls > 0) return this.#others > 0 ? "never" : [{ kind: "null", column }];
    const out: Term[] = [...this.#rest];
    const inside = (value: Stored): boolean => this.#contains(value);
    this.#closePoint();
    if (this.#values !== undefined) {
      const differs = sortDistinct(this.#differs);
      const values = this.#values.filter((value) => inside(value) && !hasValue(differs, value));
      const term = memberTerm(column, values, []);
      if (typeof term === "string") return "never";
      out.push(term);
      this.#low = undefined;
      this.#high = undefined;
    } else {
      if (this.#isEmpty()) return "never";
      for (const value of sortDistinct(this.#differs)) {
        if (!inside(value)) continue;
        out.push({ kind: "differ", column, operand: { kind: "constant", value } });
      }
    }
    this.#pushBounds(column, out);
    if (out.length === 0) return [{ kind: "notNull", column }];
    return distinctTerms(out);
  }

  #intersect(values: readonly Stored[]): void {
    const before = this.#values;
    this.#values =
      before === undefined ? values : before.filter((value) => hasValue(values, value));
  }

  #addLow(bound: Bound): void {
    if (bound.operand.kind === "parameter") this.#lows.push(bound);
    else if (this.#low === undefined || compareLows(bound, this.#low) > 0) this.#low = bound;
  }

  #addHigh(bound: Bound): void {
    if (bound.operand.kind === "parameter") this.#highs.push(bound);
    else if (this.#high === undefined || compareHighs(bound, this.#high) < 0) this.#high = bound;
  }

  #contains(value: Stored): boolean {
    const point: Bound = { operand: { kind: "constant", value }, inclusive: true };
    if (this.#low !== undefined && compareLows(point, this.#low) < 0) return false;
    return this.#high === undefined || compareHighs(point, this.#high) <= 0;
  }

  /** Both ends at one value are that value. */
  #closePoint(): void {
    const [low, high] = [this.#low?.operand, this.#high?.operand];
    if (low?.kind !== "constant" || high?.kind !== "constant") return;
    if (compareStored(low.value, high.value) === 0 && !this.#isEmpty()) {
      this.#intersect([low.value]);
    }
  }

  /** No value is between the constant bounds. */
  #isEmpty(): boolean {
    const [low, high] = [this.#low, this.#high];
    if (low === undefined || high === undefined) return false;
    const order = compareOperands(low.operand, high.operand);
    return order > 0 || (order === 0 && !(low.inclusive && high.inclusive));
  }

  /** The constant ends, or the first parameters in their stead; other parameters apart. */
  #pushBounds(column: PlannerColumn, out: Term[]): void {
    const lows = this.#lows.sort(compareBounds);
    const highs = this.#highs.sort(compareBounds);
    const isFixed = this.#values !== undefined;
    const low = isFixed ? undefined : (this.#low ?? lows.shift());
    const high = isFixed ? undefined : (this.#high ?? highs.shift());
    if (low !== undefined || high !== undefined) out.push({ kind: "between", column, low, high });
    for (const bound of lows) out.push({ kind: "between", column, low: bound, high: undefined });
    for (const bound of highs) out.push({ kind: "between", column, low: undefined, high: bound });
  }
}

/** The constants of operands, if all are. */
function constantsOf(operands: readonly TermOperand[]): readonly Stored[] | undefined {
  const values: Stored[] = [];
  for (const operand of operands) {
    if (operand.kind === "parameter") return undefined;
    values.push(operand.value);
  }
  return values;
}

/** Binary search in sorted values. */
function hasValue(values: readonly Stored[], wanted: Stored): boolean {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const value = values[middle];
    if (value === undefined) return false;
    const order = compareStored(value, wanted);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return false;
}

/** The later of two low ends lets fewer values in: the greater one, an exclusive one at a tie. */
function compareLows(a: Bound, b: Bound): number {
  return compareOperands(a.operand, b.operand) || Number(b.inclusive) - Number(a.inclusive);
}

/** Of two high ends an exclusive one is before an inclusive one. */
function compareHighs(a: Bound, b: Bound): number {
  return compareOperands(a.operand, b.operand) || Number(a.inclusive) - Number(b.inclusive);
}

function distinctTerms(terms: Term[]): readonly Term[] {
  terms.sort(compareTerms);
  return terms.filter((term, index) => {
    const previous = terms[index - 1];
    return previous === undefined || compareTerms(previous, term) !== 0;
  });
}

const kindRanks = {
  equal: 0,
  member: 1,
  between: 2,
  null: 3,
  notNull: 4,
  differ: 5,
  like: 6,
  unlike: 7,
} as const;

/** The canonical order of terms: total, so equal ones are the same. */
export function compareTerms(a: Term, b: Term): number {
  const order = a.column.position - b.column.position || kindRanks[a.kind] - kindRanks[b.kind];
  if (order !== 0) return order;
  switch (a.kind) {
    case "equal":
    case "differ":
      return b.kind === a.kind ? compareOperands(a.operand, b.operand) : 0;
    case "member":
      return b.kind === a.kind ? compareLists(a.operands, b.operands, compareOperands) : 0;
    case "between":
      if (b.kind !== a.kind) return 0;
      return compareBounds(a.low, b.low) || compareBounds(a.high, b.high);
    case "like":
    case "unlike":
      if (b.kind !== a.kind) return 0;
      return compareOperands(a.pattern, b.pattern) || Number(a.fold) - Number(b.fold);
    case "null":
    case "notNull":
      return 0;
  }
}

function compareGroups(a: readonly Term[], b: readonly Term[]): number {
  return compareLists(a, b, compareTerms);
}

function compareLists<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
): number {
  for (const [index, x] of a.entries()) {
    const y = b[index];
    if (y === undefined) return 1;
    const order = compare(x, y);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareBounds(a: Bound | undefined, b: Bound | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareOperands(a.operand, b.operand) || Number(a.inclusive) - Number(b.inclusive);
}

/** Constants by value, then parameters by name. */
function compareOperands(a: TermOperand, b: TermOperand): number {
  if (a.kind === "constant" && b.kind === "constant") return compareStored(a.value, b.value);
  if (a.kind === "parameter" && b.kind === "parameter") {
    return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
  }
  return a.kind === "constant" ? -1 : 1;
}
