/**
 * Prepared searches and those of other words with the same shape against the same search planned by
 * its own values: random tables, queries and values. Neither may read more than twice as many rows.
 */
import { expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Database, DynamicShape, Prepared, Table } from "../../src/index.ts";
import { chooseSeed, Random } from "../support/random.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

/** Rows that make no difference: a block of them is read and tested together. */
const blockRows = 128;
const kinds = ["jet", "prop", "helicopter", "glider"] as const;

function tableOf(name: string) {
  return defineTable(name, {
    id: t.string(12).primaryKey(),
    stamp: t.u64().index(),
    level: t.i32().index().nullable(),
    price: t.decimal(2).index(),
    ratio: t.f64().index(),
    kind: t.enum([...kinds]).index(),
    code: t.string(6).index(),
    speed: t.u16(),
  });
}

/** Values that cluster, with long tails. */
function skewed(random: Random, limit: number): number {
  return Math.floor(limit * random.next() ** random.pick([1, 3, 8]));
}

function fill(database: Database, random: Random, name: string, rows: number): void {
  database.createTable(tableOf(name));
  const table = database.table(tableOf(name));
  table.upsertMany(
    Array.from({ length: rows }, (_, index) => ({
      id: `k${index}`,
      stamp: index,
      level: random.oneIn(9) ? null : skewed(random, 40_000),
      price: skewed(random, 1_000_000) / 100,
      ratio: random.next() ** 4,
      kind: random.oneIn(50) ? random.pick(kinds) : "jet",
      code: `C${skewed(random, 900)}`,
      speed: random.below(600),
    })),
  );
}

/** A value of a column, sometimes one that it cannot hold. */
function valueOf(random: Random, column: string, rows: number): string | number {
  switch (column) {
    case "stamp":
      return random.pick([rows - random.below(20), random.below(rows), rows * 2, -1, 3.5]);
    case "level":
      return random.pick([skewed(random, 40_000), 39_990, -5, 1e12]);
    case "price":
      return random.pick([skewed(random, 1_000_000) / 100, 9_990, 12.345]);
    case "ratio":
      return random.pick([random.next(), random.next() ** 4, 0.999]);
    case "kind":
      return random.pick(kinds);
    case "code":
      return `C${skewed(random, 900)}`;
    default:
      return random.below(600);
  }
}

const columns = ["stamp", "level", "price", "ratio", "kind", "code", "speed"];
const patterns = ["C1*", "C89?", "*7", "C*", "c12*"];

interface Template {
  /** With `$0`, `$1` … where values stand. */
  readonly text: string;
  readonly columns: readonly string[];
}

function templateOf(random: Random): Template {
  const used: string[] = [];
  const place = (column: string): string => {
    used.push(column);
    return `$p${used.length - 1}`;
  };
  const clause = (): string => {
    const column = random.pick(columns);
    switch (random.below(column === "code" ? 6 : 5)) {
      case 0:
        return `{= ${column} ${place(column)}}`;
      case 1:
        return `{range ${column} ${place(column)} ${place(column)}}`;
      case 2:
        return `{in ${column} {${place(column)} ${place(column)}}}`;
      case 5:
        return `{match_case code ${place("pattern")}}`;
      default:
        return `{${random.pick(["<", "<=", ">", ">="])} ${column} ${place(column)}}`;
    }
  };
  const list = (most: number): string =>
    Array.from({ length: random.between(1, most) }, clause).join(" ");
  let text = `-compare {${list(3)}}`;
  if (random.oneIn(5)) text += ` -or {{${list(1)}} {${list(1)}}}`;
  if (random.oneIn(2)) text += ` -sort {${random.pick(["", "-"])}${random.pick(columns)}}`;
  if (random.oneIn(2)) text += ` -limit ${random.oneIn(2) ? place("limit") : "20"}`;
  return { text, columns: used };
}

function examinedBy(database: Database, run: () => unknown): number {
  const before = database.stats().counters.rowsExamined;
  run();
  return database.stats().counters.rowsExamined - before;
}

test("prepared: no plan reads more than twice the rows of the plan by the values", async () => {
  const seed = chooseSeed();
  const random = new Random(seed);
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ maxBytes: 64 << 20 });
  const problems: string[] = [];
  for (const [index, rows] of [1_500, 20_000].entries()) {
    fill(database, random, `t${index}`, rows);
    const table: Table<DynamicShape> = database.table(`t${index}`);
    for (let turn = 0; turn < 60; turn++) {
      const template = templateOf(random);
      const prepared: Prepared<DynamicShape> = table.prepare(template.text);
      for (let bound = 0; bound < 8; bound++) {
        const values = template.columns.map((column) => {
          if (column === "limit") return random.pick([1, 10, 500, 0]);
          return column === "pattern" ? random.pick(patterns) : valueOf(random, column, rows);
        });
        let text = template.text;
        for (const [at, value] of [...values.entries()].reverse()) {
          text = text.replaceAll(`$p${at}`, String(value));
        }
        const parameters = Object.fromEntries(values.map((value, at) => [`p${at}`, value]));
        const own = table.explain(text, { analyze: true }).measured?.examined ?? 0;
        const ways = {
          prepared: examinedBy(database, () => prepared.all(parameters)),
          words: examinedBy(database, () => table.search(text).toArray()),
        };
        for (const [way, examined] of Object.entries(ways)) {
          if (examined <= own * 2 + blockRows) continue;
          problems.push(`${way} read ${examined} rows, not ${own}: ${text}, as ${template.text}`);
        }
        expect(prepared.count(parameters)).toBe(table.count(text));
      }
    }
  }
  expect({ seed, problems: problems.slice(0, 5), count: problems.length }).toEqual({
    seed,
    problems: [],
    count: 0,
  });
}, 120_000);
