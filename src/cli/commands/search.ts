/** `search`: rows of a STAPI query. */
import { parseStapi } from "../../query/parse/stapi.ts";
import type { Arguments } from "../arguments.ts";
import { type Command, done, failed, openDatabase, tableNameOf, tableOption } from "../command.ts";
import { printRows, type RowFormat } from "../../terminal/rows.ts";
import { type Ask, executeAsked } from "../confirm.ts";
import { fieldsOf } from "../fields.ts";
import { interrupted, LineReader } from "../shell/line-reader.ts";
import type { Terminal } from "../../terminal/terminal.ts";

export const search: Command = {
  name: "search",
  summary: "prints the rows that a query finds",
  synopsis: "['<STAPI options>']",
  options: {
    ...tableOption,
    tsv: { help: "tab-separated lines, also on a terminal" },
    header: { help: "begin tab-separated lines with the names of the columns" },
    count: { help: "print only how many rows there are" },
    yes: { help: "do not ask before -update and -delete, as on a terminal" },
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
    if (action.kind !== "read") {
      const count = await executeAsked(db, table, query, askUnless(args.has("yes"), terminal));
      if (count === undefined) {
        terminal.note("nothing was changed");
        return failed;
      }
      terminal.print(json ? JSON.stringify({ count }) : String(count));
      return done;
    }
    using result = table.search(query);
    if (countOnly) {
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

/** How to ask the user at the terminal; not at all with `--yes`, and where there is no user. */
function askUnless(isAgreed: boolean, { isInteractive }: Terminal): Ask {
  if (isAgreed || !isInteractive || process.stdin.isTTY !== true) return undefined;
  return async (question) => {
    using reader = new LineReader(() => [[], ""]);
    const answer = await reader.read(question);
    return answer === interrupted ? undefined : answer;
  };
}

function formatOf(
  args: Arguments,
  json: boolean,
  { isInteractive }: { readonly isInteractive: boolean },
): RowFormat {
  if (json) return "ndjson";
  return args.has("tsv") || !isInteractive ? "tsv" : "table";
}
