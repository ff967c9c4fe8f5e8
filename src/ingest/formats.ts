/** What kind of input this is, told by its name or by how it begins. */
import type { AnyTable } from "../schema/table.ts";
import { JsonText } from "./json-text.ts";
import type { ReaderTarget, RecordReader, RecordSink } from "./records.ts";

/** Formats of lines, which the native parser reads itself. */
export type LineFormat = "tsv" | "csv" | "ndjson";
export type IngestFormat =
  LineFormat | "json" | "parquet" | "readsb" | "opensky" | "sbs" | (string & {});

/** The beginning of a source. */
export interface Head {
  /** Up to 64 KiB, in latin1, without a byte order mark. */
  readonly text: string;
  /** Of JSON: what is known of its first object. */
  readonly json: JsonHead | undefined;
  /** The first line that is not empty. */
  readonly line: string;
}

export interface JsonHead {
  /** The source begins with a list. */
  readonly isList: boolean;
  /** Names of the first object, and the first byte of each value. */
  readonly members: ReadonlyMap<string, string>;
  /** The object ends on the line that it begins on. */
  readonly isLine: boolean;
}

/** A format of records, read in TypeScript. */
export interface RecordFormat {
  readonly name: string;
  /** Whether a source looks like it. */
  readonly detect: (head: Head) => boolean;
  /** The table that is loaded when none is named. */
  readonly table?: AnyTable;
  /**
   * Gives the maker of a reader into a table. **Throws** `UNKNOWN_FIELD` when a record has nothing
   * for the table's key.
   */
  readonly open: (target: ReaderTarget) => Promise<(sink: RecordSink) => RecordReader>;
  /** The column with the time of `lat` and `lon`, where it differs from the row's. */
  readonly positionTime?: (table: AnyTable) => string | undefined;
}

const recordFormats = new Map<string, RecordFormat>();

/** Makes a format known by its name. */
export function registerFormat(format: RecordFormat): void {
  recordFormats.set(format.name, format);
}

/** The record format of that name. */
export function recordFormat(name: string): RecordFormat | undefined {
  return recordFormats.get(name);
}

/** Every name that `format` takes. */
export function formatNames(): string[] {
  return ["tsv", "csv", "ndjson", ...recordFormats.keys(), "json", "parquet"];
}

/** Read at most to tell formats apart. */
export const headSizeMax: number = 64 * 1024;

const formatsByExtension: ReadonlyMap<string, LineFormat> = new Map([
  ["tsv", "tsv"],
  ["tab", "tsv"],
  ["csv", "csv"],
  ["ndjson", "ndjson"],
  ["jsonl", "ndjson"],
]);

/**
 * The format of a source whose first bytes are `bytes`; `undefined` when more are needed, unless
 * `whole` says that there are none. A format of a trade is told by what it holds; then the
 * extension decides (`.gz` and `.zst` are passed over), then the first bytes: a JSON object on one
 * line is `ndjson`, any other and a list `json`; a tab in the first line means `tsv`, another
 * separator `csv`, none `tsv`.
 */
export function detectFormat(
  name: string | undefined,
  bytes: Uint8Array,
  whole: boolean,
): IngestFormat | undefined {
  const limited = bytes.subarray(0, headSizeMax);
  const head = headOf(limited, whole || bytes.length >= headSizeMax);
  if (head === undefined) return undefined;
  for (const format of recordFormats.values()) {
    if (format.detect(head)) return format.name;
  }
  const extension = /\.([a-z]+)(?:\.(?:gz|zst))?$/i.exec(name ?? "")?.[1]?.toLowerCase() ?? "";
  const known = formatsByExtension.get(extension);
  if (known !== undefined) return known;
  if (head.text.startsWith("PAR1")) return "parquet";
  if (head.json !== undefined) return isRowOnLine(head.json) ? "ndjson" : "json";
  return !head.line.includes("\t") && /[,;|]/.test(head.line) ? "csv" : "tsv";
}

/** Whether the first object is a row by itself, not a list of them nor what wraps one. */
function isRowOnLine({ isLine, isList, members }: JsonHead): boolean {
  const isWrapper = members.size === 1 && [...members.values()][0] === "[";
  return isLine && !isList && !isWrapper;
}

/** What is known of a beginning; `undefined` when more of it is needed. */
function headOf(bytes: Uint8Array, whole: boolean): Head | undefined {
  const latin = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  if (!whole && "\u00ef\u00bb\u00bf".startsWith(latin)) return undefined;
  const text = latin.startsWith("\u00ef\u00bb\u00bf") ? latin.slice(3) : latin;
  const start = /[^\s]/.exec(text)?.index;
  if (start === undefined) {
    return whole ? { text, json: undefined, line: "" } : undefined;
  }
  const opening = /^(?:\[\s*)?\{\s*["}]|^\[\s*[\]{[]/.test(text.slice(start));
  if (opening) {
    const json = jsonHeadOf(text, start, whole);
    return json === undefined ? undefined : { text, json, line: "" };
  }
  // It may still become the beginning of JSON.
  if (!whole && /^(?:\[\s*)?\{?\s*$/.test(text.slice(start)) && /^[[{]/.test(text[start] ?? "")) {
    return undefined;
  }
  const lineStart = text.lastIndexOf("\n", start) + 1;
  const lineEnd = text.indexOf("\n", start);
  if (lineEnd < 0 && !whole) return undefined;
  const line = text.slice(lineStart, lineEnd < 0 ? undefined : lineEnd).replace(/\r$/, "");
  return { text, json: undefined, line };
}

/** The first object of a text, or as much of it as is well formed. */
function jsonHeadOf(text: string, start: number, whole: boolean): JsonHead | undefined {
  const isList = text[start] === "[";
  const json = new JsonText(text, start);
  if (isList) {
    json.at += 1;
    json.space();
  }
  const members = new Map<string, string>();
  const first = json.at;
  const isEnded = readHead(json, members);
  if (isEnded === undefined && !whole) return undefined;
  const isLine = isEnded !== undefined && !text.slice(first, json.at).includes("\n");
  return { isList, members, isLine };
}

/** Fills `members`; true at the object's end, false at a fault, `undefined` at the text's end. */
function readHead(json: JsonText, members: Map<string, string>): boolean | undefined {
  const outcome = (): false | undefined => (json.at >= json.end ? undefined : false);
  if (!json.take(0x7b)) return outcome();
  json.space();
  if (json.take(0x7d)) return true;
  while (true) {
    const name = json.name();
    if (name === undefined) return outcome();
    const first = json.text[json.at];
    if (first !== undefined) members.set(name, first);
    if (!json.value(1)) return outcome();
    json.space();
    if (json.take(0x7d)) return true;
    if (!json.take(0x2c)) return outcome();
    json.space();
  }
}
