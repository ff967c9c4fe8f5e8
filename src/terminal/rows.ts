/** Rows on standard output: a table for people, lines for programs. */
import { looseName } from "../ingest/dialect.ts";
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
    const line = writer.line(row);
    // An empty line says that no header follows.
    if (count === 0 && !header && isLikeHeader(columns, line, format)) terminal.print("");
    terminal.print(line);
    count += 1;
  }
  return count;
}

/** Whether a row reads as the names of columns, as a header would. */
function isLikeHeader(
  columns: readonly ColumnDefinition[],
  line: string,
  format: "tsv" | "csv" | "ndjson",
): boolean {
  if (format === "ndjson") return false;
  const cells = line
    .split(format === "tsv" ? "\t" : /[,;|]/)
    .map((cell) => cell.replaceAll('"', ""));
  const names = new Set(columns.flatMap(({ name, aliases }) => [name, ...aliases]).map(looseName));
  return cells.some((cell) => names.has(looseName(cell)));
}

function printTable(
  terminal: Terminal,
  rows: Iterable<Row>,
  columns: readonly ColumnDefinition[],
): number {
  let sample: Row[] | undefined = [];
  let layout = new TableLayout(columns, [], terminal.columns);
  let count = 0;
  const begin = (): void => {
    layout = new TableLayout(columns, sample ?? [], terminal.columns);
    layout.printHead(terminal);
    for (const row of sample ?? []) layout.printRow(terminal, row);
    sample = undefined;
  };
  for (const row of rows) {
    count += 1;
    if (sample === undefined) layout.printRow(terminal, row);
    else if (sample.push(row) === sampleMax) begin();
  }
  if (sample !== undefined) begin();
  terminal.print(`${formatCount(count)} ${count === 1 ? "row" : "rows"}`);
  return count;
}

/** No column gets narrower than this; a table with too many columns is wider than the screen. */
const widthMin = 8;
const gap = "  ";

/** The widths of a table that fits the screen: the widest columns give way, and are cut with …. */
export class TableLayout {
  readonly #columns: readonly ColumnDefinition[];
  readonly #widths: readonly number[];
  readonly #alignments: readonly Alignment[];

  constructor(columns: readonly ColumnDefinition[], rows: readonly Row[], screen: number) {
    this.#columns = columns;
    this.#alignments = columns.map(({ kind }) => (isText(kind) ? "left" : "right"));
    const names = columns.map(({ name }) => name);
    const widths = columnWidths([names, ...rows.map((row) => cellsOf(columns, row))]);
    this.#widths = fitWidths(widths, screen);
  }

  /** The names of the columns. */
  printHead(terminal: Terminal): void {
    terminal.print(this.#line(this.#columns.map(({ name }) => name)));
    terminal.print(this.#widths.map((width) => "─".repeat(width)).join(gap));
  }

  printRow(terminal: Terminal, row: Row): void {
    terminal.print(this.#line(cellsOf(this.#columns, row)));
  }

  #line(cells: readonly string[]): string {
    const cut = cells.map((cell, at) => cutText(cell, this.#widths[at] ?? 0));
    return alignLine(cut, this.#widths, this.#alignments);
  }
}

function cellsOf(columns: readonly ColumnDefinition[], row: Row): string[] {
  return columns.map((column) => cellText(column, row[column.name]));
}

/** Widths whose sum fits `screen`, the widest made narrower first. Pure. */
export function fitWidths(widths: readonly number[], screen: number): readonly number[] {
  const fitted = [...widths];
  let total = fitted.reduce((sum, width) => sum + width + gap.length, -gap.length);
  while (total > screen) {
    const widest = fitted.indexOf(Math.max(...fitted));
    const width = fitted[widest] ?? 0;
    if (width <= widthMin) break;
    fitted[widest] = width - 1;
    total--;
  }
  return fitted;
}

/** Text of at most `width` columns of the screen. */
export function cutText(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  let cut = "";
  let used = 0;
  for (const point of text) {
    used += Bun.stringWidth(point);
    if (used > width - 1) break;
    cut += point;
  }
  return `${cut}…`;
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
  return padded.join(gap).trimEnd();
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
