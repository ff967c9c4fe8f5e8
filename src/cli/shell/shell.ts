/** Statements of the shell: a command with its words, or a query of the table in use. */
import type { Database } from "../../database/database.ts";
import { createLineWriter } from "../../ingest/line-writer.ts";
import { parseStapi } from "../../query/parse/stapi.ts";
import type { Table } from "../../database/table.ts";
import { describeColumn, describeModifiers, valueOfText } from "../column-text.ts";
import { type Ask, executeAsked } from "../confirm.ts";
import { fieldsOf } from "../fields.ts";
import { printFigures } from "../figures.ts";
import {
  alignTable,
  cellText,
  printRows,
  type Row,
  type RowFormat,
  TableLayout,
} from "../../terminal/rows.ts";
import { formatCount, formatDuration, printable, type Terminal } from "../../terminal/terminal.ts";
import type { ColumnDefinition } from "../../schema/column.ts";
import type { Vocabulary } from "./complete.ts";

const formats = ["table", "tsv", "csv", "json"] as const;
export type ShellFormat = (typeof formats)[number];

/** The rest of a long result: next page, all of it, or no more. */
export type AskForMore = (shown: number) => Promise<"page" | "all" | "stop">;

export interface ShellOptions {
  readonly terminal: Terminal;
  readonly format: ShellFormat;
  /** Undefined where no user sits in front of it: nothing is paged. */
  readonly askForMore: AskForMore | undefined;
  /** For the question before `-update` and `-delete`; undefined where none is asked. */
  readonly ask: Ask;
}

const commands: Readonly<Record<string, string>> = {
  use: "use TABLE                 the table that queries are about",
  tables: "tables [TABLE]            tables and their columns",
  get: "get KEY                   one row",
  count: "count [OPTIONS]           how many rows a query finds",
  explain: "explain [OPTIONS]         how a query is answered, and how long that takes",
  search: "search [OPTIONS]          the rows of a query; the word may be left out: -limit 5",
  format: "format table|tsv|csv|json how rows are printed",
  stats: "stats                     counters of the database",
  help: "help                      this",
  exit: "exit                      ends the shell, as Ctrl-D does",
};

export class Shell {
  readonly #database: Database;
  readonly #options: ShellOptions;
  #format: ShellFormat;
  #table: Table | undefined;

  constructor(database: Database, tableName: string | undefined, options: ShellOptions) {
    this.#database = database;
    this.#options = options;
    this.#format = options.format;
    const names = this.#tableNames();
    const first = tableName ?? (names.includes("FlightState") ? "FlightState" : names[0]);
    if (first !== undefined) this.#table = database.table(first);
  }

  get prompt(): string {
    return `${this.#table?.name ?? "aerostore"}> `;
  }

  get vocabulary(): Vocabulary {
    const columns = this.#table?.definition.columns ?? [];
    return {
      commands: Object.keys(commands),
      tables: this.#tableNames(),
      columns: columns.flatMap(({ name, aliases }) => [name, ...aliases]),
    };
  }

  /**
   * Runs one statement; false when it was the last. **Throws** what the database throws, and
   * `TypeError` for what is no statement.
   */
  async run(statement: string): Promise<boolean> {
    const text = statement.trim();
    const [word = ""] = text.split(/\s/, 1);
    const rest = text.slice(word.length).trim();
    switch (word) {
      case "":
        return true;
      case "exit":
      case "quit":
        return false;
      case "help":
        for (const line of Object.values(commands)) this.#print(`  ${line}`);
        return true;
      case "use":
        this.#table = this.#database.table(rest);
        return true;
      case "tables":
        this.#printTables(rest === "" ? this.#tableNames() : [rest]);
        return true;
      case "format":
        this.#format = formatOf(rest);
        return true;
      case "stats":
        printFigures(
          { terminal: this.#options.terminal, json: this.#format === "json" },
          this.#database.stats(),
        );
        return true;
      case "get":
        this.#printRow(rest);
        return true;
      case "count":
        this.#print(String(this.#inUse().count(rest)));
        return true;
      case "explain":
        this.#print(this.#inUse().explain(rest, { analyze: true }).toString());
        return true;
      case "search":
        await this.#search(rest);
        return true;
      default:
        if (!word.startsWith("-")) {
          throw new TypeError(`"${printable(word)}" is no statement; help lists them`);
        }
        await this.#search(text);
        return true;
    }
  }

  #print(line: string): void {
    this.#options.terminal.print(line);
  }

  #inUse(): Table {
    if (this.#table === undefined) throw new TypeError("there is no table: make one with create");
    return this.#table;
  }

  #tableNames(): readonly string[] {
    return this.#database.tables().map(({ name }) => name);
  }

  #printTables(names: readonly string[]): void {
    for (const name of names) {
      const table = this.#database.table(name);
      this.#print(`${name}: ${formatCount(table.count())} rows`);
      const lines = table.definition.columns.map(describeColumn).map((column) => {
        return ["", column.name, column.type, printable(describeModifiers(column))];
      });
      for (const line of alignTable(lines)) this.#print(line);
    }
  }

  #printRow(text: string): void {
    const table = this.#inUse();
    const { key, columns } = table.definition;
    const row = table.get(valueOfText(key, text));
    if (row === undefined) {
      this.#options.terminal.note(`${table.name} has no row ${printable(text)}`);
      return;
    }
    if (this.#format !== "table") {
      this.#print(createLineWriter(columns, lineFormat(this.#format)).line(row));
      return;
    }
    const cells = columns.map((column) => [column.name, cellText(column, row[column.name])]);
    for (const line of alignTable(cells)) this.#print(line);
  }

  async #search(text: string): Promise<void> {
    const table = this.#inUse();
    const { fields } = table.explain(text);
    const { countOnly, action } = parseStapi(text);
    const startedAt = performance.now();
    if (action.kind !== "read") {
      const count = await executeAsked(this.#database, table, text, this.#options.ask);
      if (count === undefined) this.#options.terminal.note("nothing was changed");
      else this.#print(String(count));
      return;
    }
    using result = table.search(text);
    if (countOnly) return this.#print(String(result.length));
    const columns = fieldsOf(table.definition, fields);
    if (this.#format !== "table") {
      printRows(this.#options.terminal, result, columns, lineFormat(this.#format));
      return;
    }
    const count = await this.#printPages(result, columns);
    const elapsed = formatDuration(performance.now() - startedAt);
    this.#print(`${formatCount(count)} ${count === 1 ? "row" : "rows"} in ${elapsed}`);
  }

  /** Rows in pages as high as the screen; how many were shown. */
  async #printPages(rows: Iterable<Row>, columns: readonly ColumnDefinition[]): Promise<number> {
    const { terminal, askForMore } = this.#options;
    const iterator = rows[Symbol.iterator]();
    let size = askForMore === undefined ? pageMax : Math.max(terminal.rows - 5, 1);
    let count = 0;
    let step = iterator.next();
    try {
      while (step.done !== true) {
        const page: Row[] = [];
        for (; step.done !== true && page.length < size; step = iterator.next()) {
          page.push(step.value);
        }
        const layout = new TableLayout(columns, page, terminal.columns);
        if (count === 0 || askForMore !== undefined) layout.printHead(terminal);
        for (const row of page) layout.printRow(terminal, row);
        count += page.length;
        if (step.done === true || askForMore === undefined || size === pageMax) continue;
        terminal.flush();
        const answer = await askForMore(count);
        if (answer === "stop") break;
        if (answer === "all") size = pageMax;
      }
    } finally {
      iterator.return?.();
    }
    return count;
  }
}

/** Rows laid out together where nobody turns pages. */
const pageMax = 1_000;

function formatOf(text: string): ShellFormat {
  const format = formats.find((each) => each === text);
  if (format === undefined) throw new TypeError(`a format is one of ${formats.join(", ")}`);
  return format;
}

function lineFormat(format: Exclude<ShellFormat, "table">): Exclude<RowFormat, "table"> {
  return format === "json" ? "ndjson" : format;
}
