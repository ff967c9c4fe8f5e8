/** The columns that a search reads. */
import type { ColumnDefinition } from "../schema/column.ts";
import type { TableDefinition } from "../schema/table.ts";

/** Definitions of the columns of these names, in that order. */
export function fieldsOf(
  definition: Pick<TableDefinition, "find">,
  names: readonly string[],
): ColumnDefinition[] {
  return names.flatMap((name) => definition.find(name) ?? []);
}
