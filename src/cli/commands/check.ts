/** `check`: full verification. */
import { type Command, done, failed, openDatabase } from "../command.ts";

export const check: Command = {
  name: "check",
  summary: "verifies segment, rows, indexes, log and checkpoint",
  synopsis: "",
  options: {},
  notes: ["Exit status 1 on any damage, with where."],
  words: [0, 0],
  async run(invocation) {
    const { terminal, json } = invocation;
    await using db = await openDatabase(invocation);
    const report = await db.check();
    if (json) {
      terminal.print(JSON.stringify(report));
    } else {
      for (const problem of report.problems) terminal.print(String(problem));
      terminal.print(report.ok ? "ok" : `${report.problems.length} problems`);
    }
    return report.ok ? done : failed;
  },
};
