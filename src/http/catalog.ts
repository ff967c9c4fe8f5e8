/** `/v1/tables`: the tables and their columns. */
import type { ColumnDefinition } from "../schema/column.ts";
import type { Table } from "../database/table.ts";
import { jsonResponse } from "./content.ts";
import { tableOf } from "./door.ts";
import type { Door, Handler } from "./door.ts";

export function listTables(door: Door): Handler {
  return () => {
    const { db } = door;
    return jsonResponse(db.tables().map(({ name }) => describeTable(db.table(name))));
  };
}

export function showTable(door: Door): Handler {
  return (request) => jsonResponse(describeTable(tableOf(door, request)));
}

function describeTable(table: Table): object {
  const { columns, key } = table.definition;
  return {
    name: table.name,
    rows: table.count(),
    key: key.name,
    columns: columns.map(describeColumn),
  };
}

function describeColumn(column: ColumnDefinition): object {
  const { name, kind, nullable, indexed, unique, aliases } = column;
  return {
    name,
    type: kind,
    ...(kind === "decimal" ? { scale: column.scale } : {}),
    ...(column.limit > 0 ? { bytesMax: column.limit } : {}),
    ...(column.labels.length > 0 ? { labels: column.labels } : {}),
    nullable,
    indexed,
    unique,
    ...(aliases.length > 0 ? { aliases } : {}),
  };
}
