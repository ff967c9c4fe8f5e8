/**
 * The row after which a page begins, as columns of the order with their values. It need not exist:
 * a page stays where it is when the row changes or goes.
 */
import { AerostoreError } from "../../errors.ts";
import { describeValue } from "../../schema/value.ts";
import { parseError } from "../parse/lexer.ts";
import type { After, Operand } from "../query.ts";
import { invalidValue, placeOf } from "../resolve/bound.ts";
import type { PlannerColumn, PlannerTable } from "../resolve/planner-table.ts";
import type { TermOperand } from "../resolve/term.ts";
import type { SortColumn } from "./planner.ts";

/** A column of the order, and its value in the row. */
export interface AfterColumn extends SortColumn {
  /** `null` where the row has none. */
  readonly operand: TermOperand | null;
}

/**
 * The columns of `order` with their values, the primary key last. `sort` is the order as written.
 *
 * **Throws** `PARSE_ERROR` for values that are not those of the sort and the key, `INVALID_VALUE`
 * for one that its column cannot hold.
 */
export function resolveAfter(
  table: PlannerTable,
  after: After,
  sort: readonly SortColumn[],
  order: readonly SortColumn[],
  keyDescending: boolean,
): readonly AfterColumn[] {
  const [key] = table.columns;
  if (key === undefined) return [];
  if (sort.length === 0) {
    const expected = "-sort, in which a row has a place";
    throw parseError("-after stands without -sort", after.position, expected);
  }
  const written = [...new Set(sort.map(({ column }) => column)).add(key)];
  const operands = operandsOf(table, after, written);
  const columns = order.filter(({ column }) => column !== key);
  const keyOrder = order.find(({ column }) => column === key);
  columns.push({ column: key, descending: keyOrder?.descending ?? keyDescending });
  return columns.map((each) => {
    const operand = operands.get(each.column) ?? null;
    return { ...each, operand: storedOperand(table, each.column, operand, after) };
  });
}

function operandsOf(
  table: PlannerTable,
  after: After,
  written: readonly PlannerColumn[],
): ReadonlyMap<PlannerColumn, Operand | null> {
  const names = written.map(({ name }) => name).join(" ");
  if (after.kind === "values") {
    if (after.values.length !== written.length) {
      throw parseError(
        `-after has ${after.values.length} values, and the order has ${written.length} columns`,
        after.position,
        `one value each of ${names}`,
      );
    }
    return new Map(written.map((column, index) => [column, after.values[index] ?? null]));
  }
  const found = new Map<PlannerColumn, Operand | null>();
  for (const [name, operand] of after.values) {
    const column = table.find(name);
    if (column !== undefined) found.set(column, operand);
  }
  for (const column of written) {
    if (found.has(column)) continue;
    throw new AerostoreError(
      "INVALID_VALUE",
      `the row of -after has no ${table.name}.${column.name}; it needs ${names}`,
      { table: table.name, column: column.name },
    );
  }
  return found;
}

function storedOperand(
  table: PlannerTable,
  column: PlannerColumn,
  operand: Operand | null,
  after: After,
): TermOperand | null {
  if (operand?.kind === "parameter") return operand;
  const isText = column.kind === "string" || column.kind === "bytes";
  const isNull = operand === null || (after.kind === "values" && operand.value === "" && !isText);
  if (isNull) {
    checkNull(table, column);
    return null;
  }
  const place = placeOf(table, column, operand.value);
  if (place.kind !== "at") {
    throw invalidValue(table, column, operand.value, "a value that the column can hold");
  }
  return { kind: "constant", value: place.value };
}

/** **Throws** `INVALID_VALUE` for a column that is never null. */
export function checkNull(table: PlannerTable, column: PlannerColumn): void {
  if (column.nullable) return;
  throw new AerostoreError(
    "INVALID_VALUE",
    `${table.name}.${column.name} of -after cannot be ${describeValue(null)}`,
    { table: table.name, column: column.name },
  );
}
