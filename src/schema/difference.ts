/** What differs between a table as stored and as declared, in words, for `SCHEMA_MISMATCH`. */
import type { ColumnDefinition } from "./column.ts";
import type { AnyTable } from "./table.ts";
import { describeValue, typeName } from "./value.ts";

/** One line per difference, in column order; empty when the tables are the same. */
export function listDifferences(stored: AnyTable, declared: AnyTable): string[] {
  const lines: string[] = [];
  if (stored.name !== declared.name) lines.push(`stored as ${stored.name}`);
  const storedByName = new Map(stored.columns.map((column) => [column.name, column]));
  const declaredByName = new Map(declared.columns.map((column) => [column.name, column]));
  for (const column of declared.columns) {
    const other = storedByName.get(column.name);
    if (other === undefined) lines.push(`${column.name}: declared, not stored`);
    else compareColumns(other, column, lines);
  }
  for (const column of stored.columns) {
    if (!declaredByName.has(column.name)) lines.push(`${column.name}: stored, not declared`);
  }
  const order = (table: AnyTable): string => table.columns.map(({ name }) => name).join(" ");
  if (lines.length === 0 && order(stored) !== order(declared)) {
    lines.push(`columns are stored in the order ${order(stored)}`);
  }
  const geoOf = (table: AnyTable): string[] =>
    table.geo.map(({ name, latitude, longitude }) => {
      return `geo index ${name} of ${latitude.name} and ${longitude.name}`;
    });
  for (const each of geoOf(declared)) {
    if (!geoOf(stored).includes(each)) lines.push(`${each}: declared, not stored`);
  }
  for (const each of geoOf(stored)) {
    if (!geoOf(declared).includes(each)) lines.push(`${each}: stored, not declared`);
  }
  return lines;
}

function compareColumns(
  stored: ColumnDefinition,
  declared: ColumnDefinition,
  lines: string[],
): void {
  const compare = (what: string, before: string, after: string): void => {
    if (before === after) return;
    lines.push(`${declared.name}: stored ${what}${before}, declared ${what}${after}`);
  };
  compare("", typeName(stored), typeName(declared));
  compare("labels ", stored.labels.join("|"), declared.labels.join("|"));
  compare("as ", roleName(stored), roleName(declared));
  compare("as ", nullName(stored), nullName(declared));
  compare("as ", indexName(stored), indexName(declared));
  compare("default ", describeDefault(stored), describeDefault(declared));
  compare("aliases ", stored.aliases.join("|") || "none", declared.aliases.join("|") || "none");
}

function nullName(column: ColumnDefinition): string {
  return column.nullable ? "nullable" : "not null";
}

function roleName(column: ColumnDefinition): string {
  return column.primaryKey ? "primary key" : "a plain column";
}

function indexName(column: ColumnDefinition): string {
  if (column.unique) return "unique";
  return column.indexed ? "indexed" : "not indexed";
}

function describeDefault(column: ColumnDefinition): string {
  return column.default === undefined ? "none" : describeValue(column.default);
}
