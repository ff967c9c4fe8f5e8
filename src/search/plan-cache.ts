/**
 * Plans that are used again: by the text of a query, by its shape, or held by a prepared search.
 * The cardinalities that a plan was chosen by are asked for again when the table has grown or
 * shrunk to half. Where values decide about the way, a plan says for how many rows of each term it
 * was chosen; the engine refuses it for others before it reads a row, and another one takes its
 * place. So a kept plan is never far from what would be planned now.
 */
import { Status } from "../ffi/abi.gen.ts";
import type { TableBinding } from "../session/catalog.ts";
import type { Cardinality } from "../query/plan/cardinality.ts";
import { dropGuards, encodePlan } from "../query/plan/encode.ts";
import type { EncodedPlan, Parameters } from "../query/plan/encode.ts";
import { expandValues } from "../query/parse/lists.ts";
import { shapeOf } from "../query/parse/fingerprint.ts";
import { parseError } from "../query/parse/lexer.ts";
import { parseStapi } from "../query/parse/stapi.ts";
import { keyWordsCount } from "../query/resolve/index-key.ts";
import type { KeyWords } from "../query/resolve/index-key.ts";
import { plan as planQuery, planFor, windowRows } from "../query/plan/planner.ts";
import type { Dependence, Plan } from "../query/plan/planner.ts";
import { reaches } from "../query/plan/reach.ts";
import { findsAll, parameterNames } from "../query/query.ts";
import type { Aggregation, Count, Name, Operand, Query } from "../query/query.ts";
import type { PageStart } from "../query/types.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import type { AnyTable } from "../schema/table.ts";
import { inputAt, numbers } from "../session/session.ts";
import type { Session } from "../session/session.ts";

/** A query as planned for a table. */
export interface PlannedSearch {
  readonly query: Query;
  readonly plan: Plan;
  readonly encoded: EncodedPlan;
  /** Columns of the rows; the table's own list when it is all of them. */
  readonly fields: readonly ColumnDefinition[];
}

/** A query that is asked again and again, and its plans. */
export interface KeptSearch {
  readonly query: Query;
  readonly countOnly: boolean;
  readonly dependence: Dependence;
  /** The one used last is the first; they differ in the rows that they are for. */
  plans: PlannedSearch[];
  uses: number;
  /** The search for one row after a page of this one. */
  probe?: KeptSearch;
}

/** A plan to run, once its parameters are bound. */
export interface ReadySearch {
  readonly planned: PlannedSearch;
  readonly parameters: Parameters;
  /** Whence another plan comes, if the engine refuses this one. */
  readonly kept?: KeptSearch | undefined;
}

/** A plan with the values of one query. */
interface KeptQuery {
  readonly kept: KeptSearch;
  readonly parameters: Parameters;
}

/** What is kept for one table. */
interface KeptPlans {
  readonly rowsByText: Map<string, KeptQuery>;
  readonly countsByText: Map<string, KeptQuery>;
  readonly byShape: Map<string, KeptSearch>;
  readonly groupsByText: Map<string, KeptSearch>;
}

const keptMax = 256;
/** Plans of one search. */
const plansMax = 4;
/** Refusals of one search after which a plan is run whatever it was made for. */
const turnsMax = 3;
/** Uses of a kept plan between two looks at the table's size. */
const usesPerLook = 64;
/** Below this many rows it does not matter how they are reached. */
const tableRowsMin = 64;

const noParameters: Parameters = {};

/** Adds an entry; the oldest one makes room. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= keptMax) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(key, value);
}

/** Plans the searches of one session. */
export class PlanCache {
  readonly #session: Session;
  readonly #kept = new WeakMap<TableBinding, KeptPlans>();

  constructor(session: Session) {
    this.#session = session;
  }

  /** The plan of `query` with its values. **Throws** what `ready` throws. */
  plan(binding: TableBinding, query: unknown, countOnly: boolean): PlannedSearch {
    return this.#plan(binding, asCounted(parseStapi(query), countOnly));
  }

  /** The plan of a query that is parsed already, used once. **Throws** what `ready` throws. */
  planParsed(binding: TableBinding, query: Query): PlannedSearch {
    return this.#plan(binding, query);
  }

  /**
   * The plan of a query whose rows `call` changes. **Throws** what `plan` throws, `PARSE_ERROR`
   * for one that says itself what is to become of them, `TypeError` for one that finds all rows and
   * does not say so.
   */
  planOfChange(binding: TableBinding, query: unknown, call: string): PlannedSearch {
    const parsed = parseStapi(query);
    const { action, isAll } = parsed;
    if (parsed.aggregation !== undefined) {
      throw parseError("rows to change are not grouped", undefined, "a query of rows");
    }
    if (action.kind !== "read") {
      throw parseError(`-${action.kind} stands in a query of rows to change`, undefined, "none");
    }
    if (!isAll && findsAll(parsed)) {
      throw new TypeError(
        `${call} on ${binding.definition.name}: this query finds every row; ` +
          'say so with { all: true } or "-compare {}", or name the rows with a compare list',
      );
    }
    return this.#plan(binding, { ...parsed, countOnly: false });
  }

  /** A query with `-update` or `-delete`, planned. **Throws** `PARSE_ERROR` for another one. */
  readyToChange(binding: TableBinding, query: unknown, parameters: Parameters): ReadySearch {
    const parsed = parseStapi(query);
    if (parsed.action.kind === "read") {
      throw parseError("execute runs what changes rows", undefined, "-update or -delete");
    }
    return this.bind(binding, this.#keep(binding, parsed), parameters);
  }

  /**
   * A plan for `query`, new or kept, and what to bind to it. Kept are plans by the text of the
   * query, and by its shape where values can be bound to a plan.
   *
   * **Throws** `PARSE_ERROR`, `UNKNOWN_FIELD`, `INVALID_VALUE`, `TypeError` for what is no query.
   */
  ready(binding: TableBinding, query: unknown, countOnly: boolean): ReadySearch {
    const plans = this.#keptOf(binding);
    if (typeof query !== "string") {
      const { kept, parameters } = this.#keepByShape(binding, plans, parseToRead(query), countOnly);
      return this.bind(binding, kept, parameters);
    }
    const byText = countOnly ? plans.countsByText : plans.rowsByText;
    let known = byText.get(query);
    if (known === undefined) {
      known = this.#keepByShape(binding, plans, parseToRead(query), countOnly);
      remember(byText, query, known);
    }
    return this.bind(binding, known.kept, known.parameters);
  }

  #keepByShape(
    binding: TableBinding,
    { byShape }: KeptPlans,
    parsed: Query,
    countOnly: boolean,
  ): KeptQuery {
    const asked = asCounted(parsed, countOnly);
    const shape = shapeOf(asked);
    if (shape !== undefined) {
      let search = byShape.get(shape.key);
      if (search === undefined) {
        search = this.#keep(binding, shape.query);
        remember(byShape, shape.key, search);
      }
      if (search.dependence !== "values") return { kept: search, parameters: shape.parameters };
    }
    return { kept: this.#keep(binding, asked), parameters: noParameters };
  }

  /**
   * Plans a query that asks for groups, for repeated use; texts are known again. **Throws** what
   * `plan` throws, `PARSE_ERROR` for one that asks for rows.
   */
  keepGroups(binding: TableBinding, query: unknown): KeptSearch {
    const { groupsByText } = this.#keptOf(binding);
    const known = typeof query === "string" ? groupsByText.get(query) : undefined;
    if (known !== undefined) return known;
    const parsed = parseStapi(query);
    if (parsed.aggregation === undefined) {
      throw parseError("an aggregation asks for groups", undefined, "-group or -aggregate");
    }
    const kept = this.#keep(binding, parsed);
    if (typeof query === "string") remember(groupsByText, query, kept);
    return kept;
  }

  /** Plans the search for the different values of a column. **Throws** likewise. */
  keepDistinct(binding: TableBinding, column: string, query: unknown): KeptSearch {
    const rows = parseToRead(query);
    const none: Count = { kind: "count", count: 0 };
    if (rows.sort.length > 0 || !hasNoWindow(rows) || rows.after !== undefined) {
      throw parseError(
        "distinct values have no order and window of rows",
        undefined,
        "-compare, -or",
      );
    }
    const name: Name = { text: column, position: undefined };
    const aggregation: Aggregation = {
      keys: [{ kind: "column", column: name, as: column }],
      selects: [],
      having: [],
      sort: [],
      reverse: rows.reverse,
      limit: none,
      offset: none,
    };
    return this.#keep(binding, { ...rows, countOnly: false, reverse: false, aggregation });
  }

  /** Plans `query` for repeated use. **Throws** what `plan` throws. */
  keep(binding: TableBinding, query: unknown, countOnly: boolean): KeptSearch {
    return this.#keep(binding, asCounted(parseToRead(query), countOnly));
  }

  /** `keep` for the first row alone. A limit that is a parameter stays: it may be anything. */
  keepFirst(binding: TableBinding, query: unknown): KeptSearch {
    const parsed = parseToRead(query);
    const limit: Count = parsed.limit.kind === "count" ? { kind: "count", count: 1 } : parsed.limit;
    return this.#keep(binding, { ...parsed, limit });
  }

  #keep(binding: TableBinding, query: Query): KeptSearch {
    const planned = this.#plan(binding, query);
    const { dependence } = planned.plan;
    const plans = dependence === "none" ? [planned] : [];
    return { query, countOnly: query.countOnly, dependence, plans, uses: 0 };
  }

  /**
   * The plan to run with these parameters, and those that are to be bound. Where one is a list of
   * `in`, or values make another query, it is planned with them as if they had been written.
   *
   * **Throws** `INVALID_VALUE` for a value of which no plan can be made.
   */
  bind(binding: TableBinding, kept: KeptSearch, parameters: Parameters): ReadySearch {
    const isWhole = kept.dependence === "values";
    if (isWhole || hasList(parameters)) {
      const expanded = expandValues(kept.query, parameters, isWhole);
      if (expanded !== undefined) {
        const inner = this.#keep(binding, expanded.query);
        if (inner.dependence !== "values") return this.bind(binding, inner, expanded.parameters);
      }
    }
    this.#refresh(binding, kept);
    const [first] = kept.plans;
    if (first !== undefined && kept.dependence === "none") {
      return { planned: first, parameters, kept };
    }
    const window = windowRows(kept.query, parameters);
    const known = kept.plans.find(({ plan }) => reaches(plan.reach, window));
    const planned = known ?? this.#planFor(binding, kept, parameters);
    return { planned, parameters, kept };
  }

  /**
   * The plan in place of one that the engine refused; `rows` are those of its guards. After some
   * `turns` it is run whatever the rows are, which change all the time then.
   */
  again(
    binding: TableBinding,
    kept: KeptSearch,
    parameters: Parameters,
    rows: ArrayLike<number>,
    turns: number,
  ): PlannedSearch {
    const window = windowRows(kept.query, parameters);
    const known = kept.plans.find(({ plan }) => reaches(plan.reach, window, rows));
    if (known !== undefined && turns === 0) {
      kept.plans = [known, ...kept.plans.filter((each) => each !== known)];
      return known;
    }
    const planned = this.#planFor(binding, kept, parameters);
    if (turns > turnsMax) {
      kept.plans = [];
      dropGuards(planned.encoded);
    }
    return planned;
  }

  /** The search for one row after `start`, which is a place in the order of another search. */
  probe(
    binding: TableBinding,
    { planned, parameters, kept }: ReadySearch,
    start: PageStart,
  ): ReadySearch {
    const names = Object.keys(start);
    const query = (): Query => {
      const values = names.map((name): Operand => ({ kind: "parameter", name: probeName(name) }));
      const sort = names.map((text) => {
        return planned.query.sort.find(({ column }) => namesColumn(binding, column, text));
      });
      return {
        ...planned.query,
        after: { kind: "values", values, position: undefined },
        limit: { kind: "count", count: 1 },
        offset: { kind: "count", count: 0 },
        sort: sort.filter((each) => each !== undefined),
      };
    };
    const probe = kept?.probe ?? this.#keep(binding, query());
    if (kept !== undefined) kept.probe = probe;
    const needed = parameterNames(probe.query);
    const values: [string, unknown][] = Object.entries(parameters).filter(([name]) =>
      needed.has(name),
    );
    for (const name of names) values.push([probeName(name), start[name] ?? null]);
    return this.bind(binding, probe, Object.fromEntries(values));
  }

  /** A plan by these values, kept as the first one. */
  #planFor(binding: TableBinding, kept: KeptSearch, values: Parameters): PlannedSearch {
    const { definition } = binding;
    const plan = planFor(kept.query, definition, this.#cardinalityOf(binding), values);
    const planned = plannedOf(binding, kept.query, plan);
    kept.plans = [planned, ...kept.plans.slice(0, plansMax - 1)];
    return planned;
  }

  /** Drops the plans of a table that has become another, now and then. */
  #refresh(binding: TableBinding, kept: KeptSearch): void {
    kept.uses++;
    const [first] = kept.plans;
    if (first === undefined || kept.uses % usesPerLook !== 0) return;
    const before = Math.max(first.plan.tableRows, tableRowsMin);
    const now = Math.max(this.rowCount(binding), tableRowsMin);
    if (now <= before * 2 && now * 2 >= before) return;
    kept.plans = kept.dependence === "none" ? [this.#plan(binding, kept.query)] : [];
  }

  /** Rows of the table, for the planner and for `count()`. */
  rowCount(binding: TableBinding): number {
    const { calls, handle, f64 } = this.#session;
    const status = calls.aerostore_table_count(handle, binding.id);
    if (status !== Status.ok) throw this.#session.error(status, { attempted: "counting rows" });
    return f64[numbers.count] ?? 0;
  }

  #plan(binding: TableBinding, query: Query): PlannedSearch {
    const plan = planQuery(query, binding.definition, this.#cardinalityOf(binding));
    return plannedOf(binding, query, plan);
  }

  #keptOf(binding: TableBinding): KeptPlans {
    const known = this.#kept.get(binding);
    if (known !== undefined) return known;
    const kept: KeptPlans = {
      rowsByText: new Map(),
      countsByText: new Map(),
      byShape: new Map(),
      groupsByText: new Map(),
    };
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

/** A query that only reads. **Throws** what `parseStapi` throws, `PARSE_ERROR` for another one. */
function parseToRead(query: unknown): Query {
  const parsed = parseStapi(query);
  const { kind } = parsed.action;
  if (parsed.aggregation !== undefined) {
    throw parseError("a search gives rows, and this query groups them", undefined, "aggregate()");
  }
  if (kind === "read") return parsed;
  throw parseError(`a search only reads, and this query has -${kind}`, undefined, "execute()");
}

/** No name of a parameter in a text has a space. */
function probeName(column: string): string {
  return `after ${column}`;
}

function namesColumn({ definition }: TableBinding, { text }: Name, name: string): boolean {
  return definition.find(text)?.name === name;
}

/** The columns of a query's sort, each once, then the key if it is not among them. */
export function pageColumns(definition: AnyTable, { sort }: Query): readonly ColumnDefinition[] {
  const columns = new Set(sort.flatMap(({ column }) => definition.find(column.text) ?? []));
  return [...columns.add(definition.key)];
}

function hasNoWindow({ limit, offset }: Query): boolean {
  return [limit, offset].every((each) => each.kind === "count" && each.count === 0);
}

function plannedOf({ definition }: TableBinding, query: Query, plan: Plan): PlannedSearch {
  const isAll = plan.fields === definition.columns;
  const fields = isAll
    ? definition.columns
    : plan.fields.flatMap(({ position }) => definition.columns[position] ?? []);
  return { query, plan, encoded: encodePlan(plan), fields };
}

function asCounted(query: Query, countOnly: boolean): Query {
  return countOnly === query.countOnly ? query : { ...query, countOnly: true };
}

function hasList(parameters: Parameters): boolean {
  for (const name in parameters) if (Array.isArray(parameters[name])) return true;
  return false;
}
