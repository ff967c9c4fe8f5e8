/** `follow-feed`: living receivers, fetched, connected to or listened for. */
import { Aircraft } from "../../flight/index.ts";
import { connectSbs, followUrl, listenSbs } from "../../follow/follow.ts";
import type { FollowOptions, FollowStats, SbsAddress } from "../../follow/follow.ts";
import { formatCount, printable } from "../../terminal/terminal.ts";
import { UsageError } from "../arguments.ts";
import { type Command, done, openDatabase } from "../command.ts";

const everyMsDefault = 1_000;
const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

export const followFeed: Command = {
  name: "follow-feed",
  summary: "keeps reading receivers: documents by HTTP, BaseStation streams",
  synopsis: "[URL…]",
  options: {
    table: { value: "TABLE", help: `default ${Aircraft.name}, created if it is missing` },
    every: { value: "TIME", help: "fetch each URL so often: 250ms, 1s, 5m (default 1s)" },
    "connect-sbs": { value: "HOST:PORT,…", help: "read BaseStation streams" },
    "listen-sbs": { value: "[HOST:]PORT", help: "take BaseStation streams (default 127.0.0.1)" },
  },
  notes: [
    "Goes on until it is interrupted; what fails is tried again. With --json a line of counters",
    "after each document or connection.",
    "",
    "  aerostore follow-feed http://receiver.local/tar1090/data/aircraft.json --every 1s",
  ],
  words: [0, Number.MAX_SAFE_INTEGER],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    const everyMs = parseTime(args.text("every"));
    const senders = (args.text("connect-sbs") ?? "")
      .split(",")
      .filter((text) => text !== "")
      .map(parseAddress);
    const listening = args.text("listen-sbs");
    for (const url of args.words) checkUrl(url);
    if (args.words.length + senders.length === 0 && listening === undefined) {
      throw new UsageError("name a URL, --connect-sbs or --listen-sbs");
    }
    const ending = new AbortController();
    const name = args.text("table") ?? Aircraft.name;
    await using db = await openDatabase(
      invocation,
      name === Aircraft.name ? [Aircraft] : undefined,
    );
    const table = db.table(name);
    const options: FollowOptions = {
      signal: ending.signal,
      onStep: (stats) => {
        if (json) {
          terminal.print(JSON.stringify(stats));
          terminal.flush();
        } else if (stats.lastError !== undefined) terminal.note(describeFailure(stats));
      },
    };
    for (const each of ["SIGINT", "SIGTERM"] as const) process.once(each, () => ending.abort());
    const work = [
      ...args.words.map((url) => followUrl(table, url, everyMs, options)),
      ...senders.map((address) => connectSbs(table, address, options)),
    ];
    if (listening !== undefined) {
      const listener = listenSbs(table, listenAddress(listening), options);
      terminal.note(`listening for BaseStation streams on port ${listener.port}`);
      work.push(listener.ended);
    }
    await Promise.all(work);
    return done;
  },
};

function describeFailure({ name, lastError, failures }: FollowStats): string {
  const times = failures === 1 ? "once" : `${formatCount(failures)} times`;
  return `${printable(name)}: ${printable(lastError ?? "")} (failed ${times}; trying again)`;
}

/** Milliseconds. **Throws** `UsageError`. */
function parseTime(text: string | undefined): number {
  if (text === undefined) return everyMsDefault;
  const [, digits = "", unit = ""] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(digits) * (unitsMs[unit] ?? 0);
  if (ms > 0) return ms;
  throw new UsageError(`--every is a time like 250ms, 1s or 5m, not "${text}"`);
}

function checkUrl(text: string): void {
  const url = URL.parse(text);
  if (url?.protocol === "http:" || url?.protocol === "https:") return;
  throw new UsageError(`"${text}" is no address of a document: http://… or https://…`);
}

function parseAddress(text: string): SbsAddress {
  const [, host = "", port = ""] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host !== "" && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new UsageError(`--connect-sbs takes HOST:PORT, not "${text}"`);
}

function listenAddress(text: string): SbsAddress {
  return /^\d{1,5}$/.test(text) ? parseAddress(`127.0.0.1:${text}`) : parseAddress(text);
}
