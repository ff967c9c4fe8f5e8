/**
 * Values in the place of parameters: lists of `in` (`{in altitude $levels}` with an array), and all
 * values where they decide which query it is.
 */
import { isBytes, plainOf } from "../../schema/plain-value.ts";
import { type Clause, type Operand, parameterNames, type Query, type RawValue } from "../query.ts";

type Values = Readonly<Record<string, unknown>>;

/**
 * The query with each array of `parameters` in the place of its name in `in` lists, with `whole`
 * every value of a clause in its place; and the parameters that are left. `undefined` when no name
 * has such a value. An array that has a name elsewhere, too, is left, for binding to refuse.
 */
export function expandValues(
  query: Query,
  parameters: Values,
  whole: boolean,
): { readonly query: Query; readonly parameters: Values } | undefined {
  const used = new Set<string>();
  const single = (operand: Operand): Operand => {
    const value = whole && operand.kind === "parameter" ? parameters[operand.name] : undefined;
    if (operand.kind !== "parameter" || !isRaw(value)) return operand;
    used.add(operand.name);
    return { kind: "value", value };
  };
  const members = (operand: Operand): readonly Operand[] => {
    const value = operand.kind === "parameter" ? parameters[operand.name] : undefined;
    if (operand.kind !== "parameter" || !Array.isArray(value)) return [single(operand)];
    const operands = value.map(operandOf);
    if (!operands.every((each) => each !== undefined)) return [operand];
    used.add(operand.name);
    return operands;
  };
  const expand = (clause: Clause): Clause => {
    switch (clause.kind) {
      case "compare":
        return { ...clause, value: single(clause.value) };
      case "range":
        return { ...clause, low: single(clause.low), high: single(clause.high) };
      case "in":
        return { ...clause, values: clause.values.flatMap(members) };
      case "match":
        return { ...clause, pattern: single(clause.pattern) };
      case "null":
      case "truth":
        return clause;
    }
  };
  const expanded: Query = {
    ...query,
    compare: query.compare.map(expand),
    or: query.or?.map((group) => group.map(expand)),
  };
  if (used.size === 0) return undefined;
  const left = parameterNames(expanded);
  const rest = Object.entries(parameters).filter(([name]) => !used.has(name) || left.has(name));
  return { query: expanded, parameters: Object.fromEntries(rest) };
}

function operandOf(given: unknown): Operand | undefined {
  const value = typeof given === "object" && given !== null ? plainOf(given) : given;
  return isRaw(value) ? { kind: "value", value } : undefined;
}

/** Whether it can stand where one value stands. */
export function isRaw(value: unknown): value is RawValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return true;
    default:
      return isBytes(value);
  }
}
