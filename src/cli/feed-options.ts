/** The options that say how a source is read, on a command line and saved under a name. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dataDirectoryDefault } from "../boot/paths.ts";
import { AerostoreError } from "../errors.ts";
import { formatNames } from "../ingest/formats.ts";
import type { IngestOptions } from "../ingest/options.ts";
import { fileError } from "../ingest/source.ts";
import type { NewestBy } from "../schema/newest.ts";
import { nearestName } from "../schema/nearest.ts";
import { Arguments, type OptionSpecs, UsageError } from "./arguments.ts";

/** Options that a feed keeps. */
export const feedOptions: OptionSpecs = {
  table: { value: "TABLE", help: "the table (default Aircraft for its formats, else FlightState)" },
  format: { value: "FORMAT", help: "tsv, csv, ndjson, json, readsb, opensky, sbs or parquet" },
  header: { help: "the first line of tsv or csv names the columns (default: as it looks)" },
  "no-header": { help: "the first line is a row, whatever it looks like" },
  columns: { value: "MAP", help: "a=symbol,b=-,3=last by name or number; or symbol,-,last" },
  "ignore-unknown": { help: "pass over names and fields that the table has no column for" },
  null: { value: "WORDS", help: "words that stand for null, such as NA,NaN,null" },
  separator: { value: "CHAR", help: "between fields: a character, tab or space" },
  quote: { value: "CHAR", help: "around fields: a character, or none" },
  escape: { value: "HOW", help: "backslash or none (default: backslash for tsv)" },
  comment: { value: "TEXT", help: "a line that begins with it is no row" },
  skip: { value: "N", help: "lines to pass over at the start" },
  "decimal-comma": { help: "the decimal point is a comma" },
  round: { help: "round decimals that a column has no room for, half away from zero" },
  "time-unit": { value: "UNIT", help: "s, ms, us or ns: of numbers in timestamp columns" },
  newest: {
    value: "COLUMN",
    help: "drop what is older by it; updated_at,position_at=lat+lon by groups of columns",
  },
  batch: { value: "N", help: "rows in one transaction (default 1024)" },
  "refuse-unknown": { help: "a JSON key that is no column makes its line bad" },
};

const batchMax = 1_000_000;

/** What the options say. **Throws** `UsageError`. */
export function readFeedOptions(args: Arguments): IngestOptions {
  const format = args.oneOf("format", formatNames());
  const hasHeader = args.has("header");
  if (hasHeader && args.has("no-header")) {
    throw new UsageError("--header and --no-header exclude each other");
  }
  if (hasHeader && format !== undefined && format !== "tsv" && format !== "csv") {
    throw new UsageError(`--header is for tsv and csv, not for ${format}`);
  }
  return {
    format,
    header: hasHeader ? true : args.has("no-header") ? false : undefined,
    columns: args.text("columns"),
    ignoreUnknown: args.has("ignore-unknown"),
    refuseUnknown: args.has("refuse-unknown"),
    null: args.text("null")?.split(","),
    separator: markOf(args, "separator"),
    quote: args.text("quote") === "none" ? "none" : markOf(args, "quote"),
    escape: args.oneOf("escape", ["backslash", "none"]),
    comment: args.text("comment"),
    skip: args.whole("skip", 0, Number.MAX_SAFE_INTEGER),
    decimalComma: args.has("decimal-comma"),
    ...(args.has("round") ? { round: true } : {}),
    timeUnit: args.oneOf("time-unit", ["s", "ms", "us", "ns"]),
    newestBy: newestOf(args.text("newest")),
    batch: args.whole("batch", 1, batchMax),
  };
}

const marks: Readonly<Record<string, string>> = {
  tab: "\t",
  "\\t": "\t",
  space: " ",
  comma: ",",
  semicolon: ";",
  bar: "|",
};

function markOf(args: Arguments, name: string): string | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  const mark = marks[text] ?? text;
  if (/^[^\r\n\0\x80-\uffff]$/.test(mark)) return mark;
  throw new UsageError(`--${name} is one ASCII character, tab or space; not "${text}"`);
}

/** `updated_at` or `updated_at,position_at=lat+lon`: the first one without columns has the rest. */
function newestOf(text: string | undefined): NewestBy | undefined {
  if (text === undefined || !/[,=]/.test(text)) return text;
  const groups = text.split(",").map((part): [string, readonly string[] | "*"] => {
    const [name = "", columns] = part.split("=", 2);
    return [name.trim(), columns === undefined ? "*" : columns.split("+").map((c) => c.trim())];
  });
  return Object.fromEntries(groups);
}

type SavedFeeds = Readonly<Record<string, Readonly<Record<string, string>>>>;

function pathOf(args: Arguments): string {
  return join(args.text("dir") ?? dataDirectoryDefault, "aerostore.feeds.json");
}

/** The feeds that are saved in the data directory. **Throws** `IO_ERROR`, `PARSE_ERROR`. */
export function readFeeds(args: Arguments): SavedFeeds {
  const path = pathOf(args);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw fileError(`reading "${path}"`, path, error);
  }
  const feeds = parseFeeds(text);
  if (feeds !== undefined) return feeds;
  throw new AerostoreError(
    "PARSE_ERROR",
    `reading "${path}": it is no list of feeds; remove it, and add them again`,
    { path },
  );
}

function parseFeeds(text: string): SavedFeeds | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null) return undefined;
  const feeds: [string, Record<string, string>][] = [];
  for (const [name, options] of Object.entries(json)) {
    if (typeof options !== "object" || options === null) return undefined;
    feeds.push([
      name,
      Object.fromEntries(Object.entries(options).map(([key, value]) => [key, String(value)])),
    ]);
  }
  return Object.fromEntries(feeds);
}

/** Saves feeds in one step. **Throws** `IO_ERROR`, `PERMISSION`. */
export function writeFeeds(args: Arguments, feeds: SavedFeeds): void {
  const path = pathOf(args);
  const directory = args.text("dir") ?? dataDirectoryDefault;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(temporary, `${JSON.stringify(feeds, null, 2)}\n`, { mode: 0o600 });
    renameSync(temporary, path);
  } catch (error) {
    throw fileError(`writing "${path}"`, path, error);
  }
}

/** The arguments with those of the feed that `--feed` names. **Throws** `UsageError`. */
export function withFeed(args: Arguments): Arguments {
  const name = args.text("feed");
  if (name === undefined) return args;
  const feeds = readFeeds(args);
  const feed = feeds[name];
  if (feed === undefined) {
    const near = nearestName(name, Object.keys(feeds));
    const hint = near === undefined ? "; aerostore feed list has all" : `; did you mean ${near}?`;
    throw new UsageError(`there is no feed "${name}"${hint}`);
  }
  return args.over(feed);
}
