/** `checkpoint`: a checkpoint now. */
import { type Command, done, openDatabase } from "../command.ts";
import { printFigures } from "../figures.ts";
import { Progress } from "../../terminal/progress.ts";

export const checkpoint: Command = {
  name: "checkpoint",
  summary: "writes a checkpoint now, while others go on",
  synopsis: "",
  options: {},
  words: [0, 0],
  async run(invocation) {
    await using db = await openDatabase(invocation);
    using progress = new Progress(invocation.terminal, "writing");
    const totalRows = Object.values(db.stats().tables).reduce((sum, rows) => sum + rows, 0);
    const report = await db.checkpoint({
      onProgress: (state) => progress.update({ ...state, totalBytes: undefined, totalRows }),
    });
    progress[Symbol.dispose]();
    printFigures(invocation, report);
    return done;
  },
};
