/** `subscriptions`: lists named subscriptions, or drops one. */
import { type Command, done, failed, misused, openDatabase } from "../command.ts";

export const subscriptions: Command = {
  name: "subscriptions",
  summary: "lists named subscriptions with their lag, or drops one",
  synopsis: "[drop NAME]",
  options: {},
  words: [0, 2],
  async run(invocation) {
    const { args, json, terminal } = invocation;
    const [action, name] = args.words;
    if (action !== undefined && (action !== "drop" || name === undefined)) {
      terminal.note("subscriptions takes nothing, or: drop NAME");
      return misused;
    }
    await using db = await openDatabase(invocation);
    if (name !== undefined) {
      if (db.dropSubscription(name)) return done;
      terminal.note(`there is no subscription "${name}"`);
      return failed;
    }
    for (const each of db.subscriptions()) {
      if (json) {
        terminal.print(JSON.stringify(each));
        continue;
      }
      const state = each.lost === undefined ? (each.live ? "live" : "idle") : `lost: ${each.lost}`;
      const { csns, bytes } = each.lag;
      terminal.print(
        [each.name, each.position, `${csns} commits`, `${bytes} bytes`, state].join("\t"),
      );
    }
    return done;
  },
};
