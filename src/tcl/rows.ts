/** The rows of a search on their way to Tcl, a page at a time. */
import type { Result } from "../search/result.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import type { DynamicShape } from "../schema/table.ts";
import type { Reply } from "./frames.ts";
import { addValue } from "./values.ts";

type Row = DynamicShape["row"];

/** Values in one page: enough that frames cost little, few enough that a break wastes little. */
const pageValuesMax = 4_096;

/** A search whose rows are being read. Has all of them, so that later writes change nothing. */
export class RowPages implements Disposable {
  /** How many rows there are in all. */
  readonly length: number;
  readonly #rows: Iterator<Row>;
  readonly #columns: readonly ColumnDefinition[];
  readonly #pageRows: number;
  #left: number;

  /** Rows of `result`, of which `columns` are sent, in that order. */
  constructor(result: Result<Row>, columns: readonly ColumnDefinition[]) {
    this.length = result.length;
    this.#left = this.length;
    this.#rows = result.cursor();
    this.#columns = columns;
    this.#pageRows = Math.max(1, Math.floor(pageValuesMax / Math.max(1, columns.length)));
  }

  /** Whether the next page has all that is left. */
  get isOnePage(): boolean {
    return this.#left <= this.#pageRows;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  /** Adds the next rows to `reply`. */
  addPage(reply: Reply): void {
    for (let count = Math.min(this.#pageRows, this.#left); count > 0; count--) {
      const next = this.#rows.next();
      if (next.done === true) {
        this.#left = 0;
        return;
      }
      for (const column of this.#columns) addColumn(reply, column, next.value);
      this.#left--;
    }
  }

  [Symbol.dispose](): void {
    this.#rows.return?.();
  }
}

function addColumn(reply: Reply, column: ColumnDefinition, row: Row): void {
  const value: ColumnValue | undefined = row[column.name];
  addValue(reply, column, value ?? null);
}
