/** Parameters that stand for a whole list of `in`: `{in altitude $levels}` with an array. */
import type { Clause, Operand, Query, RawValue } from "../query.ts";

type Values = Readonly<Record<string, unknown>>;

/**
 * The query with each array of `parameters` in the place of its name in `in` lists, and the
 * parameters that are left; `undefined` when none is an array. An array that has a name elsewhere,
 * too, is left, for binding to refuse.
 */
export function expandLists(
  query: Query,
  parameters: Values,
): { readonly query: Query; readonly parameters: Values } | undefined {
  const lists = new Map<string, readonly Operand[]>();
  for (const [name, value] of Object.entries(parameters)) {
    if (!Array.isArray(value)) continue;
    const operands = value.map(operandOf);
    if (operands.every((each) => each !== undefined)) lists.set(name, operands);
  }
  if (lists.size === 0) return undefined;
  const used = new Set<string>();
  const expand = (clause: Clause): Clause => {
    if (clause.kind !== "in") return clause;
    const values = clause.values.flatMap((operand): readonly Operand[] => {
      const list = operand.kind === "parameter" ? lists.get(operand.name) : undefined;
      if (list === undefined || operand.kind !== "parameter") return [operand];
      used.add(operand.name);
      return list;
    });
    return { ...clause, values };
  };
  const expanded: Query = {
    ...query,
    compare: query.compare.map(expand),
    or: query.or?.map((group) => group.map(expand)),
  };
  const rest = Object.entries(parameters).filter(([name]) => !used.has(name));
  return { query: expanded, parameters: Object.fromEntries(rest) };
}

function operandOf(value: unknown): Operand | undefined {
  return isRaw(value) ? { kind: "value", value } : undefined;
}

function isRaw(value: unknown): value is RawValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return true;
    default:
      return value instanceof Uint8Array;
  }
}
