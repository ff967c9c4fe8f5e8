/**
 * What `-update` sets: the assignments of a query as values that the row codec takes. Whether a
 * value fits its column is the codec's to say; here text only becomes the column's JavaScript type.
 */
import { AerostoreError } from "../../errors.ts";
import type { ColumnValue } from "../../schema/column.ts";
import { describeValue, typeName } from "../../schema/value.ts";
import type { PlannerColumn, PlannerTable } from "./planner-table.ts";
import type { Assignment, Operand, RawValue } from "../query.ts";
import { findColumn } from "./term.ts";
import { parseError } from "../parse/lexer.ts";

/** A column with the value to set, or the parameter that will give it. */
export type ResolvedAssignment =
  | { readonly kind: "value"; readonly column: PlannerColumn; readonly value: ColumnValue }
  | { readonly kind: "parameter"; readonly column: PlannerColumn; readonly name: string };

/**
 * Finds the columns and converts the values; a column named twice takes the last value.
 *
 * **Throws** `UNKNOWN_FIELD`, `INVALID_VALUE`; `PARSE_ERROR` when there is nothing to set.
 */
export function resolveAssignments(
  table: PlannerTable,
  assignments: readonly Assignment[],
): readonly ResolvedAssignment[] {
  if (assignments.length === 0) {
    throw parseError("-update sets nothing", undefined, "columns and values");
  }
  const resolved = new Map<PlannerColumn, ResolvedAssignment>();
  for (const { column: name, value } of assignments) {
    const column = findColumn(table, name);
    if (column.position === 0) {
      throw new AerostoreError(
        "INVALID_VALUE",
        `${table.name}.${column.name} is the primary key: -update cannot change it`,
        { table: table.name, column: column.name },
      );
    }
    resolved.set(column, resolveAssignment(table, column, value));
  }
  return [...resolved.values()];
}

function resolveAssignment(
  table: PlannerTable,
  column: PlannerColumn,
  operand: Operand | null,
): ResolvedAssignment {
  if (operand === null) return { kind: "value", column, value: null };
  if (operand.kind === "parameter") return { kind: "parameter", column, name: operand.name };
  return { kind: "value", column, value: assignedValue(table, column, operand.value) };
}

/** The value that `column` takes for `value`, which may be text of any kind. */
export function assignedValue(
  table: PlannerTable,
  column: PlannerColumn,
  value: RawValue,
): ColumnValue {
  if (typeof value !== "string") return value;
  switch (column.kind) {
    case "string":
    case "enum":
    case "decimal":
      return value === "" && column.kind !== "string" && column.nullable ? null : value;
    case "bytes":
      return new TextEncoder().encode(value);
    default:
      break;
  }
  // Empty text is no number, and so says "no value" without being mistaken for one.
  if (value === "" && column.nullable) return null;
  if (column.kind === "bool") {
    if (/^(?:true|1|yes|on)$/i.test(value)) return true;
    if (/^(?:false|0|no|off)$/i.test(value)) return false;
    throw refuse(table, column, value, "true or false");
  }
  if ((column.kind === "i64" || column.kind === "u64") && /^-?\d{16,20}$/.test(value)) {
    return BigInt(value);
  }
  const number = value.trim() === "" ? Number.NaN : Number(value);
  if (Number.isNaN(number)) throw refuse(table, column, value, "a number");
  return number;
}

function refuse(
  table: PlannerTable,
  column: PlannerColumn,
  value: RawValue,
  expected: string,
): AerostoreError {
  return new AerostoreError(
    "INVALID_VALUE",
    `${table.name}.${column.name} (${typeName(column)}) cannot be set to ` +
      `${describeValue(value)}; expected ${expected}`,
    { table: table.name, column: column.name, value },
  );
}
