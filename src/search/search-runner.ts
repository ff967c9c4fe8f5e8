/**
 * Runs searches: binds the values of a plan, calls the engine, and gives rows as they come.
 */
import { Status } from "../ffi/abi.gen.ts";
import type { TableBinding } from "../session/catalog.ts";
import { bindParameters, dropGuards, measurePlan } from "../query/plan/encode.ts";
import type { EncodedPlan } from "../query/plan/encode.ts";
import type { Measured } from "../query/plan/explain.ts";
import { guardsMax } from "../query/plan/reach.ts";
import { countOf } from "../query/plan/planner.ts";
import type { Plan } from "../query/plan/planner.ts";
import { PlanCache } from "./plan-cache.ts";
import { pageColumns } from "./plan-cache.ts";
import type { ReadySearch } from "./plan-cache.ts";
import { arrange, readGroup } from "./groups.ts";
import type { Group } from "./groups.ts";
import { Result } from "./result.ts";
import type { NextPage, RowChunk, RowSource } from "./result.ts";
import { RowArena } from "./row-memory.ts";
import { Memory } from "../schema/memory.ts";
import type { TableDefinition, TableShape } from "../schema/table.ts";
import { inputAt, inputSize, numbers, outputAt, words } from "../session/session.ts";
import type { Session } from "../session/session.ts";

/** What opening a search gave at first. */
export interface OpenedSearch {
  readonly rowCount: number;
  readonly done: boolean;
  readonly cursor: number;
}

const chunkSize = 1 << 20;
/** Bytes that are copied word by word; a native call pays off beyond. */
const wordwiseMax = 256;

/** Where a search runs: as long as it is not over, its cursors may be read. */
export interface SearchScope {
  /** The id to call with. **Throws** `CLOSED` when the scope is over. */
  use(): number;
  readonly isOver: boolean;
}

/** Runs the searches of one session. */
export class SearchRunner {
  readonly plans: PlanCache;
  readonly #session: Session;
  readonly #arena = new RowArena();
  /** For the rows of `all` that do not fit the io block. */
  #chunk: Memory | undefined;

  constructor(session: Session) {
    this.#session = session;
    this.plans = new PlanCache(session);
  }

  /** The rows of a search. **Throws** what the engine reports. */
  rows<S extends TableShape>(
    definition: TableDefinition<S>,
    binding: TableBinding,
    ready: ReadySearch,
    scope: SearchScope,
  ): Result<S["row"]> {
    const { rowCount, done, cursor } = this.open(binding, ready, scope.use());
    const { fields, plan } = ready.planned;
    const session = this.#session;
    const stride = definition.imageSize;
    return new Result<S["row"]>({
      table: definition,
      fields,
      decoder: definition.decoderOf(fields),
      scope,
      first: this.#arena.copy(session.memory, outputAt, rowCount, stride),
      source: done ? undefined : new Cursor(session, cursor, stride, scope),
      next: this.#nextOf(binding, ready, scope),
      count: plan.countOnly ? (session.f64[numbers.count] ?? 0) : undefined,
    });
  }

  /** How the search goes on, if its window is a page. */
  #nextOf(binding: TableBinding, ready: ReadySearch, scope: SearchScope): NextPage | undefined {
    const { query } = ready.planned;
    const limit = countOf(query.limit, ready.parameters);
    if (query.sort.length === 0 || limit === 0 || query.countOnly) return undefined;
    return {
      columns: pageColumns(binding.definition, query),
      limit,
      hasMore: (start) => {
        const { calls, handle } = this.#session;
        const found = this.open(binding, this.plans.probe(binding, ready, start), scope.use());
        if (!found.done) calls.aerostore_search_close(handle, found.cursor);
        return found.rowCount > 0;
      },
    };
  }

  /** All rows of a search, decoded as they come. **Throws** what the engine reports. */
  all<S extends TableShape>(
    definition: TableDefinition<S>,
    binding: TableBinding,
    ready: ReadySearch,
    tx: number,
  ): S["row"][] {
    const session = this.#session;
    const { rowCount, done, cursor } = this.open(binding, ready, tx);
    const { row, rows: decode } = definition.decoderOf(ready.planned.fields);
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

  /** The groups of an aggregation. */
  groups(binding: TableBinding, ready: ReadySearch, tx: number): readonly Group[] {
    const { aggregation } = ready.planned.plan;
    if (aggregation === undefined) return [];
    const { definition } = binding;
    const groups: Group[] = [];
    const take = (memory: Memory, at: number, count: number): void => {
      for (let index = 0; index < count; index++) {
        const record = at + index * aggregation.recordSize;
        groups.push(readGroup(definition, aggregation, memory, record));
      }
    };
    for (const { memory, at, rowCount } of this.#records(
      binding,
      ready,
      tx,
      aggregation.recordSize,
    )) {
      take(memory, at, rowCount);
    }
    return arrange(groups, aggregation, ready.parameters);
  }

  /** The first row of a search. **Throws** what the engine reports. */
  first<S extends TableShape>(
    definition: TableDefinition<S>,
    binding: TableBinding,
    ready: ReadySearch,
    tx: number,
  ): S["row"] | undefined {
    const { calls, handle, memory } = this.#session;
    const { rowCount, done, cursor } = this.open(binding, ready, tx);
    if (!done) calls.aerostore_search_close(handle, cursor);
    if (rowCount === 0) return undefined;
    return definition.decoderOf(ready.planned.fields).row(memory, outputAt);
  }

  /** Plans a query and runs it to its end without looking at its rows; what that took. */
  measure(
    binding: TableBinding,
    query: unknown,
    tx: number,
  ): { readonly plan: Plan; readonly measured: Measured } {
    const { f64 } = this.#session;
    const beganAt = performance.now();
    const planned = this.plans.plan(binding, query, false);
    measurePlan(planned.encoded);
    const ready = { planned, parameters: {} };
    const plannedAt = performance.now();
    let returned = 0;
    for (const { rowCount } of this.chunks(binding, ready, tx)) returned += rowCount;
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
  *chunks(binding: TableBinding, ready: ReadySearch, tx: number): Generator<RowChunk, void> {
    yield* this.#records(binding, ready, tx, binding.definition.imageSize);
  }

  /** The same, of rows or groups that take `stride` bytes. */
  *#records(
    binding: TableBinding,
    ready: ReadySearch,
    tx: number,
    stride: number,
  ): Generator<RowChunk, void> {
    const session = this.#session;
    const { rowCount, done, cursor } = this.open(binding, ready, tx);
    if (done) {
      yield { memory: session.memory, at: outputAt, rowCount };
      return;
    }
    const source = new Cursor(session, cursor, stride);
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
  count(binding: TableBinding, ready: ReadySearch, tx: number): number {
    this.open(binding, ready, tx);
    return this.#session.f64[numbers.count] ?? 0;
  }

  /**
   * Binds the values and runs the plan, or the one that fits them better; its first rows are in the
   * io block's output. **Throws** `INVALID_VALUE` for values that do not fit.
   */
  open(binding: TableBinding, ready: ReadySearch, tx: number): OpenedSearch {
    const { id, definition } = binding;
    const { u32 } = this.#session;
    const { parameters, kept } = ready;
    let { encoded } = ready.planned;
    bindParameters(encoded, parameters);
    let status = this.#open(id, encoded, tx);
    for (let turns = 0; status === Status.plan_stale && kept !== undefined; turns++) {
      const { f64 } = this.#session;
      const rows = f64.slice(outputAt >> 3, (outputAt >> 3) + guardsMax);
      ({ encoded } = this.plans.again(binding, kept, parameters, rows, turns));
      bindParameters(encoded, parameters);
      status = this.#open(id, encoded, tx);
    }
    if (status !== Status.ok) {
      const subject = { attempted: "searching", table: definition.name };
      dropGuards(encoded); // a repeated call is not refused as well
      if (kept !== undefined) kept.plans = [];
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
