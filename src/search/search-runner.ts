/**
 * Searches: from a query to a plan, which is kept by the query's text or shape, and from a plan to
 * rows. The cardinalities that a plan was chosen by are asked for again when the table has grown or
 * shrunk to half, so a kept plan is never far from what would be planned now.
 */
import { Status } from "../ffi/abi.gen.ts";
import type { TableBinding } from "../session/catalog.ts";
import type { Cardinality } from "../query/plan/cardinality.ts";
import { bindParameters, encodePlan, measurePlan } from "../query/plan/encode.ts";
import type { EncodedPlan, Parameters } from "../query/plan/encode.ts";
import type { Measured } from "../query/plan/explain.ts";
import { expandLists } from "../query/parse/lists.ts";
import { keyWordsCount } from "../query/resolve/index-key.ts";
import type { KeyWords } from "../query/resolve/index-key.ts";
import { plan as planQuery } from "../query/plan/planner.ts";
import type { Plan } from "../query/plan/planner.ts";
import type { Count, Query } from "../query/query.ts";
import { shapeOf } from "../query/parse/fingerprint.ts";
import { parseStapi } from "../query/parse/stapi.ts";
import { parseError } from "../query/parse/lexer.ts";
import { Result } from "./result.ts";
import type { RowChunk, RowSource } from "./result.ts";
import { RowArena } from "./row-memory.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import { Memory } from "../schema/memory.ts";
import type { TableDefinition, TableShape } from "../schema/table.ts";
import { inputAt, inputSize, numbers, outputAt, words } from "../session/session.ts";
import type { Session } from "../session/session.ts";

/** A query as planned for a table. */
export interface PlannedSearch {
  readonly query: Query;
  readonly plan: Plan;
  readonly encoded: EncodedPlan;
  /** Columns of the rows; the table's own list when it is all of them. */
  readonly fields: readonly ColumnDefinition[];
}

/** What opening a search gave at first. */
export interface OpenedSearch {
  readonly rowCount: number;
  readonly done: boolean;
  readonly cursor: number;
}

const keptMax = 256;
/** Uses of a kept plan between two looks at the table's size. */
const usesPerLook = 64;
/** Below this many rows it does not matter how they are reached. */
const tableRowsMin = 64;
const chunkSize = 1 << 20;
/** Bytes that are copied word by word; a native call pays off beyond. */
const wordwiseMax = 256;

/** A plan that is used again and again. */
export interface KeptSearch {
  planned: PlannedSearch;
  uses: number;
}

/** A plan with the values of one query. */
interface KeptQuery {
  readonly kept: KeptSearch;
  readonly parameters: Parameters;
}

/** A plan to run, once its parameters are bound. */
export interface ReadySearch {
  readonly planned: PlannedSearch;
  readonly parameters: Parameters;
}

/** What is kept for one table. */
interface KeptPlans {
  readonly rowsByText: Map<string, KeptQuery>;
  readonly countsByText: Map<string, KeptQuery>;
  readonly byShape: Map<string, KeptSearch>;
}

const noParameters: Parameters = {};

/** Adds an entry; the oldest one makes room. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= keptMax) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(key, value);
}

/** Plans and runs the searches of one session. */
/** Where a search runs: as long as it is not over, its cursors may be read. */
export interface SearchScope {
  /** The id to call with. **Throws** `CLOSED` when the scope is over. */
  use(): number;
  readonly isOver: boolean;
}

export class SearchRunner {
  readonly #session: Session;
  readonly #arena = new RowArena();
  readonly #kept = new Map<TableBinding, KeptPlans>();
  /** For the rows of `all` that do not fit the io block. */
  #chunk: Memory | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  /** The plan of `query` with its values. **Throws** what `ready` throws. */
  plan(binding: TableBinding, query: unknown, countOnly: boolean): PlannedSearch {
    return this.#plan(binding, parseStapi(query), countOnly);
  }

  /**
   * The plan of a query whose rows are to be changed. **Throws** what `plan` throws, `PARSE_ERROR`
   * for one that says itself what is to become of them.
   */
  planOfChange(binding: TableBinding, query: unknown): PlannedSearch {
    const parsed = parseStapi(query);
    const { action } = parsed;
    if (action.kind !== "read") {
      throw parseError(`-${action.kind} stands in a query of rows to change`, undefined, "none");
    }
    return this.#plan(binding, { ...parsed, countOnly: false }, false);
  }

  /**
   * A plan for `query`, new or kept, and what to bind to it. Kept are plans by the text of the
   * query, and by its shape where there is only one way to go, whatever the values.
   *
   * **Throws** `PARSE_ERROR`, `UNKNOWN_FIELD`, `INVALID_VALUE`, `TypeError` for what is no query.
   */
  ready(binding: TableBinding, query: unknown, countOnly: boolean): ReadySearch {
    const kept = this.#keptOf(binding);
    if (typeof query !== "string") return this.#readyByShape(binding, kept, query, countOnly);
    const byText = countOnly ? kept.countsByText : kept.rowsByText;
    const known = byText.get(query);
    if (known !== undefined) {
      return { planned: this.fresh(binding, known.kept), parameters: known.parameters };
    }
    const made = this.#keepByShape(binding, kept, query, countOnly);
    remember(byText, query, made);
    return { planned: made.kept.planned, parameters: made.parameters };
  }

  #readyByShape(
    binding: TableBinding,
    kept: KeptPlans,
    query: unknown,
    countOnly: boolean,
  ): ReadySearch {
    const { kept: search, parameters } = this.#keepByShape(binding, kept, query, countOnly);
    return { planned: this.fresh(binding, search), parameters };
  }

  #keepByShape(
    binding: TableBinding,
    { byShape }: KeptPlans,
    query: unknown,
    countOnly: boolean,
  ): KeptQuery {
    const parsed = parseStapi(query);
    const asked = countOnly === parsed.countOnly ? parsed : { ...parsed, countOnly: true };
    const shape = shapeOf(asked);
    if (shape !== undefined) {
      let search = byShape.get(shape.key);
      if (search === undefined) {
        search = { planned: this.#plan(binding, shape.query, asked.countOnly), uses: 0 };
        remember(byShape, shape.key, search);
      }
      if (search.planned.plan.candidates.length === 1) {
        return { kept: search, parameters: shape.parameters };
      }
    }
    return {
      kept: { planned: this.#plan(binding, asked, asked.countOnly), uses: 0 },
      parameters: noParameters,
    };
  }

  /** Plans `query` for repeated use. **Throws** what `plan` throws. */
  keep(binding: TableBinding, query: unknown, countOnly: boolean): KeptSearch {
    return { planned: this.#plan(binding, parseStapi(query), countOnly), uses: 0 };
  }

  /** `keep` for the first row alone. A limit that is a parameter stays: it may be anything. */
  keepFirst(binding: TableBinding, query: unknown): KeptSearch {
    const parsed = parseStapi(query);
    const limit: Count = parsed.limit.kind === "count" ? { kind: "count", count: 1 } : parsed.limit;
    return { planned: this.#plan(binding, { ...parsed, limit }, false), uses: 0 };
  }

  /** A kept plan, planned again if the table has become another. */
  fresh(binding: TableBinding, kept: KeptSearch): PlannedSearch {
    kept.uses++;
    if (kept.uses % usesPerLook !== 0) return kept.planned;
    const { plan, query } = kept.planned;
    const before = Math.max(plan.tableRows, tableRowsMin);
    const now = Math.max(this.rowCount(binding), tableRowsMin);
    if (now > before * 2 || now * 2 < before) {
      kept.planned = this.#plan(binding, query, plan.countOnly);
    }
    return kept.planned;
  }

  /**
   * The plan to run with these parameters, and those that are to be bound. Where one is a list of
   * `in`, the query is planned with its values as if they had been written.
   */
  bind(
    binding: TableBinding,
    kept: KeptSearch,
    parameters: Parameters,
  ): { readonly planned: PlannedSearch; readonly parameters: Parameters } {
    const expanded = hasList(parameters) ? expandLists(kept.planned.query, parameters) : undefined;
    if (expanded === undefined) return { planned: this.fresh(binding, kept), parameters };
    const { countOnly } = kept.planned.plan;
    const planned = this.#plan(binding, expanded.query, countOnly);
    return { planned, parameters: expanded.parameters };
  }

  /** Rows of the table, for the planner and for `count()`. */
  rowCount(binding: TableBinding): number {
    const { calls, handle, f64 } = this.#session;
    const status = calls.aerostore_table_count(handle, binding.id);
    if (status !== Status.ok) throw this.#session.error(status, { attempted: "counting rows" });
    return f64[numbers.count] ?? 0;
  }

  /** The rows of a search. The plan's parameters must be bound. */
  rows<S extends TableShape>(
    definition: TableDefinition<S>,
    binding: TableBinding,
    planned: PlannedSearch,
    scope: SearchScope,
  ): Result<S["row"]> {
    const { rowCount, done, cursor } = this.open(binding, planned, scope.use());
    const session = this.#session;
    const stride = definition.imageSize;
    return new Result<S["row"]>({
      table: definition,
      fields: planned.fields,
      decoder: definition.decoderOf(planned.fields),
      first: this.#arena.copy(session.memory, outputAt, rowCount, stride),
      source: done ? undefined : new Cursor(session, cursor, stride, scope),
      count: planned.plan.countOnly ? (session.f64[numbers.count] ?? 0) : undefined,
    });
  }

  /** All rows of a search, decoded as they come. The plan's parameters must be bound. */
  all<S extends TableShape>(
    definition: TableDefinition<S>,
    binding: TableBinding,
    planned: PlannedSearch,
    tx: number,
  ): S["row"][] {
    const session = this.#session;
    const { rowCount, done, cursor } = this.open(binding, planned, tx);
    const { row, rows: decode } = definition.decoderOf(planned.fields);
    if (done && rowCount === 1) return [row(session.memory, outputAt)];
    const rows = new Array<S["row"]>(rowCount);
    decode(session.memory, outputAt, rowCount, rows, 0);
    if (done) return rows;
    const source = new Cursor(session, cursor, definition.imageSize);
    try {
      const memory = (this.#chunk ??= Memory.allocate(chunkSize));
      for (let isLast = false; !isLast;) {
        const next = source.next(memory);
        isLast = next.done;
        decode(memory, 0, next.rowCount, rows, rows.length);
      }
    } finally {
      source.close();
    }
    return rows;
  }

  /** The first row of a search. The plan's parameters must be bound. */
  first<S extends TableShape>(
    definition: TableDefinition<S>,
    binding: TableBinding,
    planned: PlannedSearch,
    tx: number,
  ): S["row"] | undefined {
    const { calls, handle, memory } = this.#session;
    const { rowCount, done, cursor } = this.open(binding, planned, tx);
    if (!done) calls.aerostore_search_close(handle, cursor);
    if (rowCount === 0) return undefined;
    return definition.decoderOf(planned.fields).row(memory, outputAt);
  }

  /** Plans a query and runs it to its end without looking at its rows; what that took. */
  measure(
    binding: TableBinding,
    query: unknown,
    tx: number,
  ): { readonly plan: Plan; readonly measured: Measured } {
    const { f64 } = this.#session;
    const beganAt = performance.now();
    const planned = this.plan(binding, query, false);
    measurePlan(planned.encoded);
    bindParameters(planned.encoded, {});
    const plannedAt = performance.now();
    let returned = 0;
    for (const { rowCount } of this.chunks(binding, planned, tx)) returned += rowCount;
    const elapsedMs = performance.now() - plannedAt;
    if (planned.plan.countOnly) returned = f64[numbers.count] ?? 0;
    const ms = (number: number): number => (f64[number] ?? 0) / 1e6;
    const steps = {
      plan: plannedAt - beganAt,
      read: ms(numbers.readNs),
      test: ms(numbers.testNs),
      sort: ms(numbers.sortNs),
      copy: ms(numbers.copyNs),
    };
    const examined = f64[numbers.examined] ?? 0;
    return { plan: planned.plan, measured: { examined, returned, elapsedMs, steps } };
  }

  /** Runs a search to its end; each chunk is good until the next one is taken. */
  *chunks(binding: TableBinding, planned: PlannedSearch, tx: number): Generator<RowChunk, void> {
    const session = this.#session;
    const { rowCount, done, cursor } = this.open(binding, planned, tx);
    if (done) {
      yield { memory: session.memory, at: outputAt, rowCount };
      return;
    }
    const source = new Cursor(session, cursor, binding.definition.imageSize);
    try {
      yield { memory: session.memory, at: outputAt, rowCount };
      const memory = Memory.allocate(chunkSize);
      for (let isLast = false; !isLast;) {
        const next = source.next(memory);
        isLast = next.done;
        yield { memory, at: 0, rowCount: next.rowCount };
      }
    } finally {
      source.close();
    }
  }

  /** Rows of the window of a search that counts. */
  count(
    binding: TableBinding,
    planned: PlannedSearch,
    tx: number,
    parameters: Parameters = {},
  ): number {
    bindParameters(planned.encoded, parameters);
    this.open(binding, planned, tx);
    return this.#session.f64[numbers.count] ?? 0;
  }

  /** Runs a plan; its first rows are in the io block's output. */
  open({ id, definition }: TableBinding, { encoded }: PlannedSearch, tx: number): OpenedSearch {
    const { u32 } = this.#session;
    const status = this.#open(id, encoded, tx);
    if (status !== Status.ok) {
      const subject = { attempted: "searching", table: definition.name };
      this.#session.settle(status, subject, () => this.#open(id, encoded, tx));
    }
    return {
      rowCount: u32[words.rows] ?? 0,
      done: u32[words.done] === 1,
      cursor: u32[words.cursor] ?? 0,
    };
  }

  #open(table: number, { bytes, words }: EncodedPlan, tx: number): Status {
    const { calls, handle, memory, u32 } = this.#session;
    const size = bytes.length;
    if (size > inputSize) return calls.aerostore_search_open_plan(handle, tx, table, bytes, bytes);
    if (size > wordwiseMax) memory.u8.set(bytes, inputAt);
    else for (let at = 0; at < words.length; at++) u32[(inputAt >> 2) + at] = words[at] ?? 0;
    return calls.aerostore_search_open(handle, tx, table, size);
  }

  #plan(binding: TableBinding, query: Query, countOnly: boolean): PlannedSearch {
    const { definition } = binding;
    const asked = countOnly === query.countOnly ? query : { ...query, countOnly: true };
    const plan = planQuery(asked, definition, this.#cardinalityOf(binding));
    const isAll = plan.fields === definition.columns;
    const fields = isAll
      ? definition.columns
      : plan.fields.flatMap(({ position }) => definition.columns[position] ?? []);
    return { query: asked, plan, encoded: encodePlan(plan), fields };
  }

  #keptOf(binding: TableBinding): KeptPlans {
    const known = this.#kept.get(binding);
    if (known !== undefined) return known;
    const kept = { rowsByText: new Map(), countsByText: new Map(), byShape: new Map() };
    this.#kept.set(binding, kept);
    return kept;
  }

  #cardinalityOf(binding: TableBinding): Cardinality {
    return {
      rowCount: () => this.rowCount(binding),
      estimateRange: (column, low, high) => this.#estimate(binding, column, low, high),
    };
  }

  /** An absent bound is the smallest or the largest key there could be. */
  #estimate(
    binding: TableBinding,
    position: number,
    low: KeyWords | undefined,
    high: KeyWords | undefined,
  ): number {
    const column = binding.definition.columns[position];
    if (column === undefined) return 0;
    const { calls, handle, memory, f64 } = this.#session;
    const size = keyWordsCount(column) * 2;
    const at = inputAt >> 2;
    if (low === undefined) memory.u32.fill(0, at, at + size);
    else memory.u32.set(low, at);
    if (high === undefined) memory.u32.fill(0xffff_ffff, at + size, at + size * 2);
    else memory.u32.set(high, at + size);
    const status = calls.aerostore_estimate_range(handle, binding.id, position);
    if (status !== Status.ok) throw this.#session.error(status, { attempted: "planning" });
    return f64[numbers.count] ?? 0;
  }
}

function hasList(parameters: Parameters): boolean {
  for (const name in parameters) if (Array.isArray(parameters[name])) return true;
  return false;
}

/** The rest of a search that did not fit the io block. */
class Cursor implements RowSource {
  readonly #session: Session;
  readonly #stride: number;
  /** What the search runs in, if that may end first: the search ends with it. */
  readonly #scope: SearchScope | undefined;
  #cursor: number;

  constructor(session: Session, cursor: number, stride: number, scope?: SearchScope) {
    this.#session = session;
    this.#cursor = cursor;
    this.#stride = stride;
    this.#scope = scope;
  }

  next(target: Memory): { rowCount: number; done: boolean } {
    this.#scope?.use();
    const { calls, handle, u32 } = this.#session;
    // Whole rows only, whatever the engine would do with the rest.
    const room = Math.floor(target.u8.length / this.#stride) * this.#stride;
    const out = new Uint8Array(target.buffer, 0, room);
    const status = calls.aerostore_search_next(handle, this.#cursor, out, out);
    if (status !== Status.ok) {
      throw this.#session.error(status, { attempted: "reading the rows of a search" });
    }
    return { rowCount: u32[words.rows] ?? 0, done: u32[words.done] === 1 };
  }

  close(): void {
    const cursor = this.#cursor;
    this.#cursor = 0;
    if (cursor === 0 || !this.#session.isOpen || this.#scope?.isOver === true) return;
    this.#session.calls.aerostore_search_close(this.#session.handle, cursor);
  }
}
