/** `shell`: statements, one after the other. */
import { AerostoreError } from "../../errors.ts";
import { type Command, done, failed, openDatabase, tableOption } from "../command.ts";
import { complete, isOpen } from "../shell/complete.ts";
import { interrupted, LineReader } from "../shell/line-reader.ts";
import { Shell } from "../shell/shell.ts";
import { OutputClosed, printable } from "../../terminal/terminal.ts";

export const shell: Command = {
  name: "shell",
  summary: "reads statements: searches, gets, stats; with history and completion",
  synopsis: "",
  options: {
    ...tableOption,
    tsv: { help: "print rows as tab-separated lines" },
    yes: { help: "do not ask before -update and -delete, as on a terminal" },
  },
  notes: [
    "help lists the statements. A statement may go on over lines until its braces are closed.",
    "Statements may also come from a file: exit status 1 when one of them failed.",
    "",
    "  echo '-sort -altitude -limit 5' | aerostore shell --table FlightState --tsv",
  ],
  words: [0, 0],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    await using db = await openDatabase(invocation);
    let names = (line: string): ReturnType<typeof complete> => [[], line];
    using reader = new LineReader((line) => names(line));
    const isLive = reader.isInteractive && terminal.isInteractive;
    const session = new Shell(db, args.text("table"), {
      terminal,
      format: json ? "json" : args.has("tsv") || !terminal.isInteractive ? "tsv" : "table",
      askForMore: isLive
        ? async (shown) => {
            const answer = await reader.read(`-- ${shown} rows; Enter: more, a: all, q: stop -- `);
            if (answer === undefined || answer === interrupted) return "stop";
            const [letter] = answer.trim().toLowerCase();
            return letter === "q" ? "stop" : letter === "a" ? "all" : "page";
          }
        : undefined,
      ask:
        isLive && !args.has("yes")
          ? async (question) => {
              const answer = await reader.read(question);
              return answer === interrupted ? undefined : answer;
            }
          : undefined,
    });
    names = (line) => complete(line, session.vocabulary);
    let failures = 0;
    let statement = "";
    while (true) {
      const line = await reader.read(statement === "" ? session.prompt : "... ");
      if (line === undefined) break;
      if (line === interrupted) {
        statement = "";
        continue;
      }
      statement = statement === "" ? line : `${statement} ${line}`;
      if (isOpen(statement)) continue;
      const text = statement;
      statement = "";
      if (text.trim() !== "") reader.remember(text);
      try {
        if (!(await session.run(text))) break;
      } catch (error) {
        if (error instanceof OutputClosed || !(error instanceof Error)) throw error;
        failures++;
        const code = error instanceof AerostoreError ? error.code : "INVALID_VALUE";
        terminal.flush();
        terminal.note(`${code}: ${printable(error.message)}`);
      }
      terminal.flush();
    }
    if (statement.trim() !== "") {
      failures++;
      terminal.note("PARSE_ERROR: the last statement is not closed; expected a } or a quote");
    }
    return failures === 0 || isLive ? done : failed;
  },
};
