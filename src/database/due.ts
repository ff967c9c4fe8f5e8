/**
 * Work that is due: rows whose time has come, each handed to one worker of any process.
 *
 * **Concurrency**: a worker claims a row by its latch, which other workers only try. It holds the
 * latches of a batch in a transaction that reads and writes nothing, so that it pins no snapshot.
 * What is handed out is read again after its latch was taken: the worker that had it before has
 * deleted it or given it back by then.
 *
 * **Who may die where**: a worker that dies, or leaves its loop, ends the transaction; its latches
 * are free, and its rows are due again. Between the deletion in `done` and the release of the
 * latches the rows are gone, so that another worker finds none.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import type { AnyTable, TableShape } from "../schema/table.ts";
import type { Handle } from "./scope.ts";
import type { Table } from "./table.ts";
import { transact } from "./transact.ts";
import { Transaction } from "./transaction.ts";
import type { TransactionTable } from "./transaction.ts";

export interface DueOptions {
  /** An indexed timestamp or integer column: when a row is due. Null is never. */
  readonly column: string;
  /** Rows of one batch, at most. Default 64. */
  readonly batch?: number | undefined;
  /** Unit of an integer column, since 1970. Default `"ms"`. */
  readonly unit?: "ms" | "s" | undefined;
  /** Ends the loop. */
  readonly signal?: AbortSignal | undefined;
}

/** Rows that are due, for this worker alone until `done`, or until it asks for the next batch. */
export interface DueBatch<Row> {
  readonly rows: readonly Row[];
  /**
   * Deletes the rows that are still as they were handed out, in one transaction; one that was given
   * a new time stays. Without it, all of them are due again when the next batch is asked for.
   */
  done(): void;
}

const batchDefault = 64;
const batchMax = 10_000;
/** A row that another process makes due is seen after this long at most. */
const pauseMsMax = 20;

/**
 * The batches of `Table.due`. **Throws** `UNKNOWN_FIELD`, `INVALID_VALUE` for a column that is no
 * indexed time, `RangeError` for another batch size.
 */
export async function* dueBatches<S extends TableShape>(
  handle: Handle,
  table: Table<S>,
  options: DueOptions,
): AsyncGenerator<DueBatch<S["row"]>, void> {
  const column = timeColumn(table.definition, options.column);
  const limit = options.batch ?? batchDefault;
  if (!Number.isInteger(limit) || limit < 1 || limit > batchMax) {
    throw new RangeError(`batch must be a whole number from 1 to ${batchMax}, not ${limit}`);
  }
  const unitMs = options.unit === "s" ? 1_000 : 1;
  const { signal } = options;
  while (signal?.aborted !== true) {
    const now = Math.floor(Date.now() / unitMs);
    const claim = new Claim(handle, table, column, now);
    try {
      const rows = claim.take(limit);
      if (rows.length > 0) {
        yield { rows, done: () => claim.done() };
        continue;
      }
    } finally {
      claim.release();
    }
    const [earliest] = table.search(
      `-compare {> ${column.name} ${now}} -sort ${column.name} -limit 1`,
    );
    const left = earliest === undefined ? pauseMsMax : (timeOf(earliest, column) - now) * unitMs;
    await pause(Math.min(Math.max(left, 1), pauseMsMax), signal);
  }
}

/** The latches of one batch. */
class Claim<S extends TableShape> {
  readonly #handle: Handle;
  readonly #table: Table<S>;
  readonly #column: ColumnDefinition;
  readonly #now: number;
  readonly #owner: Transaction;
  readonly #latches: TransactionTable<S>;
  readonly #rows: S["row"][] = [];

  constructor(handle: Handle, table: Table<S>, column: ColumnDefinition, now: number) {
    this.#handle = handle;
    this.#table = table;
    this.#column = column;
    this.#now = now;
    this.#owner = new Transaction(handle, false);
    this.#latches = this.#owner.table(table.definition);
  }

  /** At most `limit` rows that no other worker has. */
  take(limit: number): readonly S["row"][] {
    const { name } = this.#column;
    // Some of the earliest may be with others: looks at twice as many, until there are no more.
    for (let looked = limit * 2; ; looked *= 2) {
      const query = `-compare {<= ${name} ${this.#now}} -sort ${name} -limit ${looked}`;
      const found = this.#table.search(query).toArray();
      for (const row of found) {
        if (this.#rows.length === limit) break;
        this.#tryTake(this.#keyOf(row));
      }
      if (this.#rows.length > 0 || found.length < looked) return this.#rows;
    }
  }

  #tryTake(key: S["key"]): void {
    try {
      this.#latches.lockForUpdate(key, { timeoutMs: 0 });
    } catch (error) {
      if (error instanceof AerostoreError && error.code === "LOCK_TIMEOUT") return;
      throw error;
    }
    const row = this.#table.get(key);
    if (row !== undefined && timeOf(row, this.#column) <= this.#now) this.#rows.push(row);
  }

  done(): void {
    if (!this.#owner.isOpen) {
      throw new AerostoreError("CLOSED", "done: the batch was given back when the next was taken");
    }
    transact(this.#handle, (transaction) => {
      const table = transaction.table(this.#table.definition);
      for (const row of this.#rows) {
        const key = this.#keyOf(row);
        const now = table.get(key);
        const isSame = now !== undefined && timeOf(now, this.#column) === timeOf(row, this.#column);
        if (isSame) table.delete(key);
      }
    });
    this.release();
  }

  release(): void {
    this.#owner.abort();
  }

  #keyOf(row: S["row"]): S["key"] {
    const columns = new Map(Object.entries(row));
    return columns.get(this.#table.definition.key.name);
  }
}

/** When a row is due; never for null. */
function timeOf(row: object, { name }: ColumnDefinition): number {
  const time: ColumnValue = Reflect.get(row, name);
  return time === null ? Number.POSITIVE_INFINITY : Number(time);
}

/** The column, if rows can be due by it. */
function timeColumn(definition: AnyTable, name: string): ColumnDefinition {
  const column = definition.find(name);
  const where = `due: ${definition.name}.${name}`;
  if (column === undefined) {
    throw new AerostoreError("UNKNOWN_FIELD", `${where}: the table has no such column`, {
      table: definition.name,
      column: name,
    });
  }
  const isTime = /^(?:timestamp|[iu](?:32|64))$/.test(column.kind);
  if (isTime && column.indexed) return column;
  const found = isTime ? "it has no index" : `it is of type ${column.kind}`;
  throw new AerostoreError(
    "INVALID_VALUE",
    `${where}: ${found}; rows are due by an indexed timestamp or integer`,
    { table: definition.name, column: name },
  );
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}
