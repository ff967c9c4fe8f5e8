/** `checkpoint`: a checkpoint now. */
import { type Command, done, openDatabase } from "../command.ts";
import { printFigures } from "../figures.ts";

export const checkpoint: Command = {
  name: "checkpoint",
  summary: "writes a checkpoint now, while others go on",
  synopsis: "",
  options: {},
  words: [0, 0],
  async run(invocation) {
    await using db = await openDatabase(invocation);
    printFigures(invocation, await db.checkpoint());
    return done;
  },
};
