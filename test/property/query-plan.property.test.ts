/** Plans mean what their queries mean, for random tables, rows, queries and cardinalities. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Cardinality } from "../../src/query/plan/cardinality.ts";
import { bindParameters, encodePlan } from "../../src/query/plan/encode.ts";
import { explain } from "../../src/query/plan/explain.ts";
import { plan } from "../../src/query/plan/planner.ts";
import { shapeOf } from "../../src/query/parse/fingerprint.ts";
import { param } from "../../src/query/parse/parameter.ts";
import { parseStapi } from "../../src/query/parse/stapi.ts";
import type { AnyTable } from "../../src/schema/table.ts";
import {
  arbitraryCase,
  matchingRows,
  type ModelCase,
  type ModelClause,
  type ModelQuery,
  type ModelRow,
  windowOf,
} from "./query-model.ts";
import { readPlan, runPlan } from "./query-plan-reader.ts";

const runs = Number(process.env["AEROSTORE_PROPERTY_RUNS"] ?? 4_000);
const seedText = process.env["AEROSTORE_PROPERTY_SEED"];
const options = { numRuns: runs, ...(seedText === undefined ? {} : { seed: Number(seedText) }) };

/** Cardinalities that make different routes look good: any function of the bounds will do. */
const arbitraryCardinality: fc.Arbitrary<Cardinality> = fc
  .record({ rows: fc.constantFrom(0, 10, 1_000, 1_000_000), salt: fc.nat(1_000) })
  .map(({ rows, salt }) => ({
    rowCount: () => rows,
    estimateRange: (column, low, high) => {
      const bits = [column, salt, ...(low ?? [7]), ...(high ?? [9])];
      return bits.reduce((sum, each) => (sum * 31 + each) % 1_009, 1) % Math.max(rows, 1);
    },
  }));

function keysOf(table: AnyTable, rows: readonly ModelRow[]): readonly string[] {
  return rows.map((row) => String(row[table.key.name]));
}

function expectSameRows({ table, rows, query }: ModelCase, bytes: Uint8Array): void {
  const read = readPlan(bytes, table);
  const found = keysOf(table, runPlan(read, rows));
  const expected = keysOf(table, matchingRows({ table, rows, query }));
  const isSingle = expected.length < 2;
  if ((query.sort?.length ?? 0) > 0 && !isSingle) {
    expect(found).toEqual([...expected]);
  } else {
    expect([...found].sort()).toEqual([...expected].sort());
  }
  expect([read.offset, read.limit]).toEqual([query.offset ?? 0, query.limit ?? 0]);
  expect(windowOf(query, []).length).toBe(0);
}

test("plan: random queries find the rows that they mean, in their order", () => {
  fc.assert(
    fc.property(arbitraryCase, arbitraryCardinality, (each, cardinality) => {
      const made = plan(parseStapi(each.query), each.table, cardinality);
      expectSameRows(each, encodePlan(made).bytes);
      expect(String(explain(made)).startsWith("search model by ")).toBeTrue();
    }),
    options,
  );
});

function shuffled<T>(items: readonly T[], order: readonly number[]): readonly T[] {
  return items
    .map((item, index) => ({ item, rank: order[index] ?? 0 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

test("plan: the order of clauses, groups and list members leaves no trace", () => {
  const order = fc.array(fc.nat(), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(arbitraryCase, arbitraryCardinality, order, (each, cardinality, ranks) => {
      const { table, query } = each;
      const turn = (clauses: readonly ModelClause[]): readonly ModelClause[] =>
        shuffled(clauses, ranks).map(([operator, column, ...rest]) => [
          operator,
          column,
          ...rest.map((value) => (Array.isArray(value) ? [...value, ...value].reverse() : value)),
        ]);
      const turned: ModelQuery = {
        ...query,
        compare: [...turn(query.compare), ...query.compare.slice(0, 1)],
        ...(query.or === undefined ? {} : { or: shuffled(query.or.map(turn), ranks) }),
      };
      const a = encodePlan(plan(parseStapi(query), table, cardinality));
      const b = encodePlan(plan(parseStapi(turned), table, cardinality));
      expect(Buffer.from(b.bytes).equals(a.bytes)).toBeTrue();
    }),
    options,
  );
});

/** The query with some values as parameters, and what they are bound to. */
function withParameters(
  query: ModelQuery,
  choice: readonly boolean[],
): { readonly query: ModelQuery; readonly values: Record<string, unknown> } {
  const values: Record<string, unknown> = {};
  let count = 0;
  const replace = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(replace);
    if (!choice[count++ % choice.length]) return value;
    const name = `p${count}`;
    values[name] = value;
    return param(name);
  };
  const clause = ([operator, column, ...rest]: ModelClause): ModelClause => [
    operator,
    column,
    ...rest.map(replace),
  ];
  const compare = query.compare.map(clause);
  const or = query.or?.map((group) => group.map(clause));
  return { query: { ...query, compare, ...(or === undefined ? {} : { or }) }, values };
}

test("plan: bound parameters find the rows that the values would", () => {
  const choice = fc.array(fc.boolean(), { minLength: 5, maxLength: 5 });
  fc.assert(
    fc.property(arbitraryCase, arbitraryCardinality, choice, (each, cardinality, chosen) => {
      const { query, values } = withParameters(each.query, chosen);
      const encoded = encodePlan(plan(parseStapi(query), each.table, cardinality));
      // Binding is repeatable: what an earlier one wrote leaves no trace.
      const names = Object.keys(values);
      bindParameters(encoded, values);
      const first = encoded.bytes.slice();
      bindParameters(encoded, values);
      expect(names.length === 0 || Buffer.from(first).equals(encoded.bytes)).toBeTrue();
      expectSameRows(each, encoded.bytes);
    }),
    options,
  );
});

test("plan: a query's shape with its values finds the rows that the query does", () => {
  fc.assert(
    fc.property(arbitraryCase, arbitraryCardinality, (each, cardinality) => {
      const shape = shapeOf(parseStapi(each.query));
      if (shape === undefined) return;
      const encoded = encodePlan(plan(shape.query, each.table, cardinality));
      bindParameters(encoded, shape.parameters);
      expectSameRows(each, encoded.bytes);
    }),
    options,
  );
});

test("plan: queries of one shape differ in values of comparisons and ranges only", () => {
  const keyOf = (query: string): string | undefined => shapeOf(parseStapi(query))?.key;
  const same = keyOf("-compare {{= a 1} {range b 2 3}} -sort a -limit 5");
  expect(keyOf("-compare {{= a x} {range b y 7}} -sort a -limit 5")).toBe(same);
  const others = [
    "-compare {{= a 1} {range b 2 3}} -sort a -limit 6",
    "-compare {{= a 1} {range b 2 3}} -sort -a -limit 5",
    "-compare {{= a 1} {range b 2 3}} -sort a -limit 5 -desc",
    "-compare {{= a 1} {range b 2 3}} -sort a -limit 5 -fields a",
    "-compare {{= a 1} {range b 2 3}} -sort a -limit 5 -offset 1",
    "-compare {{= a 1} {range b 2 3}} -sort a -limit 5 -countOnly 1",
    "-compare {{= a 1}} -or {{{range b 2 3}}} -sort a -limit 5",
    "-compare {{!= a 1} {range b 2 3}} -sort a -limit 5",
    "-compare {{= a $p} {range b 2 3}} -sort a -limit 5",
    "-compare {{in a 1} {range b 2 3}} -sort a -limit 5",
    "-compare {{in a 2} {range b 2 3}} -sort a -limit 5",
    "-compare {{match a 1} {range b 2 3}} -sort a -limit 5",
    "-compare {{match a 2} {range b 2 3}} -sort a -limit 5",
    "-compare {{null a} {range b 2 3}} -sort a -limit 5",
    "-compare {{notnull a} {range b 2 3}} -sort a -limit 5",
  ];
  expect(new Set([same, ...others.map(keyOf)]).size).toBe(others.length + 1);
  expect(keyOf("-compare {= a 1} -delete 1")).toBeUndefined();
});
