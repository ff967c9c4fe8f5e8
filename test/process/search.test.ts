/** Searches as programs make them: beside writers, long ones, inside transactions, by lists. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { defineTable, param, t } from "../../src/index.ts";
import { Readings } from "../property/query-readings.ts";
import { chooseSeed, Random } from "../support/random.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

test("search: beside writers, every route shows the state of one snapshot", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const seed = chooseSeed();
  const child = join(import.meta.dir, "..", "property", "query-writer.ts");
  const writers = [1, 2].map((number) =>
    Bun.spawn(
      [process.execPath, child, temporary.directory, temporary.shmPath, String(seed + number)],
      { stdout: "pipe" },
    ),
  );
  try {
    await Promise.all(writers.map(({ stdout }) => stdout.getReader().read()));
    const random = new Random(seed);
    for (let round = 0; round < 400; round++) {
      using view = database.begin({ readOnly: true });
      const table = view.table(Readings);
      const all = table.search("-sort id").toArray();
      const low = random.below(45);
      const inside = all.filter(({ level }) => level >= low && level < low + 5);
      const byLevel = inside.toSorted((a, b) => b.level - a.level || a.id - b.id);
      const query = `-compare {range level ${low} ${low + 5}}`;
      expect(table.search(`${query} -sort {-level id}`).toArray()).toEqual(byLevel);
      expect(table.search(`${query} -sort {-level id} -limit 3`).toArray()).toEqual(
        byLevel.slice(0, 3),
      );
      const places = all.filter(({ place }) => place === "a" || place === null);
      expect(table.search("-or {{{= place a}} {{null place}}} -sort id").toArray()).toEqual(places);
      expect(table.count("-compare {!= place B}")).toBe(
        all.filter(({ place }) => place !== null && place !== "B").length,
      );
      expect(table.count()).toBeGreaterThanOrEqual(0);
    }
  } finally {
    for (const writer of writers) writer.kill("SIGKILL");
    await Promise.all(writers.map(({ exited }) => exited));
  }
}, 120_000);

const Numbers = defineTable("numbers", { id: t.u32().primaryKey(), square: t.u64() });

test("search: a million rows stream under one snapshot, and may be left early", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Numbers], maxBytes: 512 << 20 });
  const table = database.table(Numbers);
  const million = 1_000_000;
  const rows = (function* () {
    for (let id = 0; id < million; id++) yield { id, square: id * id };
  })();
  table.upsertMany(rows, { batch: 10_000 });
  let count = 0;
  let sum = 0;
  for (const row of table.search()) {
    if (count % 100_000 === 0) {
      // Not seen: neither what goes nor what comes.
      table.delete(count === 0 ? million - 1 : million - count);
      table.upsert({ id: million + count, square: 0 });
    }
    sum += row.id;
    count++;
  }
  expect([count, sum]).toEqual([million, (million * (million - 1)) / 2]);
  expect(table.count()).toBe(million);
  for (const row of table.search("-sort -id")) {
    expect(row.id).toBe(million + 900_000);
    break;
  }
  using result = table.search("-compare {>= square 0}");
  expect(result.first()?.square).toBeNumber();
  expect(database.stats()).toBeObject();
}, 120_000);

test("search: an unordered limit protects the rows that it gave, and no others", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  const fill = (): void => {
    for (let id = 0; id < 20; id++) table.upsert({ id, level: 1, place: null });
  };
  let written = 100;
  /** What becomes of a transaction that read by `query` while `change` committed. */
  const outcome = async (query: string, change: (given: readonly number[]) => void) => {
    fill();
    using tx = database.begin();
    const given = tx
      .table(Readings)
      .search(query)
      .toArray()
      .map(({ id }) => id);
    change(given);
    // A transaction that changes nothing is one instant, and never in conflict.
    tx.table(Readings).upsert({ id: 1_000, level: ++written, place: null });
    return codeOf(() => tx.commit());
  };
  const other = (given: readonly number[]): number =>
    [...Array(20).keys()].find((id) => !given.includes(id)) ?? -1;
  const limited = "-compare {= level 1} -limit 3";
  expect(await outcome(limited, (given) => table.delete(other(given)))).toBe("none");
  expect(await outcome(limited, () => table.upsert({ id: 500, level: 1, place: null }))).toBe(
    "none",
  );
  expect(await outcome(limited, ([id = -1]) => table.update(id, { level: 2 }))).toBe(
    "SERIALIZATION_FAILURE",
  );
  table.delete(500);
  const short = "-compare {= level 1} -limit 100";
  expect(await outcome(short, () => table.upsert({ id: 501, level: 1, place: null }))).toBe(
    "SERIALIZATION_FAILURE",
  );
});

test("search: the oldest rows expire in batches, protecting only what they read", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  const count = 1_000;
  for (let id = 0; id < count; id++) table.upsert({ id, level: id, place: null });
  for (let batch = 0; batch < 5; batch++) {
    using tx = database.begin();
    expect(tx.table(Readings).deleteWhere("-sort level -limit 10")).toBe(10);
    // Meanwhile rows come, change and go where the batch has not read.
    table.upsert({ id: count + batch, level: count + batch, place: null });
    table.update(500 + batch, { level: 5_000 });
    table.delete(600 + batch);
    tx.commit();
  }
  expect(table.search("-sort level -limit 1").first()?.level).toBe(50);
  expect(table.count()).toBe(count + 5 - 50 - 5);
  using tx = database.begin();
  tx.table(Readings).deleteWhere("-sort level -limit 10");
  table.upsert({ id: 2_000, level: 0, place: null });
  expect(await codeOf(() => tx.commit())).toBe("SERIALIZATION_FAILURE");
});

test("search: a parameter may be a whole list of in", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  for (let id = 0; id < 20; id++) table.upsert({ id, level: id, place: id % 2 === 0 ? "a" : "B" });
  const prepared = table.prepare({ compare: [["in", "level", param("levels")]], sort: "id" });
  const ids = (levels: unknown): number[] => prepared.all({ levels }).map(({ id }) => id);
  expect(ids([3, 1, 3, 99])).toEqual([1, 3]);
  expect(ids([])).toEqual([]);
  expect(ids(7)).toEqual([7]);
  expect(prepared.count({ levels: [3, 1] })).toBe(2);
  expect(await codeOf(() => prepared.all({ levels: [{}] }))).toBe("INVALID_VALUE");
  const two = table.prepare("-compare {{in level {5 $more}} {= place $place}} -sort id");
  expect(two.all({ more: [6, 7], place: "B" }).map(({ id }) => id)).toEqual([5, 7]);
  expect(await codeOf(() => two.all({ more: 6, place: ["B"] }))).toBe("INVALID_VALUE");
});

test("search: what searches examine and return is counted", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  for (let id = 0; id < 100; id++) table.upsert({ id, level: id, place: id < 10 ? "a" : "b" });
  const during = (body: () => void): readonly number[] => {
    const before = database.stats().counters;
    body();
    const { searches, rowsExamined, rowsReturned } = database.stats().counters;
    return [
      searches - before.searches,
      rowsExamined - before.rowsExamined,
      rowsReturned - before.rowsReturned,
    ];
  };
  expect(during(() => table.search("-compare {!= place b}"))).toEqual([1, 100, 10]);
  expect(during(() => table.count("-compare {= place a}"))).toEqual([1, 10, 10]);
  expect(during(() => table.search("-compare {= id 5}"))).toEqual([1, 1, 1]);
  expect(during(() => table.search("-compare {= id 500}"))).toEqual([1, 0, 0]);
  expect(during(() => table.search("-sort level -limit 3"))).toEqual([1, 3, 3]);
});

test("search: the first row of a prepared search is all that is read", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  for (let id = 0; id < 100; id++) table.upsert({ id, level: id, place: id < 10 ? "a" : "b" });
  const queries: readonly [query: string, values: Record<string, unknown>][] = [
    ["", {}],
    ["-compare {>= level $low} -sort level", { low: 40 }],
    ["-sort -level -offset 5 -limit 7", {}],
    ["-compare {= id $id}", { id: 7 }],
    ["-compare {= id $id}", { id: 700 }],
    ["-sort id -limit $limit", { limit: 0 }],
    ["-sort id -limit $limit", { limit: 2 }],
    ["-countOnly 1", {}],
    ["-compare {in id $ids} -sort id -fields {level id}", { ids: [9, 8] }],
  ];
  for (const [query, values] of queries) {
    const prepared = table.prepare(query);
    const before = database.stats().counters.rowsExamined;
    const first = prepared.first(values);
    const examined = database.stats().counters.rowsExamined - before;
    if (values["limit"] === undefined && !query.includes("countOnly")) {
      expect([query, examined < 20]).toEqual([query, true]);
    }
    expect([query, first]).toEqual([query, prepared.search(values).first()]);
  }
  expect(await codeOf(() => table.prepare("-compare {= id $id}").first({ di: 1 }))).toBe(
    "INVALID_VALUE",
  );
});

test("search: update and delete as properties of a query", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  for (let id = 0; id < 10; id++) table.upsert({ id, level: id, place: "a" });
  const found = table.execute({
    compare: [[">=", "level", 6]],
    update: { place: null, level: 60 },
  });
  expect(found).toBe(4);
  expect(table.count({ compare: [["null", "place"]] })).toBe(4);
  const oldest = { sort: "level", limit: 3, update: { place: param("to") } } as const;
  expect(table.execute(oldest, { to: "zz" })).toBe(3);
  expect(table.execute({ sort: "level", limit: 2, delete: true })).toBe(2);
  expect(table.search({ compare: [["=", "place", "zz"]] }).toArray()).toEqual([
    { id: 2, level: 2, place: "zz" },
  ]);
});

test("search: rows are changed and deleted whether or not they are only counted", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  for (let id = 0; id < 10; id++) table.upsert({ id, level: id, place: "a" });
  expect(table.execute("-countOnly 1 -sort id -limit 2 -delete 1")).toBe(2);
  expect(table.deleteWhere({ sort: "id", limit: 2, countOnly: true })).toBe(2);
  expect(table.execute("-countOnly 1 -limit 1 -update {level $to}", { to: 60 })).toBe(1);
  expect(table.updateWhere("-compare {= level 60} -countOnly 1", { place: "b" })).toBe(1);
  expect([table.count(), table.count("-compare {= place b}")]).toEqual([6, 1]);
});

test("search: updateWhere and deleteWhere take no other action", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  table.upsert({ id: 1, level: 1, place: "a" });
  for (const query of ["-delete 1", "-update {level 2}"]) {
    expect(await codeOf(() => table.deleteWhere(query))).toBe("PARSE_ERROR");
    expect(await codeOf(() => table.updateWhere(query, { level: 3 }))).toBe("PARSE_ERROR");
  }
  expect(table.get(1)).toEqual({ id: 1, level: 1, place: "a" });
});

test("search: queries of one shape share a plan and no values", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Readings] });
  const table = database.table(Readings);
  for (let id = 0; id < 50; id++) table.upsert({ id, level: id % 7, place: null });
  for (const id of [7, 3, 49, 50]) {
    const expected = id < 50 ? [id] : [];
    const ids = [
      table.search({ compare: ["=", "id", id] }),
      table.search(["-compare", [["=", "id", id]]]),
      table.search(`-compare {= id ${id}}`),
      table.search(`-compare {= id ${id}}`),
    ].map((result) => result.toArray().map((row) => row.id));
    expect(ids).toEqual([expected, expected, expected, expected]);
    expect(table.count({ compare: ["=", "id", id] })).toBe(expected.length);
  }
  expect(await codeOf(() => table.search({ compare: ["=", "id", "x"] as never }))).toBe(
    "INVALID_VALUE",
  );
  expect(table.count("-compare {= id 1.5}")).toBe(0);
  expect(table.count("-compare {= id 7}")).toBe(1);
});

test("search: no group of -or is no row, whatever was searched before", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Numbers] });
  const table = database.table(Numbers);
  for (let id = 0; id < 5; id++) table.insert({ id, square: id * id });
  const lengths = (...queries: Parameters<typeof table.search>[0][]) =>
    queries.map((query) => [table.search(query).length, table.count(query)]);
  expect(lengths({ or: [] }, {}, "", "-or {}")).toEqual([
    [0, 0],
    [5, 5],
    [5, 5],
    [0, 0],
  ]);
  expect(lengths("-compare {= id 3}", "-compare {= id 3} -or {}")).toEqual([
    [1, 1],
    [0, 0],
  ]);
  expect(lengths("-compare {= square 9} -or {}", "-compare {= square 9}")).toEqual([
    [0, 0],
    [1, 1],
  ]);
});

test("search: any number of different searches may be open", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Numbers] });
  const table = database.table(Numbers);
  const count = 20_000;
  table.upsertMany(Array.from({ length: count }, (_, id) => ({ id, square: id * id })));
  const open = Array.from({ length: 50 }, (_, low) => table.search(`-compare {>= id ${low}}`));
  expect(open.map((result) => result.first() !== undefined)).toEqual(open.map(() => true));
  expect(table.count("-compare {> square 0}")).toBe(count - 1);
  expect(open.map((result) => result.length)).toEqual(open.map((_, low) => count - low));
});

test("search: a loop over a result goes on when another over it is left early", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Numbers] });
  const table = database.table(Numbers);
  const count = 20_000;
  table.upsertMany(Array.from({ length: count }, (_, id) => ({ id, square: id * id })));
  const result = table.search({});
  const [first] = table.search({});
  let rows = 0;
  for (const _ of result) {
    rows++;
    if (rows !== 10) continue;
    const [again] = result;
    expect(again).toEqual(first);
  }
  expect(rows).toBe(count);
});

test("search: a loop that others have overtaken throws, instead of ending early", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Numbers], maxBytes: 512 << 20 });
  const table = database.table(Numbers);
  const count = 1_000_000; // more than a result keeps
  const rows = (function* () {
    for (let id = 0; id < count; id++) yield { id, square: id * id };
  })();
  table.upsertMany(rows, { batch: 10_000 });
  const result = table.search({});
  const slow = result.cursor();
  slow.next();
  let read = 0;
  for (const _ of result) read++;
  expect(read).toBe(count);
  expect(
    await codeOf(() => {
      while (slow.next().done !== true);
    }),
  ).toBe("CLOSED");
}, 60_000);

const Alike = defineTable("alike", { id: t.string(20).primaryKey(), level: t.i32().index() });

test("search: from key to key, rows that begin with the same bytes stay in order", async () => {
  using temporary = new TemporaryDatabase();
  const database = await temporary.open({ tables: [Alike] });
  const table = database.table(Alike);
  // The rows of level 2 are two full runs of entries: only the next one tells that they have ended.
  for (const [level, count] of [
    [3, 5],
    [2, 128],
    [1, 200],
  ] as const) {
    for (let number = count; number > 0; number--) {
      table.upsert({ id: `same-prefix-${level}${String(number).padStart(4, "0")}`, level });
    }
  }
  const ids = table.search("-sort id").toArray();
  const expected = ids.toSorted((a, b) => b.level - a.level);
  expect(table.search("-sort -level").toArray()).toEqual(expected);
  expect(table.search("-sort -level -limit 210").toArray()).toEqual(expected.slice(0, 210));
}, 30_000);
