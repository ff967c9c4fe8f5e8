/** `get`: one row by its key. */
import { valueOfText } from "../column-text.ts";
import { type Command, done, failed, openDatabase, tableNameOf, tableOption } from "../command.ts";
import { createLineWriter } from "../../ingest/line-writer.ts";
import { alignTable, cellText } from "../../terminal/rows.ts";
import { printable } from "../../terminal/terminal.ts";

export const get: Command = {
  name: "get",
  summary: "prints one row by its key",
  synopsis: "<key>",
  options: { ...tableOption, tsv: { help: "a tab-separated line, also on a terminal" } },
  notes: ["Exit status 1, and nothing on standard output, when there is no such row."],
  words: [1, 1],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    const [text = ""] = args.words;
    await using db = await openDatabase(invocation);
    const table = db.table(tableNameOf(args));
    const { definition } = table;
    const row = table.get(valueOfText(definition.key, text));
    if (row === undefined) {
      terminal.note(`${definition.name} has no row ${printable(text)}`);
      return failed;
    }
    if (!json && !args.has("tsv") && terminal.isInteractive) {
      const cells = definition.columns.map((column) => {
        return [column.name, cellText(column, row[column.name])];
      });
      for (const line of alignTable(cells)) terminal.print(line);
    } else {
      const writer = createLineWriter(definition.columns, json ? "ndjson" : "tsv");
      terminal.print(writer.line(row));
    }
    return done;
  },
};
