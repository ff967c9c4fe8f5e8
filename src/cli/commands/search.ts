/** `search`: rows of a STAPI query. */
import { parseStapi } from "../../query/parse/stapi.ts";
import type { Arguments } from "../arguments.ts";
import { type Command, done, openDatabase, tableNameOf, tableOption } from "../command.ts";
import { printRows, type RowFormat } from "../../terminal/rows.ts";
import { fieldsOf } from "../fields.ts";

export const search: Command = {
  name: "search",
  summary: "prints the rows that a query finds",
  synopsis: "['<STAPI options>']",
  options: {
    ...tableOption,
    tsv: { help: "tab-separated lines, also on a terminal" },
    header: { help: "begin tab-separated lines with the names of the columns" },
    count: { help: "print only how many rows there are" },
  },
  notes: [
    "With -update or -delete it changes or deletes the rows, and prints how many they were.",
    "Without --tsv and --json: a table on a terminal, tab-separated lines elsewhere.",
    "",
    "  aerostore search '-compare {{> altitude 30000} {match flight_id UAL*}} -sort -altitude'",
  ],
  words: [0, Number.MAX_SAFE_INTEGER],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    await using db = await openDatabase(invocation);
    const table = db.table(tableNameOf(args));
    const query = queryOf(args);
    if (args.has("count")) {
      const count = table.count(query);
      terminal.print(json ? JSON.stringify({ count }) : String(count));
      return done;
    }
    const { fields } = table.explain(query);
    const { countOnly, action } = parseStapi(query);
    using result = table.search(query);
    if (countOnly || action.kind !== "read") {
      const count = result.length;
      terminal.print(json ? JSON.stringify({ count }) : String(count));
      return done;
    }
    const columns = fieldsOf(table.definition, fields);
    printRows(terminal, result, columns, formatOf(args, json, terminal), args.has("header"));
    return done;
  },
};

/** The query that the words are: one text, or a word for each option and argument. */
export function queryOf({ words }: Arguments): string | readonly string[] {
  return words.length > 1 ? words : (words[0] ?? "");
}

function formatOf(
  args: Arguments,
  json: boolean,
  { isInteractive }: { readonly isInteractive: boolean },
): RowFormat {
  if (json) return "ndjson";
  return args.has("tsv") || !isInteractive ? "tsv" : "table";
}
