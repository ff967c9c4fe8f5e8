/**
 * Every statement 200,000 times: memory that moves, counts that leak and answers that are optimised
 * away show themselves only after many calls.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Database, Table } from "../../src/index.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const Things = defineTable("things", {
  id: t.u32().primaryKey(),
  rank: t.i32().index(),
  name: t.string(16).nullable(),
});
const calls = 200_000;
const rowCount = 256;
const timeoutMs = 120_000;

let temporary: TemporaryDatabase;
let db: Database;
let things: Table<(typeof Things)["$shape"]>;

beforeAll(async () => {
  temporary = new TemporaryDatabase();
  db = await temporary.open({ tables: [Things] });
  things = db.table(Things);
  reset();
});
afterAll(() => temporary[Symbol.dispose]());

function reset(): void {
  things.upsertMany(
    Array.from({ length: rowCount }, (_, id) => ({ id, rank: id, name: `thing ${id}` })),
  );
}

/** Runs `call` with 0 to `rowCount - 1`, again and again; it says whether the answer was right. */
function repeat(call: (id: number) => boolean, count = calls): void {
  let wrong = 0;
  for (let index = 0; index < count; index++) if (!call(index % rowCount)) wrong++;
  expect(wrong).toBe(0);
}

describe("200,000 calls", () => {
  const cases: readonly [name: string, call: (id: number) => boolean, count?: number][] = [
    ["get", (id) => things.get(id)?.name === `thing ${id}`],
    ["get of an absent key", (id) => things.get(id + 1_000_000) === undefined],
    ["upsert, unchanged", (id) => !things.upsert({ id, rank: id, name: `thing ${id}` })],
    ["upsert, changed", (id) => !things.upsert({ id, rank: (things.get(id)?.rank ?? 0) + 1 })],
    ["update", (id) => things.update(id, { name: `thing ${id}` })],
    [
      "delete and insert",
      (id) => things.delete(id) && things.upsert({ id, rank: id, name: `thing ${id}` }),
    ],
    [
      "upsertMany",
      (id) =>
        things.upsertMany([
          { id, rank: id },
          { id, rank: id },
        ]).inserted === 0,
    ],
    ["search by key", (id) => things.search(`-compare {= id ${id}}`).first()?.id === id],
    ["count", (id) => things.count("-compare {< id 3}") === 3 || id < 0],
    ["begin and abort", () => db.begin().abort() === undefined],
    ["snapshot", (id) => db.snapshot((view) => view.table(Things).get(id)?.id === id)],
    [
      "transaction with savepoint",
      (id) => {
        using tx = db.begin();
        const savepoint = tx.savepoint();
        tx.table(Things).update(id, { rank: -1 });
        tx.rollbackTo(savepoint);
        tx.release(savepoint);
        return tx.table(Things).get(id)?.rank !== -1;
      },
    ],
    ["transact", (id) => db.transact((tx) => tx.table(Things).update(id, { rank: id }))],
    [
      "token and outcome",
      () => {
        using tx = db.begin();
        return db.outcome(tx.token) === "pending";
      },
    ],
    ["setting", () => db.getConfig("aerostore.synchronous_commit") === "off"],
  ];
  for (const [name, call, count] of cases) {
    test(
      `boundary: ${name}`,
      () => {
        reset();
        repeat(call, count);
        expect(things.count()).toBe(rowCount);
      },
      timeoutMs,
    );
  }

  test("boundary: what was repeated leaves a sound database", () => {
    expect(db.check()).toMatchObject({ ok: true, rows: rowCount });
  });
});
