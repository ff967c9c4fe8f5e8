/** How a source is to be read: what callers say about it. */
import { nearestName } from "../schema/nearest.ts";
import type { NewestBy } from "../schema/newest.ts";
import { formatNames, type IngestFormat } from "./formats.ts";
import type { IngestReject } from "./rejects.ts";

/** The unit of numbers in timestamp columns. */
export type TimeUnit = "s" | "ms" | "us" | "ns";

/** What can be said about a source's text; the rest is as it looks. */
export interface FormatOptions {
  /** Default: as it looks. */
  readonly format?: IngestFormat | undefined;
  /**
   * The first line names the columns, in any order. For `tsv` and `csv`; default: as it looks, and
   * names that are no columns are then ignored.
   */
  readonly header?: boolean | undefined;
  /**
   * Columns by names of the source, or by the number of a field from 1: `{ a: "symbol", 3: "b" }`;
   * `"-"` ignores one. Or the columns of the fields in their order. As text, `a=symbol,b=-` or
   * `symbol,-,bid`.
   */
  readonly columns?: string | readonly string[] | Readonly<Record<string, string>> | undefined;
  /** Names of a header that are no columns, and fields after the last column, are ignored. */
  readonly ignoreUnknown?: boolean | undefined;
  /** A JSON key that is no column makes its line bad. Default: it is ignored. */
  readonly refuseUnknown?: boolean | undefined;
  /** Words that stand for null, such as `["NA", "NaN"]`. */
  readonly null?: readonly string[] | undefined;
  /** One ASCII character between fields. Default: as it looks. */
  readonly separator?: string | undefined;
  /** Around fields: one ASCII character, or `"none"`. Default `"none"` for `tsv`, else `"`. */
  readonly quote?: string | undefined;
  /** A backslash in text escapes. Default `"backslash"` for `tsv`, else `"none"`. */
  readonly escape?: "backslash" | "none" | undefined;
  /** A line that begins with it is no row. At most 16 bytes. */
  readonly comment?: string | undefined;
  /** Lines to pass over at the start. */
  readonly skip?: number | undefined;
  /** The decimal point of delimited text is a comma. */
  readonly decimalComma?: boolean | undefined;
  /** Decimals that a column has no room for are rounded, half away from zero. */
  readonly round?: boolean | undefined;
  /** The unit of numbers in timestamp columns. Default: milliseconds. */
  readonly timeUnit?: TimeUnit | undefined;
}

export interface IngestOptions extends FormatOptions {
  /** Name of the source, for its format; default that of the file. */
  readonly name?: string | undefined;
  /**
   * Rows per transaction, 1 to 1,000,000. Default 1,024. Rows so large that a batch would take more
   * than 32 MiB are committed in smaller ones.
   */
  readonly batch?: number | undefined;
  /**
   * A row whose value in this column is below the stored one's is dropped and counted `stale`. In
   * object form each stamp has columns of its own, which alone are dropped: see `NewestBy`.
   */
  readonly newestBy?: NewestBy | undefined;
  /**
   * Stop at the first bad line, or at a batch with a row that the table refuses; that batch is not
   * committed.
   */
  readonly strict?: boolean | undefined;
  /** Path of a file for bad lines, created or emptied. */
  readonly rejects?: string | undefined;
  readonly onReject?: ((reject: IngestReject) => void) | undefined;
  /** After each piece of input, at most 256 KiB. */
  readonly onProgress?: ((progress: IngestProgress) => void) | undefined;
  /**
   * Told once how the source is read: `comma-separated, header, 14 columns`; and whether that is
   * what it would be without a look: tab- or comma-separated by its format, no header, all columns.
   */
  readonly onLook?: ((description: string, isUsual: boolean) => void) | undefined;
}

export interface IngestProgress {
  readonly rows: number;
  readonly rejected: number;
  /** Read so far, after decompression. */
  readonly bytes: number;
  /** Of the source, when known. */
  readonly totalBytes: number | undefined;
  readonly elapsedMs: number;
}

const formatOptionNames = [
  "format",
  "header",
  "columns",
  "ignoreUnknown",
  "refuseUnknown",
  "null",
  "separator",
  "quote",
  "escape",
  "comment",
  "skip",
  "decimalComma",
  "round",
  "timeUnit",
] as const;
const optionNames: readonly string[] = [
  ...formatOptionNames,
  "name",
  "batch",
  "newestBy",
  "strict",
  "rejects",
  "onReject",
  "onProgress",
  "onLook",
];

const batchMax = 1_000_000;
const commentSizeMax = 16;
const nullWordsMax = 64;

/** **Throws** `TypeError` and `RangeError` for an option that is wrong or unknown. */
export function checkIngestOptions(options: IngestOptions): void {
  for (const name of Object.keys(options)) {
    if (optionNames.includes(name)) continue;
    const near = nearestName(name, optionNames);
    const hint = near === undefined ? "" : `; did you mean "${near}"?`;
    throw new TypeError(`ingest has no option "${name}"${hint}`);
  }
  const { batch, skip, comment, timeUnit, escape, format } = options;
  if (batch !== undefined && (!Number.isInteger(batch) || batch < 1 || batch > batchMax)) {
    throw new RangeError(`batch is a number of rows from 1 to ${batchMax}, not ${batch}`);
  }
  if (skip !== undefined && (!Number.isSafeInteger(skip) || skip < 0)) {
    throw new RangeError(`skip is a number of lines, not ${String(skip)}`);
  }
  if (format !== undefined && !formatNames().includes(format)) {
    throw new TypeError(`format is one of ${formatNames().join(", ")}, not ${String(format)}`);
  }
  if (escape !== undefined && escape !== "backslash" && escape !== "none") {
    throw new TypeError(`escape is "backslash" or "none", not ${JSON.stringify(escape)}`);
  }
  if (timeUnit !== undefined && !["s", "ms", "us", "ns"].includes(timeUnit)) {
    throw new TypeError(`timeUnit is one of s, ms, us, ns, not ${JSON.stringify(timeUnit)}`);
  }
  if (comment !== undefined && !isSized(comment, commentSizeMax)) {
    throw new RangeError(`comment is text of 1 to ${commentSizeMax} bytes, not "${comment}"`);
  }
  if (options.null !== undefined && options.null.length > nullWordsMax) {
    throw new RangeError(`null is at most ${nullWordsMax} words, not ${options.null.length}`);
  }
  checkMark("separator", options.separator);
  if (options.quote !== "none") checkMark("quote", options.quote);
}

function isSized(text: string, max: number): boolean {
  const size = Buffer.byteLength(text);
  return size >= 1 && size <= max;
}

function checkMark(name: string, mark: string | undefined): void {
  if (mark === undefined || /^[^\r\n\0\x80-\uffff]$/.test(mark)) return;
  throw new TypeError(`${name} is one ASCII character, not ${JSON.stringify(mark)}`);
}
