/** Clauses and lists of them: `{> altitude 30000} {match flight_id UAL*}`. */
import { nearestName } from "../../schema/nearest.ts";
import { describeValue } from "../../schema/value.ts";
import { type Item, listOf, plainText, valueOf } from "./syntax.ts";
import type { Clause, Comparison, MatchOperator, Name, Operand } from "../query.ts";
import { parseError } from "./lexer.ts";

type OperatorKind =
  | { readonly kind: "compare"; readonly operator: Comparison }
  | { readonly kind: "range" | "in" }
  | { readonly kind: "null" | "truth"; readonly expected: boolean }
  | { readonly kind: "match"; readonly operator: MatchOperator };

const operators: ReadonlyMap<string, OperatorKind> = new Map<string, OperatorKind>([
  ["=", { kind: "compare", operator: "=" }],
  ["==", { kind: "compare", operator: "=" }],
  ["!=", { kind: "compare", operator: "!=" }],
  ["<>", { kind: "compare", operator: "!=" }],
  ["<", { kind: "compare", operator: "<" }],
  ["<=", { kind: "compare", operator: "<=" }],
  [">", { kind: "compare", operator: ">" }],
  [">=", { kind: "compare", operator: ">=" }],
  ["range", { kind: "range" }],
  ["in", { kind: "in" }],
  ["null", { kind: "null", expected: true }],
  ["notnull", { kind: "null", expected: false }],
  ["true", { kind: "truth", expected: true }],
  ["false", { kind: "truth", expected: false }],
  ["match", { kind: "match", operator: "match" }],
  ["notmatch", { kind: "match", operator: "notmatch" }],
  ["match_case", { kind: "match", operator: "match_case" }],
  ["notmatch_case", { kind: "match", operator: "notmatch_case" }],
]);

/** All operators, as they are written. */
export const operatorNames: readonly string[] = [...operators.keys()];

/** How a clause of each kind is written, which is what an error expects. */
const usage = {
  compare: "{OPERATOR column value}",
  range: "{range column low high}",
  in: "{in column {value value …}}",
  null: "{null column}",
  truth: "{true column}",
  match: "{match column pattern}",
} as const;

/** The members of a clause list. One clause may stand without its own braces or array. */
export function clauseListOf(item: Item): readonly Clause[] {
  const members = listOf(item, "a list of clauses");
  if (isClause(members)) return [clauseOf(members, item.position)];
  return members.map((member) => {
    const parts = listOf(member, "a clause like {> column value}");
    return clauseOf(parts, member.position);
  });
}

/** The groups of `-or`: each is a clause list. */
export function groupsOf(item: Item): readonly (readonly Clause[])[] {
  const members = listOf(item, "a list of compare lists");
  return isClause(members) ? [[clauseOf(members, item.position)]] : members.map(clauseListOf);
}

/** Whether the parts begin with an operator, so that they are a clause and not a list of them. */
function isClause(parts: readonly Item[]): boolean {
  const first = parts[0];
  const text = first === undefined ? undefined : plainText(first);
  return text !== undefined && findOperator(text) !== undefined;
}

function findOperator(text: string): OperatorKind | undefined {
  return operators.get(text) ?? (text.length <= 16 ? operators.get(text.toLowerCase()) : undefined);
}

function clauseOf(parts: readonly Item[], position: number | undefined): Clause {
  const [first, name, ...rest] = parts;
  if (first === undefined) {
    throw parseError("a clause is empty", position, "a clause like {> column value}");
  }
  const written = plainText(first);
  const operator = written === undefined ? undefined : findOperator(written);
  if (operator === undefined) throw unknownOperator(written, first.position);

  const misfit = (): Error =>
    parseError(
      `${written} has ${parts.length - 1} arguments`,
      position,
      usage[operator.kind].replace("OPERATOR", written ?? ""),
    );
  if (name === undefined) throw misfit();
  const column = columnOf(name);
  const [a, b] = rest;
  switch (operator.kind) {
    case "null":
    case "truth":
      if (a !== undefined) throw misfit();
      return { kind: operator.kind, column, expected: operator.expected };
    case "range":
      if (a === undefined || b === undefined || rest.length > 2) throw misfit();
      return { kind: "range", column, low: operandOf(a), high: operandOf(b) };
    case "in":
      if (a === undefined || b !== undefined) throw misfit();
      return { kind: "in", column, values: valuesOf(a).map(operandOf) };
    case "compare":
      if (a === undefined || b !== undefined) throw misfit();
      return { kind: "compare", operator: operator.operator, column, value: operandOf(a) };
    case "match":
      if (a === undefined || b !== undefined) throw misfit();
      return { kind: "match", operator: operator.operator, column, pattern: operandOf(a) };
  }
}

/** The values of an `in`. A JavaScript string is data, and so no list. */
function valuesOf(item: Item): readonly Item[] {
  if (item.kind === "raw" && typeof item.value === "string") {
    throw parseError("a string is not a list", item.position, "an array of values, or param(name)");
  }
  return listOf(item, "a list of values");
}

function columnOf(item: Item): Name {
  const text = plainText(item);
  if (text === undefined || text === "") {
    throw parseError("a clause has no column", item.position, "the name of a column");
  }
  return { text, position: item.position };
}

function operandOf(item: Item): Operand {
  const operand = valueOf(item);
  if (operand === null) {
    throw parseError("null is not a value", item.position, "the operator null or notnull");
  }
  return operand;
}

function unknownOperator(written: string | undefined, position: number | undefined): Error {
  const near = written === undefined ? undefined : nearestName(written, operatorNames);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  const what = written === undefined ? "a list" : describeValue(written);
  return parseError(
    `${what} is not an operator${hint}`,
    position,
    `one of ${operatorNames.join(" ")}`,
  );
}
