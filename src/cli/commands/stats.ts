/** `stats`: what the database counts. */
import { type Command, done, openDatabase } from "../command.ts";
import { printFigures } from "../figures.ts";

export const stats: Command = {
  name: "stats",
  summary: "prints counters: memory, sessions, commits, log",
  synopsis: "",
  options: {},
  words: [0, 0],
  async run(invocation) {
    await using db = await openDatabase(invocation);
    const { shmPath, directory, boot } = db;
    printFigures(invocation, { segment: shmPath, directory, mode: boot.mode, ...db.stats() });
    return done;
  },
};
