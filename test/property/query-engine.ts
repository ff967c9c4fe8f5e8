/**
 * Random tables, rows and queries through the engine, by every route that the planner knows, inside
 * and outside of a transaction that has changed rows, against what `query-model.ts` says.
 */
import fc from "fast-check";
import type { Database } from "../../src/index.ts";
import { encodePlan } from "../../src/query/plan/encode.ts";
import { plansByRoute } from "../../src/query/plan/planner.ts";
import type { Plan } from "../../src/query/plan/planner.ts";
import { assumedCardinality } from "../../src/query/plan/cardinality.ts";
import { parseStapi } from "../../src/query/parse/stapi.ts";
import type { AnyTable } from "../../src/schema/table.ts";
import type { Scope } from "../../src/database/scope.ts";
import type { Transaction } from "../../src/database/transaction.ts";
import { Random } from "../support/random.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";
import {
  arbitraryQuery,
  arbitraryRows,
  arbitraryTableNamed,
  matchingRows,
  type ModelQuery,
  type ModelRow,
  windowOf,
} from "./query-model.ts";

export interface EngineReport {
  /** Each with what replays it. */
  readonly problems: readonly string[];
  readonly queries: number;
  /** Executions, one for each query and route. */
  readonly executions: number;
}

/** A segment has room for 256 tables for ever; small ones attach quickly. */
const tablesPerDatabase = 40;
const problemsMax = 5;

/** `tables` random tables with `queries` random queries each. */
export async function runQueries(options: {
  readonly seed: number;
  readonly tables: number;
  readonly queries: number;
}): Promise<EngineReport> {
  const random = new Random(options.seed);
  const totals = { problems: [] as string[], queries: 0, executions: 0 };
  for (let done = 0; done < options.tables; done += tablesPerDatabase) {
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    const count = Math.min(tablesPerDatabase, options.tables - done);
    for (let index = 0; index < count && totals.problems.length < problemsMax; index++) {
      const seed = random.below(2 ** 31);
      runTable(database, `t${index}`, seed, options.queries, totals);
    }
  }
  return totals;
}

function sample<T>(arbitrary: fc.Arbitrary<T>, seed: number, numRuns: number): readonly T[] {
  return fc.sample(arbitrary, { seed, numRuns });
}

function runTable(
  database: Database,
  name: string,
  seed: number,
  queries: number,
  totals: { problems: string[]; queries: number; executions: number },
): void {
  const [table] = sample(arbitraryTableNamed(name), seed, 1);
  if (table === undefined) return;
  database.createTable(table);
  const [first = [], second = [], third = []] = sample(arbitraryRows(table), seed, 3);
  database.table(table).upsertMany(first);
  const check = (transaction: Transaction, seen: readonly ModelRow[], part: number): void => {
    for (const query of sample(arbitraryQuery(table), seed + part, Math.ceil(queries / 3))) {
      totals.queries++;
      for (const plan of plansOf(table, query, seen.length)) {
        totals.executions++;
        const problem = compare(transaction.scope, table, seen, query, plan);
        if (problem === undefined) continue;
        const text = JSON.stringify(query, (_, value: unknown) =>
          typeof value === "bigint" ? `${value}n` : value,
        );
        totals.problems.push(`table seed ${seed}, part ${part}, ${text}: ${problem}`);
      }
    }
  };
  // Old versions and their index entries stay for the first reader.
  using before = database.begin({ readOnly: true });
  using change = database.begin();
  const changed = changeRows(change, table, first, second);
  change.commit();
  using after = database.begin({ readOnly: true });
  check(before, first, 0);
  check(after, changed, 1);
  using writer = database.begin();
  check(writer, changeRows(writer, table, changed, third), 2);
}

/** Deletes some rows and writes others; what the transaction sees then. */
function changeRows(
  transaction: Transaction,
  table: AnyTable,
  rows: readonly ModelRow[],
  changed: readonly ModelRow[],
): readonly ModelRow[] {
  const target = transaction.table(table);
  const key = (row: ModelRow): string => String(row[table.key.name]);
  const seen = new Map(rows.map((row) => [key(row), row]));
  for (const [index, row] of rows.entries()) {
    if (index % 4 !== 0) continue;
    target.delete(row[table.key.name] ?? 0);
    seen.delete(key(row));
  }
  for (const row of changed) {
    target.upsert(row);
    seen.set(key(row), row);
  }
  return [...seen.values()];
}

function plansOf(table: AnyTable, query: ModelQuery, rows: number): readonly Plan[] {
  const cardinality = assumedCardinality(rows);
  const parsed = parseStapi(query);
  return [
    ...plansByRoute(parsed, table, cardinality),
    ...plansByRoute({ ...parsed, countOnly: true }, table, cardinality),
  ];
}

/** What is wrong with the rows that a plan finds. */
function compare(
  scope: Scope,
  table: AnyTable,
  seen: readonly ModelRow[],
  query: ModelQuery,
  plan: Plan,
): string | undefined {
  const { searches, catalog } = scope.handle;
  const planned = {
    query: parseStapi(query),
    plan,
    encoded: encodePlan(plan),
    fields: table.columns,
  };
  const matching = matchingRows({ table, rows: seen, query });
  const expected = windowOf(query, matching);
  const route = describeRoute(plan);
  using result = searches.rows(table, catalog.bind(table), { planned, parameters: {} }, scope);
  if (plan.countOnly) {
    if (result.length === expected.length) return undefined;
    return `${result.length} rows counted by ${route}, not ${expected.length}`;
  }
  const found = result.toArray();
  if (found.length !== expected.length) {
    return `${found.length} rows by ${route}, not ${expected.length}`;
  }
  const isOrdered = (query.sort ?? []).length > 0;
  const left = new Map(matching.map((row) => [String(row[table.key.name]), row]));
  for (const [index, row] of found.entries()) {
    const name = String(Reflect.get(row, table.key.name));
    const should = isOrdered ? expected[index] : left.get(name);
    left.delete(name);
    if (should === undefined || !Bun.deepEquals(row, should)) {
      return `row ${index} by ${route} is ${name}, a wrong one`;
    }
  }
  return undefined;
}

function describeRoute({ route, walk }: Plan): string {
  if (route.kind !== "arms") return route.kind;
  const arms = route.arms.map(({ kind, column }) => `${kind} ${column.name}`);
  return `${walk ? "walk of " : ""}${arms.join(" or ")}`;
}
