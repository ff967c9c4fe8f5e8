/** `tables`: what the catalog has. */
import { type Command, done, openDatabase } from "../command.ts";
import { alignTable } from "../../terminal/rows.ts";
import { formatCount, printable } from "../../terminal/terminal.ts";
import { describeColumn, describeModifiers } from "../column-text.ts";

export const tables: Command = {
  name: "tables",
  summary: "lists the tables with their columns",
  synopsis: "[table]",
  options: {},
  words: [0, 1],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    await using db = await openDatabase(invocation);
    const [only] = args.words;
    const names = only === undefined ? db.tables().map(({ name }) => name) : [only];
    const listed = names.map((name) => {
      const table = db.table(name);
      return { name, rows: table.count(), columns: table.definition.columns.map(describeColumn) };
    });
    if (json) {
      terminal.print(JSON.stringify(listed));
      return done;
    }
    for (const { name, rows, columns } of listed) {
      terminal.print(`${name}: ${formatCount(rows)} ${rows === 1 ? "row" : "rows"}`);
      const lines = columns.map((column) => {
        return ["", column.name, column.type, printable(describeModifiers(column))];
      });
      for (const line of alignTable(lines)) terminal.print(line);
    }
    return done;
  },
};
