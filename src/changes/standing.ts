/**
 * A query that stands: its rows as they were told last, and what is to be told when some of them
 * have changed. Deltas folded up to a CSN are what the query finds in the snapshot after that
 * commit.
 *
 * Only rows that commits name are looked at again, unless the query has a window (a limit or an
 * offset), whose rows depend on all others.
 */
import { keyText } from "./key-text.ts";
import type { Clause, Name, Query, RawValue } from "../query/query.ts";
import { parseError } from "../query/parse/lexer.ts";
import { parseStapi } from "../query/parse/stapi.ts";
import type { ColumnValue } from "../schema/column.ts";
import type { TableDefinition, TableShape } from "../schema/table.ts";
import { isScalar } from "../schema/value.ts";
import { AerostoreError } from "../errors.ts";

/** What changed in the rows of a query. */
export interface Delta<Row, Key = ColumnValue> {
  /** Everything up to this commit, it included, is in it. */
  readonly csn: number;
  /** Rows that the query finds now and did not find before. */
  readonly entered: readonly Row[];
  /** Rows of which a column has changed. */
  readonly changed: readonly Row[];
  /** Keys of rows that it does not find any more. */
  readonly left: readonly Key[];
  /** `entered` is everything: what was told before is to be forgotten. */
  readonly reset: boolean;
  /** With a sort and a limit: the keys of the window, in order. */
  readonly order?: readonly Key[];
}

export interface StandingOptions {
  /** The columns of the rows told, the key besides. Default: the query's, else all. */
  readonly fields?: readonly string[] | undefined;
  /**
   * By column, how far a number moves before that alone makes a row `changed`. Rows that enter or
   * leave are told in any case.
   */
  readonly deadband?: Readonly<Record<string, number>> | undefined;
}

type AnyRow = Readonly<Record<string, ColumnValue>>;

/** Finds rows of a query at one instant, with whole rows. */
export type FindRows = (query: Query) => readonly AnyRow[];

interface Told {
  readonly key: ColumnValue;
  /** As it was told. */
  readonly row: AnyRow;
}

/** Beyond so many rows at once the whole query is cheaper. */
const affectedMax = 256;

export class Standing {
  readonly #query: Query;
  readonly #key: string;
  /** Columns told; undefined: all. */
  readonly #fields: readonly string[] | undefined;
  readonly #deadband: ReadonlyMap<string, number>;
  readonly #told = new Map<string, Told>();
  #order: readonly string[] = [];
  #isNew = true;

  /** **Throws** `PARSE_ERROR`, `UNKNOWN_FIELD`, `RangeError`. */
  constructor(definition: TableDefinition<TableShape>, query: unknown, options: StandingOptions) {
    const parsed = parseStapi(query);
    if (parsed.action.kind !== "read") {
      throw parseError("a standing query only reads", undefined, "no -update and no -delete");
    }
    this.#key = definition.key.name;
    const fields = options.fields ?? parsed.fields?.map(({ text }) => text);
    this.#fields = fields?.map((name) => columnOf(definition, name));
    const deadband = Object.entries(options.deadband ?? {});
    for (const [name, distance] of deadband) {
      if (!(distance >= 0)) throw new RangeError(`deadband of ${name} is from 0, not ${distance}`);
    }
    this.#deadband = new Map(
      deadband.map(([name, distance]) => [columnOf(definition, name), distance]),
    );
    this.#query = { ...parsed, fields: undefined, countOnly: false };
  }

  /** As it was parsed, for whole rows. */
  get query(): Query {
    return this.#query;
  }

  /** The rows as they were told, by key. */
  get rows(): ReadonlyMap<ColumnValue, AnyRow> {
    return new Map(Array.from(this.#told.values(), ({ key, row }) => [key, row]));
  }

  /**
   * What is to be told at the instant that `find` sees, of which `csn` is the last commit; nothing
   * if it is as before. `affected`: the rows written since, by key; undefined: any.
   */
  look(
    find: FindRows,
    csn: number,
    affected: ReadonlyMap<string, ColumnValue> | undefined,
  ): Delta<AnyRow> | undefined {
    const { limit, offset, sort } = this.#query;
    const hasWindow = !isZero(limit) || !isZero(offset);
    const isPartial =
      !this.#isNew && !hasWindow && affected !== undefined && affected.size <= affectedMax;
    const found = isPartial ? find(this.#about(affected)) : find(this.#query);
    const entered: AnyRow[] = [];
    const changed: AnyRow[] = [];
    const seen = new Set<string>();
    for (const whole of found) {
      const key = whole[this.#key] ?? null;
      const name = keyText(key);
      seen.add(name);
      const row = this.#project(whole);
      const before = this.#told.get(name);
      if (before === undefined) entered.push(row);
      else if (this.#differs(before.row, row)) changed.push(row);
      else continue;
      this.#told.set(name, { key, row });
    }
    const left: ColumnValue[] = [];
    for (const name of isPartial ? affected.keys() : [...this.#told.keys()]) {
      if (seen.has(name)) continue;
      const gone = this.#told.get(name);
      if (gone === undefined) continue;
      left.push(gone.key);
      this.#told.delete(name);
    }
    const isOrdered = sort.length > 0 && hasWindow;
    const keys = isOrdered ? found.map((row) => row[this.#key] ?? null) : undefined;
    const order = keys?.map(keyText) ?? [];
    const isMoved =
      order.length !== this.#order.length || order.some((k, i) => k !== this.#order[i]);
    const reset = this.#isNew;
    this.#isNew = false;
    this.#order = order;
    const isNothing = entered.length + changed.length + left.length === 0 && !isMoved;
    if (isNothing && !reset) return undefined;
    return { csn, entered, changed, left, reset, ...(keys === undefined ? {} : { order: keys }) };
  }

  /** The query, of these rows only. */
  #about(affected: ReadonlyMap<string, ColumnValue>): Query {
    const column: Name = { text: this.#key, position: undefined };
    const values = Array.from(affected.values(), (value) => ({
      kind: "value" as const,
      value: rawOf(value),
    }));
    const clause: Clause = { kind: "in", column, values };
    return { ...this.#query, compare: [...this.#query.compare, clause], sort: [] };
  }

  #project(whole: AnyRow): AnyRow {
    if (this.#fields === undefined) return whole;
    const row: Record<string, ColumnValue> = { [this.#key]: whole[this.#key] ?? null };
    for (const name of this.#fields) row[name] = whole[name] ?? null;
    return row;
  }

  #differs(before: AnyRow, now: AnyRow): boolean {
    for (const name of Object.keys(now)) {
      const [a, b] = [before[name] ?? null, now[name] ?? null];
      if (isSame(a, b)) continue;
      const distance = this.#deadband.get(name);
      if (distance === undefined || !isNumber(a) || !isNumber(b)) return true;
      if (Math.abs(Number(b) - Number(a)) >= distance) return true;
    }
    return false;
  }
}

function columnOf(definition: TableDefinition<TableShape>, name: string): string {
  const column = definition.find(name);
  if (column !== undefined) return column.name;
  const { name: table } = definition;
  throw new AerostoreError("UNKNOWN_FIELD", `table ${table} has no column "${name}"`, {
    table,
    column: name,
  });
}

function rawOf(value: ColumnValue): RawValue {
  return isScalar(value) || value instanceof Uint8Array ? value : "";
}

function isZero(count: Query["limit"]): boolean {
  return count.kind === "count" && count.count === 0;
}

function isNumber(value: ColumnValue): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function isSame(a: ColumnValue, b: ColumnValue): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return a === b;
}
