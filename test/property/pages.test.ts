/**
 * Pages by `after` against one sorted list: random orders, page sizes and values, nulls and equal
 * values among them; and beside a writer, where no row that stays is missed or comes twice.
 */
import { describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Database, PageStart, Table } from "../../src/index.ts";
import { chooseSeed, Random } from "../support/random.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const flights = defineTable("Flights", {
  id: t.string(20).primaryKey(),
  altitude: t.i32().index().nullable(),
  lat: t.decimal(2).index(),
  operator: t.string(6).index().nullable(),
  kind: t.enum(["jet", "prop"]).index(),
  ratio: t.f32(),
  speed: t.u16().nullable(),
});
type Flights = Table<typeof flights.$shape>;
type Row = typeof flights.$row;

function rowsOf(random: Random, count: number): Row[] {
  return Array.from({ length: count }, (_, index) => ({
    // Longer than a tie, and most begin alike.
    id: `${random.oneIn(3) ? "flight-0" : "f"}${index}`,
    altitude: random.oneIn(8) ? null : random.below(12) * 1_000,
    lat: (random.below(4_000) - 2_000) / 100,
    operator: random.oneIn(8) ? null : `OP${random.below(9)}`,
    kind: random.oneIn(4) ? "prop" : "jet",
    ratio: Math.fround(random.below(5) / 7),
    speed: random.oneIn(8) ? null : random.below(7),
  }));
}

const names = ["altitude", "lat", "operator", "kind", "ratio", "speed", "id"] as const;

interface Asked {
  readonly sort: readonly string[];
  readonly desc: boolean;
  readonly limit: number;
  readonly compare: readonly (readonly unknown[])[];
}

function askedBy(random: Random): Asked {
  const sort = Array.from({ length: random.between(1, 3) }, () => {
    return `${random.pick(["", "-"])}${random.pick(names)}`;
  });
  const compare = random.oneIn(2)
    ? []
    : [
        random.pick([
          [">", "altitude", 3_000],
          ["=", "kind", "jet"],
          ["<", "speed", 4],
          ["notnull", "operator"],
        ]),
      ];
  return { sort, desc: random.oneIn(3), limit: random.pick([1, 2, 7, 50]), compare };
}

describe("pages", () => {
  test("pages: one after the other are the whole, by the last row and by next", async () => {
    const seed = chooseSeed();
    const random = new Random(seed);
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table: Flights = database.table(flights);
    table.upsertMany(rowsOf(random, 300));
    for (let turn = 0; turn < 25; turn++) {
      const { sort, desc, limit, compare } = askedBy(random);
      const query: Record<string, unknown> = { sort, desc, compare };
      const search = (more: object) => table.search({ ...query, ...more });
      const whole = search({}).toArray();
      const pages: Row[] = [];
      const fields = random.oneIn(2) ? ["id"] : undefined;
      let after: PageStart | Row | readonly unknown[] | undefined;
      for (let left = whole.length + 2; left > 0; left--) {
        const page = search({ limit, after, fields });
        pages.push(...page.toArray());
        const next: PageStart | undefined = page.next;
        if (next === undefined) break;
        const last = whole[pages.length - 1];
        after = fields === undefined && last !== undefined && random.oneIn(2) ? last : next;
        if (random.oneIn(3)) after = Object.values(next);
      }
      const told = { seed, turn, sort, desc, limit, compare };
      expect({ ...told, ids: pages.map(({ id }) => id) }).toEqual({
        ...told,
        ids: whole.map(({ id }) => id),
      });
      const from = whole[Math.floor(whole.length / 2)];
      if (from === undefined) continue;
      const rest = whole.length - Math.floor(whole.length / 2) - 1;
      expect({ ...told, rest: table.count({ ...query, after: from }) }).toEqual({ ...told, rest });
    }
  }, 60_000);

  test("pages: rows that stay come once, whatever is written between them", async () => {
    const seed = chooseSeed();
    const random = new Random(seed);
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table: Flights = database.table(flights);
    table.upsertMany(rowsOf(random, 400));
    const still = new Set(
      table
        .search({ compare: ["=", "kind", "jet"] })
        .toArray()
        .map(({ id }) => id),
    );
    const seen: string[] = [];
    let after: PageStart | undefined;
    do {
      const page = table.search({ sort: ["-altitude"], limit: 16, after });
      for (const { id } of page) seen.push(id);
      after = page.next;
      for (let write = 0; write < 10; write++) {
        const id = `w${random.below(1_000)}`;
        if (random.oneIn(2)) table.upsert({ id, altitude: 500, lat: 0, kind: "prop", ratio: 0 });
        else table.delete(id);
        const prop = table.search({ compare: ["=", "kind", "prop"], limit: 1 }).first();
        if (prop !== undefined) table.delete(prop.id);
      }
    } while (after !== undefined);
    const jets = seen.filter((id) => still.has(id));
    expect({ seed, jets: jets.length }).toEqual({ seed, jets: still.size });
    expect(new Set(jets).size).toBe(still.size);
  });

  test("pages: by an index, a late page reads no more than the first", async () => {
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table: Flights = database.table(flights);
    table.upsertMany(
      Array.from({ length: 8_000 }, (_, index) => ({
        id: `f${index}`,
        altitude: index % 4,
        lat: 0,
        kind: "jet",
        ratio: 0,
      })),
    );
    for (const sort of ["altitude", "-altitude"]) {
      const cost = (after: object | undefined): number =>
        examined(database, () => {
          table.search({ sort: [sort], limit: 20, after } as never).toArray();
        });
      const whole = table.search({ sort: [sort] } as never).toArray();
      const first = cost(undefined);
      for (const at of [1_000, 3_990, 7_970]) {
        expect(cost(whole[at])).toBeLessThanOrEqual(first * 2 + 16);
      }
    }
  });

  test("pages: what does not fit the order is told with code and place", async () => {
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table = database.table("Flights");
    const mistakes: readonly (readonly [query: unknown, code: string, part: string])[] = [
      ["-after {1 x} -limit 5", "PARSE_ERROR", "-sort"],
      ["-sort altitude -after {1}", "PARSE_ERROR", "altitude id"],
      ["-sort altitude -after {1 2 3}", "PARSE_ERROR", "3 values"],
      ["-sort altitude -after {1.5 x}", "INVALID_VALUE", "altitude"],
      ["-sort lat -after {{} x}", "INVALID_VALUE", "lat"],
      ["-sort altitude -after {low x}", "INVALID_VALUE", "altitude"],
      [{ sort: "altitude", after: { id: "x" } }, "INVALID_VALUE", "altitude"],
      [{ sort: "altitude", after: { altitude: 5 } }, "INVALID_VALUE", "id"],
      [{ sort: "lat", after: { lat: null, id: "x" } }, "INVALID_VALUE", "lat"],
      ["-sort altitude -after", "PARSE_ERROR", "-after"],
    ];
    for (const [query, code, part] of mistakes) {
      const run = () => table.search(query as never).toArray();
      expect([query, await codeOf(run)]).toEqual([query, code]);
      expect(run).toThrow(part);
    }
    const page = table.prepare("-sort {-altitude} -limit 2 -after {$altitude $id}");
    expect(page.all({ altitude: null, id: "x" })).toEqual([]);
    expect(await codeOf(() => page.all({ altitude: 0.5, id: "x" }))).toBe("INVALID_VALUE");
  });
});

function examined(database: Database, run: () => unknown): number {
  const before = database.stats().counters.rowsExamined;
  run();
  return database.stats().counters.rowsExamined - before;
}
