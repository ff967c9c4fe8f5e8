/**
 * Rows as lines that ingest reads back to the same rows: null, text that needs quoting, and 64-bit
 * numbers included. The forms are laws of docs/internals/ingest.md.
 */
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import type { LineFormat } from "./formats.ts";

/** Writes rows of some columns in one format. Lines have no end of their own. */
export interface LineWriter {
  /** The line that names the columns; `undefined` for `ndjson`, whose lines do. */
  readonly header: string | undefined;
  /** The line of a row. A column that the row leaves out is written as null. */
  readonly line: (row: Readonly<Record<string, ColumnValue | undefined>>) => string;
}

/** A writer of `columns`, in that order. */
export function createLineWriter(
  columns: readonly ColumnDefinition[],
  format: LineFormat,
): LineWriter {
  const names = columns.map((column) => column.name);
  switch (format) {
    case "tsv":
      return {
        header: names.join("\t"),
        line: (row) => lineStart(names.map((name) => tsvText(row[name])).join("\t")),
      };
    case "csv":
      return {
        header: names.join(","),
        line: (row) => lineStart(names.map((name) => csvText(row[name])).join(",")),
      };
    case "ndjson":
      return {
        header: undefined,
        line: (row) => {
          const fields = names.map((name) => `${JSON.stringify(name)}:${jsonText(row[name])}`);
          return `{${fields.join(",")}}`;
        },
      };
  }
}

/** A reader passes over one byte order mark where a line begins. */
function lineStart(line: string): string {
  return line.startsWith("\ufeff") ? `\ufeff${line}` : line;
}

function tsvText(value: ColumnValue | undefined): string {
  if (value === null || value === undefined) return "\\N";
  return escapeTsv(plainText(value));
}

/** Text as a field of TSV. */
export function escapeTsv(text: string): string {
  return text.replace(/[\\\t\n\r]/g, (byte) => tsvEscapes[byte] ?? byte);
}

const tsvEscapes: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
};

function csvText(value: ColumnValue | undefined): string {
  if (value === null || value === undefined) return "";
  const text = plainText(value);
  return text === "" || /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * A value as JSON. Integers are numbers while JavaScript's are exact, and strings of digits beyond;
 * every numeric column takes both.
 */
export function jsonText(value: ColumnValue | undefined): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? String(value) : `"${value}"`;
  }
  // JSON has no infinity; as text a numeric column takes it.
  if (typeof value === "number" && !Number.isFinite(value)) return JSON.stringify(String(value));
  if (typeof value === "string" || value instanceof Uint8Array) {
    return JSON.stringify(plainText(value));
  }
  return String(value);
}

function plainText(value: string | number | bigint | boolean | Uint8Array): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : String(value);
}
