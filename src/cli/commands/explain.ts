/** `explain`: how a query would be answered. */
import { type Command, done, openDatabase, tableNameOf, tableOption } from "../command.ts";
import { queryOf } from "./search.ts";

export const explain: Command = {
  name: "explain",
  summary: "prints the plan of a query",
  synopsis: "['<STAPI options>']",
  options: {
    ...tableOption,
    analyze: { help: "also run it: rows examined, rows returned, time by steps" },
  },
  words: [0, Number.MAX_SAFE_INTEGER],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    await using db = await openDatabase(invocation);
    const table = db.table(tableNameOf(args));
    const plan = table.explain(queryOf(args), { analyze: args.has("analyze") });
    terminal.print(json ? JSON.stringify(plan) : plan.toString());
    return done;
  },
};
