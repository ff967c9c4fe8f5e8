/**
 * The rows of a search: images copied out of shared memory once, decoded when somebody looks.
 *
 * What the engine had no room to return at first is read in batches under the search's own
 * snapshot. Rows are kept as they come, so that a result can be read any number of times; beyond
 * `keptSizeMax` bytes a pass over the rows keeps no more, and is the only one.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import type { PageStart } from "../query/types.ts";
import { columnReaderFor, makeColumnArray } from "../schema/decode.ts";
import type { RowDecoder } from "../schema/decode.ts";
import { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { readValue } from "../schema/value.ts";

/** Images of rows in memory that nobody else writes, one after the other. */
export interface RowChunk {
  readonly memory: Memory;
  /** Offset of the first image. */
  readonly at: number;
  readonly rowCount: number;
}

/** A search that has more rows. */
export interface RowSource {
  /** Reads the next rows to the start of `target`. **Throws** what a search throws. */
  next(target: Memory): { readonly rowCount: number; readonly done: boolean };
  /** Ends the search and unpins its snapshot. Idempotent. */
  close(): void;
}

/** The database or the transaction of a search. */
export interface ResultScope {
  readonly isOver: boolean;
  /** **Throws** `CLOSED` when it is over. */
  use(): number;
}

/** How a result goes on, where its window has an order and an end. */
export interface NextPage {
  /** Columns of the order, the primary key last. */
  readonly columns: readonly ColumnDefinition[];
  /** Rows of a whole page. */
  readonly limit: number;
  /** Whether a row comes after this one now. */
  hasMore(start: PageStart): boolean;
}

/** What a result is made of. */
export interface ResultParts<Row> {
  readonly table: AnyTable;
  readonly fields: readonly ColumnDefinition[];
  readonly decoder: RowDecoder<Row>;
  /** What the search ran in, if that may end: its rows are read no longer than it lives. */
  readonly scope?: ResultScope | undefined;
  readonly first: RowChunk;
  /** Absent when `first` has all rows. */
  readonly source?: RowSource | undefined;
  /** Length of a result without rows (`-countOnly`). */
  readonly count?: number | undefined;
  readonly next?: NextPage | undefined;
}

type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** The values of a column: a typed array where it can be one. */
export type ColumnValues<V> = [V] extends [number]
  ? NumberArray
  : [V] extends [string]
    ? V[]
    : [V] extends [number | string]
      ? Float64Array
      : [V] extends [boolean]
        ? Uint8Array
        : [null] extends [V]
          ? V[]
          : [V] extends [number | bigint]
            ? BigInt64Array | BigUint64Array
            : V[];

const keptSizeMax = 16 << 20;
const batchSizeMin = 64 << 10;
const batchSizeMax = 1 << 20;

/** Searches that were dropped without being read to the end: their snapshots are let go. */
const abandoned = new FinalizationRegistry<RowSource>((source) => source.close());

/**
 * The rows that a search found. Valid after later writes, and as long as the database or the
 * transaction that was searched: after its end every method throws `CLOSED`, for few rows and for
 * many. `using` or `close()` ends a long one.
 */
export class Result<Row> implements Iterable<Row>, Disposable {
  readonly #table: AnyTable;
  readonly #fields: readonly ColumnDefinition[];
  readonly #decoder: RowDecoder<Row>;
  readonly #scope: ResultScope | undefined;
  readonly #stride: number;
  readonly #chunks: RowChunk[];
  readonly #count: number | undefined;
  readonly #next: NextPage | undefined;
  #source: RowSource | undefined;
  #rowCount: number;
  /** Rows were read and not kept, so that no second pass is possible. */
  #isPassed = false;
  /** The search was ended before its end, so that the rest is unknown. */
  #isCut = false;
  #batchSize = batchSizeMin;
  /** Passes over the rows that have begun and not ended. */
  #passes = 0;

  /** @internal For `Table.search`. Takes over `parts.source`. */
  constructor(parts: ResultParts<Row>) {
    this.#table = parts.table;
    this.#fields = parts.fields;
    this.#decoder = parts.decoder;
    this.#scope = parts.scope;
    this.#stride = parts.table.imageSize;
    this.#chunks = [parts.first];
    this.#rowCount = parts.first.rowCount;
    this.#count = parts.count;
    this.#next = parts.next;
    this.#source = parts.source;
    if (parts.source !== undefined) abandoned.register(this, parts.source, this);
  }

  /** The columns that its rows have, in order. */
  get columns(): readonly ColumnDefinition[] {
    return this.#fields;
  }

  /** How many rows there are; reads the rest of a long result to know. */
  get length(): number {
    this.#scope?.use();
    if (this.#count !== undefined) return this.#count;
    if (this.#source !== undefined) this.#readAll();
    if (this.#isCut) throw this.#spent();
    return this.#rowCount;
  }

  /**
   * What `after` of the next page takes: the place of the last row in the order. `undefined` when
   * no row comes after it, and for a search without a sort or without a limit. A full page is
   * followed by a search for one more row. **Throws** what a search throws.
   */
  get next(): PageStart | undefined {
    const next = this.#next;
    if (next === undefined || this.length < next.limit) return undefined;
    const chunk = this.#chunks.findLast(({ rowCount }) => rowCount > 0);
    if (chunk === undefined) return undefined;
    const start: Record<string, ColumnValue> = {};
    const image = chunk.at + (chunk.rowCount - 1) * this.#stride;
    for (const column of next.columns) {
      start[column.name] = valueIn(chunk.memory, image, column);
    }
    return next.hasMore(start) ? start : undefined;
  }

  /** The first row, if there is one. */
  first(): Row | undefined {
    this.#scope?.use();
    const [chunk] = this.#chunks;
    if (chunk === undefined || chunk.rowCount === 0) return undefined;
    return this.#decoder.row(chunk.memory, chunk.at);
  }

  /** All rows as objects. */
  toArray(): Row[] {
    this.#readAll();
    const rows = new Array<Row>(this.#rowCount);
    let index = 0;
    for (const { memory, at, rowCount } of this.#chunks) {
      this.#decoder.rows(memory, at, rowCount, rows, index);
      index += rowCount;
    }
    return rows;
  }

  /**
   * All values of one column. Numbers and bools (as 0 and 1) come in the typed array of their kind,
   * decimals and timestamps in a `Float64Array`, 64-bit integers in a bigint array; text, enums and
   * nullable columns in a plain array. **Throws** `UNKNOWN_FIELD`.
   */
  column<K extends string & keyof Row>(name: K): ColumnValues<Row[K]>;
  column(name: string): unknown {
    const column = this.#fields.find((field) => field.name === name);
    if (column === undefined) {
      throw new AerostoreError(
        "UNKNOWN_FIELD",
        `the rows of this search of ${this.#table.name} have no column "${name}"`,
        { table: this.#table.name, column: name },
      );
    }
    this.#readAll();
    const values = makeColumnArray(column, this.#rowCount);
    const read = columnReaderFor(this.#table, column);
    let index = 0;
    for (const { memory, at, rowCount } of this.#chunks) {
      read(values, index, memory, at, this.#stride, rowCount);
      index += rowCount;
    }
    return values;
  }

  /** One object per row. Leaving the last loop early ends a long search. */
  [Symbol.iterator](): IterableIterator<Row> {
    return new RowIterator(this.#walk(), this.#decoder, this.#scope, this.#stride, false);
  }

  /** One object for all rows, overwritten at each step: for loops that keep nothing. */
  cursor(): IterableIterator<Row> {
    return new RowIterator(this.#walk(), this.#decoder, this.#scope, this.#stride, true);
  }

  /** Ends a search that is not read to its end. What has been read stays readable. Idempotent. */
  close(): void {
    if (this.#source === undefined) return;
    this.#isCut = true;
    this.#endSource();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** All chunks, one after the other: the kept ones, then those still to come. */
  *#walk(): Generator<RowChunk, void> {
    this.#checkWhole();
    this.#passes++;
    try {
      for (let index = 0; index < this.#chunks.length; index++) {
        const chunk = this.#chunks[index];
        if (chunk !== undefined) yield chunk;
        const isLast = index + 1 === this.#chunks.length;
        if (isLast && this.#rowCount * this.#stride < keptSizeMax) this.#readNext();
      }
      // Another pass has the rows that were not kept: this one must not end as if it had them.
      if (this.#isPassed) throw this.#spent();
      if (this.#source === undefined) return;
      this.#isPassed = true;
      const memory = Memory.allocate(batchSizeMax);
      while (this.#source !== undefined) {
        const rowCount = this.#read(memory);
        if (rowCount > 0) yield { memory, at: 0, rowCount };
      }
    } finally {
      this.#passes--;
      if (this.#passes === 0) this.close(); // else others read on
    }
  }

  #readAll(): void {
    this.#checkWhole();
    while (this.#source !== undefined) this.#readNext();
  }

  /** Reads and keeps one more chunk, if there is more. */
  #readNext(): void {
    if (this.#source === undefined) return;
    const memory = Memory.allocate(Math.max(this.#batchSize, this.#stride));
    this.#batchSize = Math.min(this.#batchSize * 2, batchSizeMax);
    const rowCount = this.#read(memory);
    if (rowCount > 0) this.#chunks.push({ memory, at: 0, rowCount });
  }

  #read(memory: Memory): number {
    const source = this.#source;
    if (source === undefined) return 0;
    try {
      const { rowCount, done } = source.next(memory);
      this.#rowCount += rowCount;
      if (done) this.#endSource();
      return rowCount;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #endSource(): void {
    this.#source?.close();
    this.#source = undefined;
    abandoned.unregister(this);
  }

  #checkWhole(): void {
    this.#scope?.use();
    if (this.#isPassed || this.#isCut) throw this.#spent();
  }

  #spent(): AerostoreError {
    return new AerostoreError(
      "CLOSED",
      `reading a result of ${this.#table.name}: its rows were read in one pass and not kept, or ` +
        "it was closed; search again, or call toArray() first",
      { table: this.#table.name },
    );
  }
}

/** The value of a column in the image at byte `image`. */
function valueIn(memory: Memory, image: number, column: ColumnDefinition): ColumnValue {
  const bit = column.position - 1; // of the key negative: it is never null
  const nulls = bit < 0 ? 0 : (memory.u32[(image >> 2) + (bit >> 5)] ?? 0) >>> (bit & 31);
  return (nulls & 1) === 1 ? null : readValue(memory, image + column.offset, column);
}

/** Steps through the rows of chunks. */
class RowIterator<Row> implements IterableIterator<Row> {
  readonly #chunks: Iterator<RowChunk, void>;
  readonly #decoder: RowDecoder<Row>;
  readonly #scope: ResultScope | undefined;
  readonly #stride: number;
  readonly #reuse: boolean;
  #row: Row | undefined;
  #memory: Memory | undefined;
  #at = 0;
  #end = 0;

  constructor(
    chunks: Iterator<RowChunk, void>,
    decoder: RowDecoder<Row>,
    scope: ResultScope | undefined,
    stride: number,
    reuse: boolean,
  ) {
    this.#chunks = chunks;
    this.#decoder = decoder;
    this.#scope = scope;
    this.#stride = stride;
    this.#reuse = reuse;
  }

  next(): IteratorResult<Row, undefined> {
    if (this.#scope?.isOver === true) this.#scope.use();
    while (this.#at === this.#end) {
      const chunk = this.#chunks.next();
      if (chunk.done === true) return { done: true, value: undefined };
      this.#memory = chunk.value.memory;
      this.#at = chunk.value.at;
      this.#end = this.#at + chunk.value.rowCount * this.#stride;
    }
    const memory = this.#memory;
    if (memory === undefined) return { done: true, value: undefined };
    const at = this.#at;
    this.#at = at + this.#stride;
    if (!this.#reuse || this.#row === undefined) {
      this.#row = this.#decoder.row(memory, at);
    } else {
      this.#decoder.fill(this.#row, memory, at);
    }
    return { done: false, value: this.#row };
  }

  return(): IteratorResult<Row, undefined> {
    this.#at = this.#end;
    this.#chunks.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}
