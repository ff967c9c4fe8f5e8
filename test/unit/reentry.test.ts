/** Code of the program that runs while a statement takes its values: the statement is not torn. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { defineTable, param, t } from "../../src/index.ts";
import type { Database, Table } from "../../src/index.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Items = defineTable("Items", {
  id: t.i32().primaryKey(),
  a: t.string(32).nullable(),
  b: t.i32().index().nullable(),
  c: t.string(32).nullable(),
  raw: t.bytes(40).nullable(),
  at: t.timestamp().nullable(),
});
const Blobs = defineTable("Blobs", { id: t.bytes(16).primaryKey(), n: t.i32() });

const temporary = new TemporaryDatabase();
let db: Database;
let items: Table<(typeof Items)["$shape"]>;

beforeAll(async () => {
  db = await temporary.open({ tables: [Items, Blobs] });
  items = db.table(Items);
});
beforeEach(() => {
  items.deleteWhere({ all: true });
  db.table(Blobs).deleteWhere({ all: true });
  items.insert({ id: 100, a: "there", b: 100 });
});
afterAll(() => temporary[Symbol.dispose]());

/** Statements that use every part of the io block. */
function disturb(): void {
  items.upsert({ id: 2, a: "two", b: 22, c: "2".repeat(30), raw: new Uint8Array(40).fill(2) });
  items.get(100);
  items.search("-compare {{>= b 0} {match_case a t*}} -sort b").toArray();
  items.prepare("-compare {= a $a}").all({ a: "another" });
  items.upsertMany([{ id: 3, a: "three" }]);
  items.update(2, { c: "changed" });
  items.delete(3);
}

/** The row `values`, whose columns disturb whenever they are read. */
function disturbing(values: Readonly<Record<string, unknown>>): never {
  const row = {};
  for (const [name, value] of Object.entries(values)) {
    const get = (): unknown => {
      disturb();
      return value;
    };
    Object.defineProperty(row, name, { enumerable: true, get });
  }
  return row as never;
}

/** The same as a proxy, which also disturbs when its names are asked for. */
function proxy(values: Readonly<Record<string, unknown>>): never {
  return new Proxy(values, {
    get: (target, name) => {
      disturb();
      return Reflect.get(target, name);
    },
    ownKeys: (target) => {
      disturb();
      return Reflect.ownKeys(target);
    },
    getOwnPropertyDescriptor: (target, name) => {
      disturb();
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
  }) as never;
}

const values = { id: 4, a: "four", b: 44, c: "vier" };
const stored = { ...values, raw: null, at: null };
const makers = { getters: disturbing, proxy };

for (const [name, make] of Object.entries(makers)) {
  test(`re-entry by ${name}: upsert, insert and update write their own values`, () => {
    expect(items.upsert(make(values))).toBe(true);
    expect(items.get(4)).toEqual(stored);
    items.insert(make({ ...values, id: 5 }));
    expect(items.get(5)).toEqual({ ...stored, id: 5 });
    expect(items.update(4, make({ b: 45, a: null }))).toBe(true);
    expect(items.get(4)).toEqual({ ...stored, b: 45, a: null });
    expect(items.get(2)?.c).toBe("changed");
    expect(items.get(100)?.b).toBe(100);
  });

  test(`re-entry by ${name}: a row with a name too many is read again as a whole`, () => {
    expect(items.upsert(make({ ...values, raw: undefined, at: undefined }))).toBe(true);
    expect(items.get(4)).toEqual(stored);
  });

  test(`re-entry by ${name}: upsertMany writes each row in full`, () => {
    const rows = [4, 5, 6].map((id) => make({ ...values, id }));
    expect(items.upsertMany(rows, { batch: 2 })).toMatchObject({ inserted: 3 });
    for (const id of [4, 5, 6]) expect(items.get(id)).toEqual({ ...stored, id });
  });

  test(`re-entry by ${name}: updateWhere patches what its query found`, () => {
    items.upsertMany([7, 8, 9].map((id) => ({ id, a: "x", b: id })));
    const query = make({ compare: [["=", "a", "x"]] });
    expect(items.updateWhere(query, make({ c: "patched" }))).toBe(3);
    expect(items.count("-compare {= c patched}")).toBe(3);
    expect(items.deleteWhere(query)).toBe(3);
  });

  test(`re-entry by ${name}: searches compare with their own values`, () => {
    items.upsert({ id: 4, a: "four", b: 44 });
    const query = make({ compare: [["=", "a", "four"]], sort: "b", limit: 5 });
    expect(items.search(query).toArray()).toHaveLength(1);
    expect(items.count(query)).toBe(1);
    expect(items.search(make({ compare: [["=", "id", 4]] })).first()?.a).toBe("four");
  });

  test(`re-entry by ${name}: parameters are bound to their own values`, () => {
    items.upsert({ id: 4, a: "four", b: 44 });
    const prepared = items.prepare("-compare {= a $a}");
    const again = (): unknown => prepared.all({ a: "there" });
    const parameters = make({ a: "four" });
    const hostile = Object.defineProperty({}, "a", {
      enumerable: true,
      get: () => (again(), "four"),
    }) as never;
    for (const each of [parameters, hostile]) {
      expect(prepared.all(each).map(({ id }) => id)).toEqual([4]);
      expect(prepared.first(each)?.id).toBe(4);
      expect(prepared.count(each)).toBe(1);
      expect(prepared.search(each).toArray()).toHaveLength(1);
    }
    const listed = items.prepare({ compare: [["in", "b", param("list")]] });
    expect(listed.count(make({ list: [44, 100] }))).toBe(2);
    expect(items.execute("-compare {= a $a} -update {c $c}", make({ a: "four", c: "set" }))).toBe(
      1,
    );
    expect(items.get(4)?.c).toBe("set");
  });
}

test("re-entry: what looks like bytes is taken by its memory, or refused", async () => {
  class Counted extends Uint8Array {
    override get length(): number {
      disturb();
      return 40;
    }
  }
  items.upsert({ id: 4, a: "four", raw: new Counted([1, 2, 3]), c: "vier" });
  expect(items.get(4)).toEqual({ ...stored, b: null, raw: new Uint8Array([1, 2, 3]) });
  const trap = new Proxy(new Uint8Array(3), {
    getPrototypeOf: () => {
      disturb();
      return Uint8Array.prototype;
    },
  });
  expect(await codeOf(() => items.upsert({ id: 4, raw: trap }))).toBe("INVALID_VALUE");
  const blobs = db.table(Blobs);
  blobs.upsert({ id: new Counted([9]), n: 1 });
  expect(blobs.get(new Counted([9]))?.n).toBe(1);
  expect(blobs.search({ compare: [["=", "id", new Counted([9])]] }).length).toBe(1);
  expect(blobs.prepare("-compare {= id $id}").count({ id: new Counted([9]) })).toBe(1);
  expect(blobs.update(new Counted([9]), { n: 2 })).toBe(true);
  expect(blobs.delete(new Counted([9]))).toBe(true);
});

test("re-entry: valueOf, toString and toJSON of a value never run", async () => {
  let runs = 0;
  const sly = { valueOf: () => ++runs, toString: () => String(++runs), toJSON: () => ++runs };
  for (const name of ["id", "a", "b", "raw", "at"]) {
    const row = { ...values, [name]: sly } as never;
    expect(await codeOf(() => items.upsert(row))).toBe("INVALID_VALUE");
    expect(await codeOf(() => items.get(sly as never))).toBe("INVALID_VALUE");
  }
  expect(runs).toBe(0);
});

test("re-entry: an iterable of rows may use the database between them", () => {
  function* rows(): Generator<{ id: number; a: string; b: number }> {
    for (let id = 10; id < 20; id++) {
      disturb();
      items.upsertMany([{ id: 1_000 + id, a: "inner" }]);
      yield { id, a: `row ${id}`, b: id };
    }
  }
  expect(items.upsertMany(rows(), { batch: 3 })).toMatchObject({ inserted: 10 });
  for (let id = 10; id < 20; id++) expect(items.get(id)?.a).toBe(`row ${id}`);
});

test("re-entry: callbacks of ingest may use the table", async () => {
  const lines = Array.from({ length: 500 }, (_, id) => `${id + 1_000}\tline ${id}\t${id}`);
  lines[250] = "no number\tx\t1";
  const report = await items.ingestTsv(`id\ta\tb\n${lines.join("\n")}\n`, {
    header: true,
    batch: 50,
    onReject: () => disturb(),
    onProgress: () => disturb(),
  });
  expect(report).toMatchObject({ rows: 500, inserted: 499, rejected: 1 });
  for (const id of [0, 249, 251, 499]) expect(items.get(id + 1_000)?.a).toBe(`line ${id}`);
});

test("re-entry: a row that closes its transaction is written nowhere", async () => {
  const transaction = db.begin();
  const table = transaction.table(Items);
  const row = Object.defineProperty({ id: 50 }, "a", {
    enumerable: true,
    get: () => (transaction.abort(), "late"),
  }) as never;
  expect(await codeOf(() => table.upsert(row))).toBe("CLOSED");
  expect(items.get(50)).toBeUndefined();
});

test("re-entry: options are read before a commit, not after it", () => {
  const options = Object.defineProperty({}, "durability", {
    enumerable: true,
    get: () => {
      disturb();
      return "async";
    },
  }) as never;
  db.transact((tx) => void tx.table(Items).upsert({ id: 60, a: "sixty" }), options);
  expect(items.get(60)?.a).toBe("sixty");
});

test("dates: a timestamp takes a Date wherever it takes a number", async () => {
  const date = new Date("2026-02-03T04:05:06.789Z");
  items.upsert({ id: 70, at: date });
  expect(items.get(70)?.at).toBe(date.getTime());
  expect(items.count({ compare: [["=", "at", date]] })).toBe(1);
  expect(items.prepare("-compare {>= at $at}").count({ at: date })).toBe(1);
  expect(items.upsertMany([{ id: 70, at: date }])).toMatchObject({ unchanged: 1 });
  expect(await codeOf(() => items.upsert({ id: 70, at: new Date(Number.NaN) }))).toBe(
    "INVALID_VALUE",
  );
});

test("rows: what has no columns is a TypeError that says what a row is", async () => {
  for (const row of [new Map(), [], "text", null, undefined, 5, new Set()]) {
    expect(await codeOf(() => items.upsert(row as never))).toContain("a row of Items is an object");
    expect(await codeOf(() => items.insert(row as never))).toContain("a row of Items is an object");
  }
});
