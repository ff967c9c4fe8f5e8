/** The first line of a delimited file, when it names the columns. */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import { nearestName } from "../schema/nearest.ts";
import type { AnyTable } from "../schema/table.ts";

/**
 * The columns that a header line names, in its order; aliases count.
 *
 * **Throws** `UNKNOWN_FIELD` for a name that is no column, `PARSE_ERROR` when a column is named
 * twice, the key is not named, or a quote is not closed.
 */
export function parseHeader(
  table: AnyTable,
  line: string,
  format: "tsv" | "csv",
): ColumnDefinition[] {
  const names = format === "csv" ? splitCsv(line) : line.split("\t");
  const seen = new Map<ColumnDefinition, string>();
  for (const given of names) {
    const name = given.trim();
    const column = findColumn(table, name, "the header");
    const other = seen.get(column);
    if (other !== undefined) {
      const names =
        other === name ? `"${name}"` : `"${other}" and "${name}", which are one column,`;
      throw new AerostoreError("PARSE_ERROR", `the header names ${names} twice`, {
        table: table.name,
        column: column.name,
        line: 1,
      });
    }
    seen.set(column, name);
  }
  if (!seen.has(table.key)) {
    throw new AerostoreError(
      "PARSE_ERROR",
      `the header does not name "${table.key.name}", the primary key of ${table.name}`,
      { table: table.name, column: table.key.name, line: 1 },
    );
  }
  return [...seen.keys()];
}

/** The column of this name or alias. **Throws** `UNKNOWN_FIELD`; `where` says who named it. */
export function findColumn(table: AnyTable, name: string, where: string): ColumnDefinition {
  const column = table.find(name);
  if (column !== undefined) return column;
  const nearest = nearestName(name, table.names());
  const known = table.columns.map((each) => each.name).join(", ");
  const hint = nearest === undefined ? `; it has ${known}` : `; did you mean "${nearest}"?`;
  throw new AerostoreError(
    "UNKNOWN_FIELD",
    `${where} names ${JSON.stringify(name)}, which is no column of ${table.name}${hint}`,
    { table: table.name, column: name },
  );
}

function splitCsv(line: string): string[] {
  const fields: string[] = [];
  let at = 0;
  while (at <= line.length) {
    if (line[at] !== '"') {
      const end = line.indexOf(",", at);
      const stop = end < 0 ? line.length : end;
      fields.push(line.slice(at, stop));
      at = stop + 1;
      continue;
    }
    let field = "";
    let close = line.indexOf('"', at + 1);
    while (close >= 0 && line[close + 1] === '"') {
      field += line.slice(at + 1, close + 1);
      at = close + 1;
      close = line.indexOf('"', at + 1);
    }
    if (close < 0 || (close + 1 < line.length && line[close + 1] !== ",")) {
      throw new AerostoreError("PARSE_ERROR", "the header has a quote that is not closed", {
        line: 1,
        position: at,
      });
    }
    fields.push(field + line.slice(at + 1, close));
    at = close + 2;
  }
  return fields;
}
