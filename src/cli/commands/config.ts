/** `config`: settings that all sessions share. */
import { UsageError } from "../arguments.ts";
import { type Command, done, openDatabase } from "../command.ts";

export const config: Command = {
  name: "config",
  summary: "reads or changes a setting",
  synopsis: "get|set <key> [value]",
  options: {},
  notes: [
    "  aerostore config set aerostore.synchronous_commit on",
    "  aerostore config get aerostore.checkpoint_interval_secs",
  ],
  words: [2, 3],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    const [action, key = "", value] = args.words;
    if (action !== "get" && action !== "set") {
      throw new UsageError(`config takes get or set, not "${action}"`);
    }
    if (action === "get" && value !== undefined) {
      throw new UsageError(`"${value}" is one word too many; config set changes a setting`);
    }
    if (action === "set" && value === undefined) throw new UsageError("config set needs a value");
    await using db = await openDatabase(invocation);
    if (value !== undefined) db.setConfig(key, value);
    const current = db.getConfig(key);
    terminal.print(json ? JSON.stringify({ [key]: current }) : current);
    return done;
  },
};
