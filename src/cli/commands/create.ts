/** `create`: a table from columns given as words. */
import { buildTable, type DynamicShape } from "../../schema/table.ts";
import { UsageError } from "../arguments.ts";
import { modifierList, parseColumn, typeList } from "../column-text.ts";
import { type Command, done, openDatabase } from "../command.ts";

export const create: Command = {
  name: "create",
  summary: "creates a table",
  synopsis: "<table> <column:type[:option…]>…",
  options: {},
  notes: [
    `types:    ${typeList}`,
    `options:  ${modifierList}`,
    "",
    "  aerostore create quotes 'symbol:string(12):pk' 'bid:decimal(4)' ts:i64:index",
    "",
    "A table that exists already with the same columns is left as it is.",
  ],
  words: [2, Number.MAX_SAFE_INTEGER],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    const [name = "", ...columns] = args.words;
    const definition = asUsage(() => buildTable<DynamicShape>(name, columns.map(parseColumn)));
    await using db = await openDatabase(invocation, [definition]);
    const table = db.table(definition);
    const names = table.definition.columns.map((column) => column.name);
    if (json) {
      terminal.print(JSON.stringify({ table: definition.name, columns: names }));
    } else {
      terminal.print(`table ${definition.name} (${names.join(", ")})`);
    }
    return done;
  },
};

/** What is wrong with a declaration is wrong with the command line. */
function asUsage<T>(declare: () => T): T {
  try {
    return declare();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new UsageError(error.message);
    }
    throw error;
  }
}
