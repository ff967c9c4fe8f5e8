/** Plans in words: what `explain` shows, as an object and as text. */
import { formatScaled } from "../../schema/decimal.ts";
import type { Access } from "./access-path.ts";
import type { Candidate, Plan } from "./planner.ts";
import type { PlannerColumn } from "../resolve/planner-table.ts";
import type { Stored } from "../resolve/bound.ts";
import type { Count } from "../query.ts";
import type { Bound, Term, TermOperand } from "../resolve/term.ts";

/** Where rows come from. */
export interface ExplainedArm {
  readonly by: "primary key" | "index" | "scan";
  readonly column: string | undefined;
  /** What is looked up, one text for each range or list. */
  readonly bounds: readonly string[];
  readonly rows: number;
}

/** How rows come into order. */
export type ExplainedOrder = "none" | "index walk" | "top-N" | "sort";

/** What was measured when the plan was run. */
export interface Measured {
  readonly examined: number;
  readonly returned: number;
  /** From the first call to the last; its steps are those of the engine. */
  readonly elapsedMs: number;
  readonly steps: MeasuredSteps;
}

/** Milliseconds of each step. */
export interface MeasuredSteps {
  /** From the query to the plan's bytes; no part of `elapsedMs`. */
  readonly plan: number;
  /** Finding rows in the key map, an index or the table, and their visible versions. */
  readonly read: number;
  /** The residual and the groups; part of `read` where several threads scan. */
  readonly test: number;
  readonly sort: number;
  /** Rows to the caller. */
  readonly copy: number;
}

export interface ExplainedPlan {
  readonly table: string;
  /** "primary key", "index", "union", "scan", or "nothing" when no row can match. */
  readonly route: string;
  readonly arms: readonly ExplainedArm[];
  /** Tested on each row, in this order; all must hold. */
  readonly residual: readonly string[];
  /** At least one must hold. */
  readonly groups: readonly string[];
  readonly order: { readonly by: readonly string[]; readonly how: ExplainedOrder };
  readonly offset: number | string;
  /** 0 is no limit. */
  readonly limit: number | string;
  readonly fields: readonly string[];
  readonly countOnly: boolean;
  readonly estimates: {
    readonly tableRows: number;
    readonly examined: number;
    readonly matching: number;
    readonly cost: number;
  };
  /** Other routes that were weighed. */
  readonly rejected: readonly { readonly route: string; readonly cost: number }[];
  readonly measured: Measured | undefined;
  /** All of it as lines of text. */
  toString(): string;
}

/** Explains `plan`; with `measured`, also what running it gave. */
export function explain(plan: Plan, measured?: Measured): ExplainedPlan {
  const explained = {
    table: plan.table.name,
    route: routeName(plan),
    arms: armsOf(plan),
    residual: plan.residual.map(describeTerm),
    groups: plan.groups.map((group) => group.map(describeTerm).join(" and ")),
    order: {
      by: plan.order.map(({ column, descending }) => (descending ? "-" : "") + column.name),
      how: orderHow(plan),
    },
    offset: describeCount(plan.offset),
    limit: describeCount(plan.limit),
    fields: plan.fields.map(({ name }) => name),
    countOnly: plan.countOnly,
    estimates: {
      tableRows: plan.tableRows,
      examined: Math.round(plan.examined),
      matching: Math.round(plan.resultRows),
      cost: Math.round(plan.cost),
    },
    rejected: plan.candidates.slice(1).map((candidate) => ({
      route: describeRoute(candidate),
      cost: Math.round(candidate.cost),
    })),
    measured,
  };
  // Not enumerable, so that JSON and comparisons see data only.
  return Object.defineProperty({ ...explained }, "toString", {
    value: () => explainedText(explained),
    enumerable: false,
  });
}

type Explained = Omit<ExplainedPlan, "toString">;

function explainedText(explained: Explained): string {
  const lines = [`search ${explained.table} by ${explained.route}`];
  for (const { by, column, bounds, rows } of explained.arms) {
    const what = column === undefined ? "every row" : `${column}: ${bounds.join("; ")}`;
    lines.push(`  ${by} ${what} (about ${Math.round(rows)} rows)`);
  }
  for (const term of explained.residual) lines.push(`  keep ${term}`);
  if (explained.groups.length > 0) {
    lines.push(`  keep any of ${explained.groups.map((group) => `(${group})`).join(" or ")}`);
  }
  if (explained.order.how !== "none") {
    lines.push(`  order by ${explained.order.by.join(" ")}: ${explained.order.how}`);
  }
  if (explained.offset !== 0) lines.push(`  skip ${explained.offset}`);
  if (explained.limit !== 0) lines.push(`  stop after ${explained.limit}`);
  if (explained.countOnly) lines.push("  count only");
  const { examined, matching, tableRows, cost } = explained.estimates;
  lines.push(
    `  estimated: ${examined} of ${tableRows} rows examined, ${matching} matching, cost ${cost}`,
  );
  for (const { route, cost: other } of explained.rejected) {
    lines.push(`  rejected: ${route}, cost ${other}`);
  }
  const { measured } = explained;
  if (measured !== undefined) {
    lines.push(
      `  measured: ${measured.examined} rows examined, ${measured.returned} returned, ` +
        `${measured.elapsedMs.toFixed(3)} ms`,
    );
    const steps = Object.entries(measured.steps).map(([step, ms]) => `${step} ${ms.toFixed(3)}`);
    lines.push(`  steps in ms: ${steps.join(", ")}`);
  }
  return lines.join("\n");
}

function routeName({ route }: Candidate): string {
  if (route.kind !== "arms") return route.kind;
  if (route.arms.length > 1) return "union";
  return route.arms[0]?.kind === "key" ? "primary key" : "index";
}

function describeRoute(candidate: Candidate): string {
  const { route, walk } = candidate;
  if (route.kind !== "arms") return routeName(candidate);
  const columns = route.arms.map(({ column }) => column.name).join(", ");
  return `${routeName(candidate)} on ${columns}${walk ? " (walk)" : ""}`;
}

function armsOf({ route, tableRows }: Plan): readonly ExplainedArm[] {
  switch (route.kind) {
    case "nothing":
      return [];
    case "scan":
      return [{ by: "scan", column: undefined, bounds: [], rows: tableRows }];
    case "arms":
      return route.arms.map(explainArm);
  }
}

function explainArm({ kind, column, clauses, rows }: Access): ExplainedArm {
  return {
    by: kind === "key" ? "primary key" : "index",
    column: column.name,
    bounds: clauses.map(describeTerm),
    rows,
  };
}

function orderHow(plan: Plan): ExplainedOrder {
  if (plan.order.length === 0) return "none";
  if (plan.walk) return "index walk";
  return plan.limit.kind === "count" && plan.limit.count === 0 ? "sort" : "top-N";
}

function describeCount(count: Count): number | string {
  return count.kind === "count" ? count.count : `$${count.name}`;
}

const symbols = { equal: "=", differ: "!=", like: "match", unlike: "notmatch" } as const;
const listedMax = 5;

/** A term as a clause would say it. */
export function describeTerm(term: Term): string {
  const { column } = term;
  switch (term.kind) {
    case "equal":
    case "differ":
      return `${column.name} ${symbols[term.kind]} ${describeOperand(column, term.operand)}`;
    case "between":
      return describeBetween(column, term.low, term.high);
    case "member": {
      const listed = term.operands.slice(0, listedMax);
      const texts = listed.map((operand) => describeOperand(column, operand));
      const more = term.operands.length - listed.length;
      return `${column.name} in {${texts.join(" ")}${more > 0 ? ` and ${more} more` : ""}}`;
    }
    case "null":
      return `${column.name} null`;
    case "notNull":
      return `${column.name} notnull`;
    case "like":
    case "unlike": {
      const operator = `${symbols[term.kind]}${term.fold ? "" : "_case"}`;
      return `${column.name} ${operator} ${describeOperand(column, term.pattern)}`;
    }
  }
}

function describeBetween(
  column: PlannerColumn,
  low: Bound | undefined,
  high: Bound | undefined,
): string {
  const upper = high === undefined ? "" : `${high.inclusive ? "<=" : "<"} `;
  const highText = high === undefined ? "" : upper + describeOperand(column, high.operand);
  if (low === undefined) return `${column.name} ${highText}`;
  const lowText = describeOperand(column, low.operand);
  if (high === undefined) return `${column.name} ${low.inclusive ? ">=" : ">"} ${lowText}`;
  return `${lowText} ${low.inclusive ? "<=" : "<"} ${column.name} ${highText}`;
}

function describeOperand(column: PlannerColumn, operand: TermOperand): string {
  return operand.kind === "parameter" ? `$${operand.name}` : describeStored(column, operand.value);
}

/** A stored value as a query would write it. */
export function describeStored(column: PlannerColumn, value: Stored): string {
  if (value instanceof Uint8Array) {
    const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString("utf8");
    return /^[^\s"{}\\$]+$/.test(text) ? text : JSON.stringify(text);
  }
  switch (column.kind) {
    case "bool":
      return value === 0 ? "false" : "true";
    case "enum":
      return column.labels[Number(value)] ?? String(value);
    case "decimal":
      return formatScaled(BigInt(value), column.scale);
    default:
      return String(value);
  }
}
