/** Rows that are due go to one worker each, and come back when it dies. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Jobs = defineTable("Jobs", {
  id: t.i32().primaryKey(),
  at: t.timestamp().index().nullable(),
  seconds: t.u32().index().nullable(),
  text: t.string(8).default(""),
});

function add(db: Database, ids: readonly number[], at: number | null): void {
  for (const id of ids) db.table(Jobs).insert({ id, at });
}

test("takeWhere: rows are returned as they were and are gone, by sort and limit", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Jobs] });
  add(db, [1, 2, 3, 4], 10);
  const jobs = db.table(Jobs);
  const taken = jobs.takeWhere("-compare {<= at 10} -sort -id -limit 2");
  expect(taken.map(({ id }) => id)).toEqual([4, 3]);
  expect(jobs.count()).toBe(2);
  expect(jobs.takeWhere("-compare {> at 10}")).toEqual([]);
  expect(() => jobs.takeWhere("")).toThrow(TypeError);
  // It is undone with the transaction that it is part of.
  using tx = db.begin();
  expect(tx.table(Jobs).takeWhere({ all: true })).toHaveLength(2);
  tx.abort();
  expect(jobs.count()).toBe(2);
});

test("due: a row goes to one worker, the earliest first, and is gone when done", async () => {
  using temporary = new TemporaryDatabase();
  const [one, two] = [await temporary.open({ tables: [Jobs] }), await temporary.open()];
  add(one, [1, 2, 3, 4, 5], Date.now() - 1_000);
  add(one, [6], Date.now() + 3_600_000);
  add(one, [7], null);
  const first = one.table(Jobs).due({ column: "at", batch: 3 });
  const second = two.table(Jobs).due({ column: "at", batch: 3 });
  const a = await first.next();
  const b = await second.next();
  if (a.done === true || b.done === true) throw new Error("the loop has ended");
  const ids = [...a.value.rows, ...b.value.rows].map(({ id }) => id);
  expect(ids.toSorted()).toEqual([1, 2, 3, 4, 5]);
  // One is given a new time, and stays.
  const later = Date.now() + 3_600_000;
  one.table(Jobs).update(a.value.rows[0]?.id ?? 0, { at: later });
  a.value.done();
  b.value.done();
  expect(one.table(Jobs).count()).toBe(3);
  expect(() => a.value.done()).toThrow("given back");
  await first.return();
  await second.return();
});

test("due: a batch that is not done comes again", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Jobs] });
  add(db, [1, 2], Date.now() - 1_000);
  const seen: number[] = [];
  for await (const { rows, done } of db.table(Jobs).due({ column: "at", batch: 1 })) {
    seen.push(...rows.map(({ id }) => id));
    if (seen.length < 2) continue;
    done();
    if (db.table(Jobs).count() === 0) break;
  }
  expect(seen.length).toBeGreaterThan(2);
  expect(new Set(seen)).toEqual(new Set([1, 2]));
});

test("due: it waits until a row is due, and ends by its signal", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Jobs] });
  const ending = new AbortController();
  const batches = db.table(Jobs).due({ column: "at", signal: ending.signal });
  const next = batches.next();
  add(db, [1], Date.now() + 30);
  const { value } = await next;
  expect(value?.rows.map(({ id }) => id)).toEqual([1]);
  expect(Number(value?.rows[0]?.at)).toBeLessThanOrEqual(Date.now());
  value?.done();
  const waiting = batches.next();
  ending.abort();
  expect((await waiting).done).toBe(true);
  // Seconds, in an integer.
  db.table(Jobs).insert({ id: 2, seconds: Math.floor(Date.now() / 1_000) - 5 });
  const seconds = db.table(Jobs).due({ column: "seconds", unit: "s" });
  expect((await seconds.next()).value?.rows).toHaveLength(1);
  await seconds.return();
});

test("due: what a killed worker had is due again", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Jobs] });
  add(db, [1, 2, 3], Date.now() - 1_000);
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      join(import.meta.dir, "due-child.ts"),
      temporary.directory,
      temporary.shmPath,
    ],
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
  const said = new TextDecoder().decode((await reader.read()).value);
  expect(JSON.parse(said)).toEqual([1, 2, 3]);
  const batches = db.table(Jobs).due({ column: "at" });
  const next = batches.next();
  child.kill("SIGKILL");
  await child.exited;
  // Its latches are freed one after the other, so that a batch may have some of its rows.
  const seen: number[] = [];
  for (let batch = (await next).value; batch !== undefined; batch = (await batches.next()).value) {
    seen.push(...batch.rows.map(({ id }) => id));
    batch.done();
    if (seen.length === 3) break;
  }
  expect(seen).toEqual([1, 2, 3]);
  await batches.return();
});

test("due: wrong columns and sizes are refused by name", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Jobs] });
  const jobs = db.table(Jobs);
  expect(await codeOf(() => jobs.due({ column: "when" }).next())).toBe("UNKNOWN_FIELD");
  expect(await codeOf(() => jobs.due({ column: "text" }).next())).toBe("INVALID_VALUE");
  expect(await codeOf(() => jobs.due({ column: "id" }).next())).toBe("INVALID_VALUE");
  await expect(jobs.due({ column: "at", batch: 0 }).next()).rejects.toThrow(RangeError);
});
