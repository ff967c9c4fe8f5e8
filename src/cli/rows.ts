/** Rows on standard output: a table for people, lines for programs. */
import { createLineWriter } from "../ingest/line-writer.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import { formatCount, printable, type Terminal } from "./terminal.ts";

/** A row as the runtime gives it. */
export type Row = Readonly<Record<string, ColumnValue | undefined>>;

export type RowFormat = "table" | "tsv" | "csv" | "ndjson";

/** How many rows decide the widths of a table; later ones may stand out of line. */
const sampleMax = 1_000;

/** Prints `rows`; how many there were. Reads them as it prints, so memory stays small. */
export function printRows(
  terminal: Terminal,
  rows: Iterable<Row>,
  columns: readonly ColumnDefinition[],
  format: RowFormat,
  header = false,
): number {
  if (format === "table") return printTable(terminal, rows, columns);
  const writer = createLineWriter(columns, format);
  if (header && writer.header !== undefined) terminal.print(writer.header);
  let count = 0;
  for (const row of rows) {
    terminal.print(writer.line(row));
    count += 1;
  }
  return count;
}

function printTable(
  terminal: Terminal,
  rows: Iterable<Row>,
  columns: readonly ColumnDefinition[],
): number {
  const names = columns.map(({ name }) => name);
  const alignments = columns.map(({ kind }) => (isText(kind) ? "left" : "right"));
  let sample: string[][] | undefined = [];
  let widths: readonly number[] = [];
  let count = 0;
  const begin = (): void => {
    widths = columnWidths([names, ...(sample ?? [])]);
    terminal.print(alignLine(names, widths, alignments));
    terminal.print(widths.map((width) => "─".repeat(width)).join("  "));
    for (const cells of sample ?? []) terminal.print(alignLine(cells, widths, alignments));
    sample = undefined;
  };
  for (const row of rows) {
    count += 1;
    const cells = columns.map((column) => cellText(column, row[column.name]));
    if (sample === undefined) terminal.print(alignLine(cells, widths, alignments));
    else if (sample.push(cells) === sampleMax) begin();
  }
  if (sample !== undefined) begin();
  terminal.print(`${formatCount(count)} ${count === 1 ? "row" : "rows"}`);
  return count;
}

export type Alignment = "left" | "right";

/** Lines of text in columns, as wide as the widest cell. */
export function alignTable(
  lines: readonly (readonly string[])[],
  alignments: readonly Alignment[] = [],
): string[] {
  const widths = columnWidths(lines);
  return lines.map((cells) => alignLine(cells, widths, alignments));
}

function columnWidths(lines: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  for (const cells of lines) {
    cells.forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, Bun.stringWidth(cell));
    });
  }
  return widths;
}

function alignLine(
  cells: readonly string[],
  widths: readonly number[],
  alignments: readonly Alignment[],
): string {
  const padded = cells.map((cell, at) => {
    const space = " ".repeat(Math.max(0, (widths[at] ?? 0) - Bun.stringWidth(cell)));
    return alignments[at] === "right" ? space + cell : cell + space;
  });
  return padded.join("  ").trimEnd();
}

/** A value on the screen; a decimal with all its digits, so that points stand below each other. */
export function cellText(column: ColumnDefinition, value: ColumnValue | undefined): string {
  if (value === null || value === undefined) return "null";
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value === "string") return printable(value);
  if (column.kind !== "decimal" || typeof value !== "number") return String(value);
  return Math.abs(value) < 1e15 ? value.toFixed(column.scale) : String(value);
}

function isText(kind: ColumnDefinition["kind"]): boolean {
  return kind === "string" || kind === "bytes" || kind === "enum" || kind === "bool";
}
