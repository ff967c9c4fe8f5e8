/** `export`: rows in a form that `ingest` reads back. */
import { parseStapi } from "../../query/parse/stapi.ts";
import { type Command, done, openDatabase, tableNameOf, tableOption } from "../command.ts";
import { fieldsOf } from "../fields.ts";
import { UsageError } from "../arguments.ts";
import type { ColumnDefinition } from "../../schema/column.ts";
import { printRows, type Row } from "../../terminal/rows.ts";
import { queryOf } from "./search.ts";

export const exportRows: Command = {
  name: "export",
  summary: "prints rows that ingest reads back",
  synopsis: "['<STAPI options>']",
  options: {
    ...tableOption,
    format: { value: "FORMAT", help: "tsv, csv or ndjson (default tsv)" },
    safe: { help: "csv: an apostrophe before text that a spreadsheet would take for a formula" },
    header: { help: "begin with the names of the columns; ingest --header reads that" },
  },
  notes: [
    "What --safe has changed, ingest does not read back to the same rows.",
    "Rows are of one instant, whatever is written meanwhile. With --json the format is ndjson.",
    "",
    "  aerostore export --format csv --header '-compare {> altitude 30000}' > high.csv",
  ],
  words: [0, Number.MAX_SAFE_INTEGER],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    const format = json ? "ndjson" : (args.oneOf("format", ["tsv", "csv", "ndjson"]) ?? "tsv");
    const query = queryOf(args);
    const { countOnly, action } = parseStapi(query);
    if (countOnly || action.kind !== "read") {
      throw new UsageError("export prints rows: -countOnly, -update and -delete are for search");
    }
    if (args.has("safe") && format !== "csv") throw new UsageError("--safe is for csv");
    await using db = await openDatabase(invocation);
    const table = db.table(tableNameOf(args));
    const columns = fieldsOf(table.definition, table.explain(query).fields);
    using result = table.search(query);
    const rows = args.has("safe") ? safeRows(result, columns) : result;
    printRows(terminal, rows, columns, format, args.has("header"));
    return done;
  },
};

/** Rows whose text begins with nothing that a spreadsheet computes. */
function* safeRows(rows: Iterable<Row>, columns: readonly ColumnDefinition[]): Generator<Row> {
  const texts = columns.filter(({ kind }) => kind === "string" || kind === "enum");
  for (const row of rows) {
    const safe = { ...row };
    for (const { name } of texts) {
      const value = row[name];
      if (typeof value === "string" && /^[=+\-@\t\r]/.test(value)) safe[name] = `'${value}`;
    }
    yield safe;
  }
}
