import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { defineTable, FlightState, param, t } from "../../src/index.ts";
import type { Database, Table } from "../../src/index.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Things = defineTable("things", {
  id: t.string(8).primaryKey(),
  rank: t.i32().index(),
  code: t.string(8).unique().nullable(),
  note: t.string(40).default("none"),
  wide: t.u64().nullable(),
});
type Thing = typeof Things.$row;

const one: Thing = { id: "a", rank: 1, code: "A", note: "first", wide: null };

let temporary: TemporaryDatabase;
let db: Database;
let things: Table<(typeof Things)["$shape"]>;

beforeAll(async () => {
  temporary = new TemporaryDatabase();
  db = await temporary.open({ tables: [Things, FlightState] });
  things = db.table(Things);
});
afterAll(() => temporary[Symbol.dispose]());
beforeEach(() => {
  things.deleteWhere("-compare {}");
});

const fill = (count: number): void => {
  things.upsertMany(Array.from({ length: count }, (_, rank) => ({ id: `k${rank}`, rank })));
};

describe("rows", () => {
  test("table: upsert inserts, then changes the named columns only", () => {
    expect(things.upsert({ id: "a", rank: 1, code: "A" })).toBe(true);
    expect(things.get("a")).toEqual({ id: "a", rank: 1, code: "A", note: "none", wide: null });
    expect(things.upsert({ id: "a", note: "x" })).toBe(false);
    expect(things.get("a")).toEqual({ id: "a", rank: 1, code: "A", note: "x", wide: null });
    expect(things.upsert({ id: "a", code: null, wide: 2n ** 63n })).toBe(false);
    expect(things.get("a")).toMatchObject({ rank: 1, code: null, wide: 2n ** 63n });
  });

  test("table: an insert without a column that it needs is INVALID_VALUE", async () => {
    expect(await codeOf(() => things.upsert({ id: "a" }))).toBe("INVALID_VALUE");
    expect(() => things.upsert({ id: "a" })).toThrow(
      expect.objectContaining({ table: "things", column: "rank", key: "a" }),
    );
    expect(things.count()).toBe(0);
  });

  test("table: insert refuses a taken key with DUPLICATE_KEY", () => {
    things.insert(one);
    expect(() => things.insert({ ...one, code: "B" })).toThrow(
      expect.objectContaining({ code: "DUPLICATE_KEY", table: "things", key: "a" }),
    );
    expect(things.get("a")).toEqual(one);
  });

  test("table: update and delete tell whether the row is there", () => {
    expect(things.update("a", { rank: 2 })).toBe(false);
    expect(things.delete("a")).toBe(false);
    things.insert(one);
    expect(things.update("a", { rank: 2 })).toBe(true);
    expect(things.update("a", { rank: 2 })).toBe(true);
    expect(things.update("a", {})).toBe(true);
    expect(things.get("a")).toEqual({ ...one, rank: 2 });
    expect(things.delete("a")).toBe(true);
    expect(things.get("a")).toBeUndefined();
  });

  test("table: a unique clash is DUPLICATE_KEY with the column; nulls never clash", () => {
    things.insert(one);
    expect(() => things.insert({ id: "b", rank: 2, code: "A" })).toThrow(
      expect.objectContaining({ code: "DUPLICATE_KEY", column: "code" }),
    );
    things.insert({ id: "b", rank: 2, code: null });
    things.insert({ id: "c", rank: 2 });
    expect(things.count()).toBe(3);
  });

  test("table: upsertMany counts what it did, in batches", () => {
    const rows = Array.from({ length: 2_500 }, (_, rank) => ({ id: `k${rank}`, rank }));
    expect(things.upsertMany(rows)).toEqual({
      inserted: 2_500,
      updated: 0,
      unchanged: 0,
      stale: 0,
    });
    const again = [
      { id: "k1", rank: 1 },
      { id: "k2", rank: 7 },
      { id: "z", rank: 0 },
    ];
    const counts = { inserted: 1, updated: 1, unchanged: 1, stale: 0 };
    expect(things.upsertMany(again, { batch: 2 })).toEqual(counts);
    expect(things.upsertMany([])).toEqual({ inserted: 0, updated: 0, unchanged: 0, stale: 0 });
  });

  test("table: with newestBy an equal stamp is applied and an older one is stale", () => {
    things.upsertMany([{ id: "a", rank: 5, note: "old" }]);
    const rows = [
      { id: "a", rank: 5, note: "equal" },
      { id: "a", rank: 4, note: "older" },
    ];
    const counts = things.upsertMany(rows, { newestBy: "rank" });
    expect(counts).toEqual({ inserted: 0, updated: 1, unchanged: 0, stale: 1 });
    expect(things.get("a")?.note).toBe("equal");
    expect(() => things.upsertMany([], { newestBy: "rang" })).toThrow('did you mean "rank"?');
  });

  test("table: a bad row leaves its batch undone and earlier batches in", async () => {
    const rows = [
      { id: "a", rank: 1 },
      { id: "b", rank: 2 },
      { id: "c", rank: 3 },
      { id: "d", rank: 1e10 },
    ];
    expect(await codeOf(() => things.upsertMany(rows, { batch: 2 }))).toBe("INVALID_VALUE");
    expect(
      things
        .search("-sort id")
        .toArray()
        .map(({ id }) => id),
    ).toEqual(["a", "b"]);
    expect(await codeOf(() => things.upsertMany(rows, { batch: 0 }))).toContain("RangeError");
  });

  test("table: a new row of a batch without a column that it needs names column and key", () => {
    const rows = [{ id: "a", rank: 1 }, { id: "b" }];
    // The types refuse it; what comes from elsewhere does not pass them.
    const batch: () => unknown = () => Reflect.apply(things.upsertMany, things, [rows]);
    const expected = { code: "INVALID_VALUE", table: "things", column: "rank", key: "b" };
    expect(batch).toThrow(expect.objectContaining(expected));
    expect(things.count()).toBe(0);
  });

  test("table: rows of a generator may read the table meanwhile", () => {
    fill(3);
    function* doubled(): Generator<{ id: string; rank: number }> {
      for (const id of ["k0", "k1", "k2"]) yield { id, rank: (things.get(id)?.rank ?? 0) * 2 };
    }
    expect(things.upsertMany(doubled()).updated).toBe(2);
    expect(things.get("k2")?.rank).toBe(4);
  });

  test("table: ingest takes any source, also an empty one", async () => {
    const empty = { rows: 0, inserted: 0, rejected: 0 };
    expect(await things.ingestTsv("")).toMatchObject(empty);
    expect(await things.ingest(new Uint8Array(0), { format: "csv" })).toMatchObject(empty);
    const text = Array.from({ length: 30_000 }, (_, rank) => `k${rank},${rank}`).join("\n");
    const options = { format: "csv", header: true, batch: 7_000 } as const;
    const report = await things.ingest(new Blob(["id,rank\n", text]), options);
    expect(report).toMatchObject({ rows: 30_000, inserted: 30_000, rejected: 0, batches: 5 });
    const json = '{"id":"z","rank":-1,"unheard":1}\n';
    expect(await things.ingest(json, { format: "ndjson" })).toMatchObject({ inserted: 1 });
    expect(things.count()).toBe(30_001);
  });

  test("table: a line that the table refuses costs its batch nothing", async () => {
    things.insert({ id: "taken", rank: 0, code: "C5" });
    const lines = Array.from({ length: 20 }, (_, rank) => `k${rank}\t${rank}\tC${rank}\tx\t0\n`);
    const report = await things.ingestTsv(lines.join(""));
    expect(report).toMatchObject({ rows: 20, inserted: 19, rejected: 1 });
    expect(things.get("k5")).toBeUndefined();
  });

  test("table: ingest reads lines, and tells what it could not read", async () => {
    const rejects: unknown[] = [];
    const report = await things.ingestTsv("a\t1\tA\tx\t7\nb\tone\n\nc\t3\tC\ty\t9\n", {
      onReject: (reject) => rejects.push(reject),
    });
    expect(report).toMatchObject({ rows: 3, inserted: 2, rejected: 1 });
    expect(rejects).toEqual([expect.objectContaining({ line: 2 })]);
    expect(things.get("c")).toEqual({ id: "c", rank: 3, code: "C", note: "y", wide: 9 });
  });
});

describe("searches", () => {
  test("search: rows, order, window, fields", () => {
    fill(20);
    expect(things.search().length).toBe(20);
    const page = things.search(
      "-compare {>= rank 5} -sort -rank -limit 3 -offset 1 -fields {rank}",
    );
    expect(page.toArray()).toEqual([
      { rank: 18 },
      { rank: 17 },
      { rank: 16 },
    ] as object[] as Thing[]);
    const query = { compare: [["in", "rank", [3, 3, 4]]], sort: "rank" } as const;
    expect(things.search(query).column("rank")).toEqual(new Int32Array([3, 4]));
    expect(things.search(["-compare", "{= id k7}"]).first()?.rank).toBe(7);
    expect(things.search("-compare {= id nobody}").first()).toBeUndefined();
  });

  test("search: count is that of the window, and countOnly has no rows", () => {
    fill(20);
    expect(things.count()).toBe(20);
    expect(things.count("-compare {< rank 10} -limit 4 -offset 8")).toBe(2);
    const result = things.search("-compare {< rank 10} -countOnly 1");
    expect([result.length, result.toArray()]).toEqual([10, []]);
  });

  test("search: a result stays as it was when rows change", () => {
    fill(3);
    const result = things.search("-sort rank");
    things.deleteWhere("-compare {}");
    expect(result.column("rank")).toEqual(new Int32Array([0, 1, 2]));
  });

  test("search: a long result comes in batches of one snapshot", () => {
    fill(5_000);
    const result = things.search("-sort rank");
    const ranks: number[] = [];
    for (const row of result) {
      if (row.rank % 1_000 === 0) things.delete(`k${row.rank + 500}`);
      ranks.push(row.rank);
    }
    expect(ranks).toEqual(Array.from({ length: 5_000 }, (_, rank) => rank));
    expect(things.count()).toBe(4_995);
  });

  test("search: a long result that is left lets its snapshot go", () => {
    fill(5_000);
    for (const _ of things.search()) break;
    {
      using _unread = things.search();
    }
    expect(db.stats().sessions.every(({ snapshotCsn }) => snapshotCsn === 0)).toBe(true);
  });

  test("search: mistakes are told with code and place", async () => {
    expect(await codeOf(() => things.search("-compare {> rank"))).toBe("PARSE_ERROR");
    expect(await codeOf(() => things.search("-compare {> rang 1}"))).toBe("UNKNOWN_FIELD");
    expect(await codeOf(() => things.search("-compare {> rank x}"))).toBe("INVALID_VALUE");
    expect(await codeOf(() => things.search("-limit -1"))).toBe("PARSE_ERROR");
    // @ts-expect-error not a query
    expect(await codeOf(() => things.search(7))).toContain("TypeError");
  });

  test("search: a kept plan follows the table", () => {
    const query = "-compare {> rank 100} -sort rank -limit 2";
    for (let index = 0; index < 200; index++) {
      if (index === 60) fill(3_000);
      expect(things.search(query).length).toBe(index < 60 ? 0 : 2);
    }
    expect(things.explain(query).estimates.tableRows).toBeGreaterThanOrEqual(3_000);
  });

  test("search: explain shows the plan, and analyze what it took", () => {
    const flights = db.table(FlightState);
    const rest = { lat: 0, lon: 0, gs: 0, updated_at: 0 };
    flights.upsertMany(
      Array.from({ length: 2_000 }, (_, altitude) => ({
        flight_id: `F${altitude}`,
        altitude,
        ...rest,
      })),
    );
    const plan = flights.explain("-compare {> altitude 1990}");
    expect(plan).toMatchObject({ table: "FlightState", route: "index", measured: undefined });
    const measured = flights.explain("-compare {> altitude 1990}", { analyze: true }).measured;
    expect(measured).toMatchObject({ returned: 9 });
    expect(measured?.examined).toBeLessThan(50);
    const sorted = flights.explain("-compare {> gs -1} -sort {-lat gs} -limit 9", {
      analyze: true,
    });
    expect(sorted.measured).toMatchObject({ examined: 2_000, returned: 9 });
    const { read, test: tested, sort, copy } = sorted.measured?.steps ?? {};
    const steps = [read, tested, sort, copy].map((each) => each ?? 0);
    expect(steps.every((each) => each > 0)).toBe(true);
    const sum = steps.reduce((total, each) => total + each, 0);
    expect(sum).toBeLessThanOrEqual(sorted.measured?.elapsedMs ?? 0);
  });

  test("search: prepared searches bind by name", async () => {
    fill(50);
    const prepared = things.prepare(
      "-compare {{>= rank $low} {< rank $high}} -sort rank -limit $n",
    );
    expect(prepared.all({ low: 3, high: 9, n: 2 }).map(({ rank }) => rank)).toEqual([3, 4]);
    expect(prepared.all({ low: 8, high: 9, n: 2 }).map(({ rank }) => rank)).toEqual([8]);
    expect(prepared.first({ low: 40, high: 99, n: 1 })?.rank).toBe(40);
    expect(prepared.count({ low: 40, high: 99, n: 4 })).toBe(4);
    expect(await codeOf(() => prepared.all({ low: 3 }))).toBe("INVALID_VALUE");
    expect(await codeOf(() => prepared.all({ low: 3, high: 9, n: 2, m: 1 }))).toBe("INVALID_VALUE");
    expect(prepared.count({ low: 0, high: 99, n: 0 })).toBe(50);
  });

  test("search: updateWhere and deleteWhere give the rows found, with sort and limit", async () => {
    fill(10);
    expect(things.updateWhere("-compare {< rank 4}", { note: "low" })).toBe(4);
    expect(things.updateWhere("-compare {< rank 4}", { note: "low" })).toBe(4);
    expect(things.count("-compare {= note low}")).toBe(4);
    expect(things.deleteWhere("-sort -rank -limit 3")).toBe(3);
    expect(things.search("-sort -rank").first()?.rank).toBe(6);
    expect(things.updateWhere("-compare {= id nobody}", { note: "x" })).toBe(0);
    expect(await codeOf(() => things.deleteWhere("-compare {= id $id}"))).toBe("INVALID_VALUE");
    expect(await codeOf(() => things.updateWhere("-limit $n", {}))).toBe("INVALID_VALUE");
    const wrong = (): unknown => things.updateWhere("-compare {= id nobody}", { rank: 1e10 });
    expect(await codeOf(wrong)).toBe("INVALID_VALUE");
  });

  test("search: a text that changes rows is refused by all that reads", async () => {
    fill(10);
    for (const query of ["-delete 1", "-compare {= rank 1} -update {rank 5}", { delete: true }]) {
      for (const call of [
        () => things.search(query),
        () => things.count(query),
        () => things.prepare(query),
      ]) {
        expect(await codeOf(call)).toBe("PARSE_ERROR");
      }
    }
    expect(await codeOf(() => things.execute("-limit 3"))).toBe("PARSE_ERROR");
    expect(things.count()).toBe(10);
  });

  test("search: all rows are changed only when the query says so", async () => {
    fill(10);
    const unsaid = ["", "-sort rank", {}, undefined, { compare: undefined }, { compare: [] }, []];
    for (const query of [...unsaid, { all: false }, { limit: 0 }] as never[]) {
      expect(await codeOf(() => things.deleteWhere(query))).toContain("TypeError");
      expect(await codeOf(() => things.updateWhere(query, { rank: 5 }))).toContain("all: true");
    }
    expect(things.count("-compare {!= rank 5}")).toBe(9);
    expect(things.updateWhere({ all: true }, { rank: 5 })).toBe(10);
    expect(things.updateWhere("-compare {} -limit 4", { rank: 6 })).toBe(4);
    expect(things.deleteWhere("-limit 2")).toBe(2);
    expect(things.deleteWhere("-compare {}")).toBe(8);
  });

  test("search: in the object form text is data, and param is the parameter", async () => {
    things.insert({ id: "$SPX", rank: 1 });
    expect(things.search({ compare: [["=", "id", "$SPX"]] }).length).toBe(1);
    expect(things.count({ compare: [["in", "id", ["$SPX", "$NDX"]]] })).toBe(1);
    expect(things.prepare({ compare: [["=", "id", param("id")]] }).count({ id: "$SPX" })).toBe(1);
    expect(await codeOf(() => things.search({ compare: [["in", "id", "a b"]] } as never))).toBe(
      "PARSE_ERROR",
    );
    expect(await codeOf(() => param("no name"))).toContain("RangeError");
  });

  test("search: -update and -delete in the text form", () => {
    fill(3_000);
    const updated = things.execute("-compare {< rank 2000} -update {note seen wide 5}");
    expect(updated).toBe(2_000);
    expect(things.count("-compare {{= note seen} {= wide 5}}")).toBe(2_000);
    expect(things.execute("-compare {>= rank 10} -delete 1")).toBe(2_990);
    expect(things.count()).toBe(10);
    const text = "-compare {= id $id} -update {note $note}";
    expect(things.execute(text, { id: "k1", note: "bound" })).toBe(1);
    expect(things.get("k1")?.note).toBe("bound");
  });

  test("search: an update that moves rows along the searched index finds each once", () => {
    fill(100);
    expect(things.updateWhere("-compare {>= rank 0} -sort rank", { rank: 1_000 })).toBe(100);
    expect(things.count("-compare {= rank 1000}")).toBe(100);
  });
});

describe("the handle", () => {
  test("database: tables by name are typed at run time", async () => {
    things.insert(one);
    const table = db.table("things");
    expect(table.get("a")).toEqual(one);
    expect(table.search("-compare {= rank 1}").toArray()).toEqual([one]);
    expect(db.tables().map(({ name }) => name)).toContain("FlightState");
    expect(await codeOf(() => db.table("thinks"))).toBe("UNKNOWN_TABLE");
    expect(() => db.table("thinks")).toThrow('did you mean "things"?');
    const other = defineTable("other", { id: t.i8().primaryKey() });
    expect(await codeOf(() => db.table(other))).toBe("UNKNOWN_TABLE");
  });

  test("database: another schema is SCHEMA_MISMATCH with the differences", async () => {
    const declared = defineTable("things", {
      id: t.string(8).primaryKey(),
      rank: t.i64().index(),
      code: t.string(8).unique().nullable(),
      extra: t.bool(),
    });
    expect(await codeOf(() => db.table(declared))).toBe("SCHEMA_MISMATCH");
    expect(() => db.createTable(declared)).toThrow("rank: stored i32, declared i64");
    expect(await codeOf(() => temporary.open({ tables: [declared] }))).toBe("SCHEMA_MISMATCH");
  });

  test("database: settings are checked, and shared by all handles", async () => {
    using other = await temporary.open();
    db.setConfig("aerostore.wal_flush_interval_ms", "25");
    expect(other.getConfig("aerostore.wal_flush_interval_ms")).toBe("25");
    db.setConfig("aerostore.wal_flush_interval_ms", 10);
    expect(db.getConfig("aerostore.synchronous_commit")).toBe("off");
    expect(db.config()).toMatchObject({ "aerostore.checkpoint_interval_secs": "300" });
    const refused: readonly [string, string | number | boolean][] = [
      ["aerostore.synchronous_commit", "maybe"],
      ["aerostore.wal_flush_interval_ms", 0],
      ["aerostore.checkpoint_interval_secs", -1],
      ["aerostore.checkpoint_interval_secs", "1.5"],
    ];
    for (const [key, value] of refused) {
      expect(await codeOf(() => db.setConfig(key, value))).toBe("INVALID_VALUE");
    }
    expect(await codeOf(() => db.getConfig("aerostore.nothing"))).toBe("UNKNOWN_FIELD");
  });

  test("database: synchronous commits are on disk when they return", () => {
    db.setConfig("aerostore.synchronous_commit", "on");
    try {
      things.upsert(one);
      const { tailCsn, durableCsn } = db.stats().log;
      expect(durableCsn).toBe(tailCsn);
    } finally {
      db.setConfig("aerostore.synchronous_commit", "off");
    }
    db.transact((tx) => tx.table(Things).update("a", { rank: 9 }), { durability: "sync" });
    const { tailCsn, durableCsn } = db.stats().log;
    expect(durableCsn).toBe(tailCsn);
  });

  test("database: durable settles when commits are on disk", async () => {
    fill(10);
    await Promise.all([db.durable(), db.durable()]);
    const { tailCsn, durableCsn } = db.stats().log;
    expect(durableCsn).toBe(tailCsn);
    await db.durable();
  });

  test("database: statistics count what was done", () => {
    const before = db.stats().counters;
    fill(5);
    things.get("k1");
    things.search("-compare {< rank 3}").toArray();
    const { counters, memory, tables, sessions } = db.stats();
    expect(counters.commits).toBe(before.commits + 1);
    expect(counters.reads).toBe(before.reads + 1);
    expect(memory.usedBytes).toBeGreaterThan(0);
    expect(tables["things"]).toBeGreaterThanOrEqual(5);
    expect(sessions.some(({ pid, isAlive }) => pid === process.pid && isAlive)).toBe(true);
  });

  test("database: check finds nothing wrong", () => {
    fill(3_000);
    things.updateWhere("-compare {> rank 10}", { code: null, rank: 5 });
    const { ok, problems, tables, rows } = db.check();
    expect([ok, problems, tables]).toEqual([true, [], db.tables().length]);
    expect(rows).toBeGreaterThanOrEqual(3_000);
  });

  test("database: several handles in one process see each other's commits", async () => {
    await using other = await temporary.open({ tables: [Things] });
    expect(other.boot.mode).toBe("WarmAttach");
    things.insert(one);
    expect(other.table(Things).get("a")).toEqual(one);
    other.table(Things).update("a", { rank: 5 });
    expect(things.get("a")?.rank).toBe(5);
  });

  test("database: a table created by one handle is there for another", async () => {
    await using other = await temporary.open();
    const fresh = defineTable("fresh", { id: t.u8().primaryKey(), v: t.f64().nullable() });
    other.createTable(fresh);
    other.createTable(fresh);
    other.table(fresh).insert({ id: 1, v: 0.5 });
    expect(db.table("fresh").get(1)).toEqual({ id: 1, v: 0.5 });
  });

  test("database: after close everything but close is CLOSED", async () => {
    const other = await temporary.open();
    const table = other.table(Things);
    const prepared = table.prepare("-compare {= id $id}");
    const tx = other.begin();
    const durable = codeOf(() => other.durable());
    fill(2_000);
    const long = table.search();
    other.close();
    other.close();
    const calls: readonly (() => unknown)[] = [
      () => table.get("a"),
      () => table.upsert({ id: "a", rank: 1 }),
      () => table.update("a", { rank: 1 }),
      () => table.delete("a"),
      () => table.search(),
      () => table.count(),
      () => table.explain(),
      () => table.upsertMany([{ id: "a" }]),
      () => table.ingestTsv(""),
      () => table.updateWhere("-compare {}", { rank: 1 }),
      () => table.deleteWhere("-compare {}"),
      () => prepared.all({ id: "a" }),
      () => long.toArray(),
      () => tx.commit(),
      () => tx.table(Things),
      () => other.table(Things),
      () => other.tables(),
      () => other.createTable(Things),
      () => other.begin(),
      () => other.transact(() => 1),
      () => other.snapshot(() => 1),
      () => other.durable(),
      () => other.checkpoint(),
      () => other.stats(),
      () => other.check(),
      () => other.config(),
      () => other.setConfig("aerostore.synchronous_commit", "on"),
      () => other.outcome("0000000000000001"),
    ];
    for (const call of calls) {
      expect([String(call), await codeOf(call)]).toEqual([String(call), "CLOSED"]);
    }
    expect(["none", "CLOSED"]).toContain(await durable);
    tx.abort();
  });

  test("database: a result is read as long as its database is open, short or long", async () => {
    fill(5_000);
    const other = await temporary.open();
    const table = other.table(Things);
    const [short, long] = [table.search("-limit 5"), table.search()];
    const steps = [short, long].map((result) => result[Symbol.iterator]());
    for (const step of steps) step.next();
    other.close();
    for (const result of [short, long]) {
      for (const call of [
        () => result.toArray(),
        () => result.length,
        () => result.first(),
        () => [...result],
        () => result.column("rank"),
      ]) {
        expect(await codeOf(call)).toBe("CLOSED");
      }
      result.close();
    }
    for (const step of steps) expect(await codeOf(() => step.next())).toBe("CLOSED");
  });

  test("database: CLOSED says how it was closed and where it was opened", async () => {
    let table: typeof things;
    {
      using other = await temporary.open();
      table = other.table(Things);
    }
    const message = await Promise.try(() => table.get("a")).catch(String);
    expect(message).toContain("temporary-database.ts:");
    expect(message).toContain("the end of its `using` scope");
    expect(message).toContain("const db = await open");
  });

  test("values: writing back what was read changes nothing", () => {
    const definition = defineTable("long", {
      id: t.u64().primaryKey(),
      price: t.decimal(8),
      wide: t.i64(),
      single: t.f32(),
    });
    db.createTable(definition);
    const long = db.table(definition);
    long.insert({
      id: 2n ** 64n - 1n,
      price: "987654321.12345678",
      wide: -(2n ** 63n),
      single: 0.1,
    });
    const row = long.search().first();
    expect(row).toMatchObject({ price: "987654321.12345678", wide: -(2n ** 63n) });
    expect(long.upsertMany(row === undefined ? [] : [row])).toMatchObject({ unchanged: 1 });
    expect(db.table("long").get(2n ** 64n - 1n)).toEqual(row);
    expect([...long.search().column("price")]).toEqual([987654321.12345678]);
  });

  test("options: an unknown one is a TypeError with the nearest name", async () => {
    const calls: readonly (readonly [() => unknown, string])[] = [
      [() => temporary.open({ maxByte: 1 } as never), '"maxBytes"'],
      [() => db.transact(() => 1, { retrys: 1 } as never), '"retries"'],
      [() => db.begin({ readonly: true } as never), '"readOnly"'],
      [() => things.upsertMany([], { bach: 1 } as never), '"batch"'],
      [() => things.explain("", { analyse: true } as never), '"analyze"'],
    ];
    for (const [call, nearest] of calls) {
      const code = await codeOf(call);
      expect(code).toContain("TypeError");
      expect(code).toContain(`did you mean ${nearest}`);
    }
  });

  test("database: a handle in use keeps no other from opening and closing", async () => {
    for (let round = 0; round < 30; round++) {
      using other = await temporary.open();
      expect(other.table(Things).count()).toBe(0);
    }
    expect(db.stats().sessions.length).toBeLessThan(6);
  });
});
