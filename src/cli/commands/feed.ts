/** `feed`: options of `ingest` under a name, kept in the data directory. */
import { UsageError } from "../arguments.ts";
import { type Command, done, failed } from "../command.ts";
import { feedOptions, readFeedOptions, readFeeds, writeFeeds } from "../feed-options.ts";
import { printable } from "../../terminal/terminal.ts";

export const feed: Command = {
  name: "feed",
  summary: "saves options of ingest under a name",
  synopsis: "add|remove NAME [options] | list",
  options: feedOptions,
  notes: [
    "ingest --feed NAME takes them; what is given there beside it counts.",
    "",
    "  aerostore feed add quotes --table quotes --separator ';' --decimal-comma",
    "  aerostore ingest today.csv --feed quotes",
  ],
  words: [1, 2],
  async run({ args, terminal, json }) {
    const [action = "", name] = args.words;
    const feeds = readFeeds(args);
    if (action === "list" && name === undefined) {
      if (json) terminal.print(JSON.stringify(feeds));
      else for (const [each, options] of Object.entries(feeds)) terminal.print(line(each, options));
      return done;
    }
    if ((action !== "add" && action !== "remove") || name === undefined) {
      throw new UsageError("feed takes add NAME, remove NAME or list");
    }
    if (action === "remove") {
      if (!Object.hasOwn(feeds, name)) {
        terminal.note(`there is no feed "${printable(name)}"`);
        return failed;
      }
      writeFeeds(args, Object.fromEntries(Object.entries(feeds).filter(([each]) => each !== name)));
      return done;
    }
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) {
      throw new UsageError("a feed's name has letters, digits, _, . and -, at most 64");
    }
    readFeedOptions(args);
    const options = args.given(Object.keys(feedOptions));
    writeFeeds(args, { ...feeds, [name]: options });
    if (json) terminal.print(JSON.stringify({ [name]: options }));
    else terminal.print(line(name, options));
    return done;
  },
};

/** As it would be given: `quotes --table quotes --separator ;`. */
function line(name: string, options: Readonly<Record<string, string>>): string {
  const words = Object.entries(options).map(([option, value]) =>
    value === ""
      ? `--${option}`
      : `--${option} ${/^[\w.=,+-]+$/.test(value) ? value : `'${value}'`}`,
  );
  return printable([name, ...words].join(" "));
}
