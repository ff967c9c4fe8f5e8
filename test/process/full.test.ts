/**
 * A full segment: a statement that needs memory fails with its code and leaves nothing behind,
 * reads and deletes go on, and what deletes give back is used again.
 */
import { expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Table } from "../../src/index.ts";
import { Crew } from "../support/crew.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Things = defineTable("things", {
  id: t.u32().primaryKey(),
  rank: t.i32().index(),
  text: t.string(60),
});
type Things = Table<(typeof Things)["$shape"]>;
const maxBytes = 8 << 20;
const batch = 100;

/** Adds rows from `first` on, batch by batch, until there is no room; how many are in. */
async function fill(things: Things, first: number): Promise<number> {
  for (let count = 0; ; count += batch) {
    const rows = Array.from({ length: batch }, (_, index) => {
      const id = first + count + index;
      return { id, rank: id % 100, text: "x".repeat(40) };
    });
    const code = await codeOf(() => things.upsertMany(rows, { batch }));
    if (code === "none") continue;
    expect(code).toBe("SEGMENT_FULL");
    return count;
  }
}

/** Deletes all rows, so many at a time. */
function empty(things: Things): void {
  while (things.deleteWhere("-limit 500") > 0);
}

test("full segment: whole batches are in, reads go on, and so do deletes", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Things], maxBytes });
  const things = db.table(Things);
  let count = await fill(things, 0);
  expect(count).toBeGreaterThan(10_000);
  expect(things.count()).toBe(count);
  // A batch that does not fit may leave room for single rows.
  const insert = (id: number): void => things.insert({ id, rank: id % 100, text: "x" });
  while ((await codeOf(() => insert(count))) === "none") count++;
  expect(await codeOf(() => insert(count))).toBe("SEGMENT_FULL");
  const moved = db.begin();
  for (let id = 0; id < 5_000; id++) moved.table(Things).update(id, { rank: -1 });
  expect(await codeOf(() => moved.commit())).toBe("SEGMENT_FULL");
  expect(things.get(count)).toBeUndefined();
  expect(things.count("-compare {= rank -1}")).toBe(0);
  expect(things.get(7)?.rank).toBe(7);
  expect(things.count("-compare {= rank 7}")).toBe(Math.floor((count + 92) / 100));
  expect(db.check()).toMatchObject({ ok: true, rows: count });

  expect(things.delete(0)).toBe(true);
  expect(things.delete(0)).toBe(false);
  expect(things.deleteWhere("-compare {= rank 7} -limit 50")).toBe(50);
  expect(db.transact((tx) => tx.table(Things).delete(1))).toBe(true);
  expect(things.count()).toBe(count - 52);
  expect(db.check()).toMatchObject({ ok: true, rows: count - 52 });
});

test("full segment: another session can delete, too", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Things], maxBytes });
  const count = await fill(db.table(Things), 0);
  const other = await temporary.open({ tables: [Things], maxBytes });
  expect(other.table(Things).delete(3)).toBe(true);
  expect(db.table(Things).count()).toBe(count - 1);
});

test("full segment: what deletes give back is used again, time after time", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Things], maxBytes });
  const things = db.table(Things);
  await fill(things, 0);
  empty(things);
  // What the primary-key map has taken for its buckets by now, it keeps.
  const second = await fill(things, 0);
  for (let round = 0; round < 4; round++) {
    empty(things);
    expect(things.count()).toBe(0);
    expect(await fill(things, 0)).toBeGreaterThan(second * 0.9);
  }
  expect(db.check().ok).toBe(true);
});

test("full segment: commits that are undone again and again use nothing up", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Things], maxBytes });
  const things = db.table(Things);
  const count = await fill(things, 0);
  for (let round = 0; round < 50; round++) {
    const code = await codeOf(() => things.updateWhere("-compare {< rank 50}", { rank: 1_000 }));
    expect(code).toBe("SEGMENT_FULL");
  }
  expect(things.deleteWhere("-limit 500")).toBe(500);
  expect(things.count()).toBe(count - 500);
  expect(db.check()).toMatchObject({ ok: true, rows: count - 500 });
});

test("full segment: a commit waits while another process's snapshot lets memory go", async () => {
  await using crew = new Crew();
  const holder = crew.start("test/process/full-child.ts", ["hold"]);
  expect(await holder.said("held")).toBe("held");
  expect(await crew.run("test/process/full-child.ts", ["write", 200_000])).toBe(200_000);
  expect((await holder.ended).status).toBe(0);
});

test("full segment: a snapshot of another process holds back all of it, and is named", async () => {
  await using crew = new Crew();
  const holder = crew.start("test/process/full-child.ts", ["keep"]);
  expect(await holder.said("held")).toBe("held");
  const writer = crew.start("test/process/full-child.ts", ["fill"]);
  expect(Number(await writer.said("0."))).toBeGreaterThan(0.7);
  const message = await writer.said("upserting");
  expect(message).toContain(`process ${holder.pid} has had a snapshot open for`);
  expect(message).toContain("aerostore.snapshot_age_limit_ms");
  await holder.kill();
  expect(await writer.said("again")).toBe("again");
  expect((await writer.ended).status).toBe(0);
});

test("full segment: a transaction gives up an old snapshot that keeps it full", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Things], maxBytes });
  const things = db.table(Things);
  things.upsert({ id: 1, rank: 0, text: "x" });
  const other = await temporary.open({ tables: [Things], maxBytes });
  using old = other.begin();
  expect(old.table(Things).get(1)?.rank).toBe(0);
  let rank = 1;
  const update = (): void => void things.upsert({ id: 2, rank: rank++, text: "y".repeat(60) });
  while ((await codeOf(update)) === "none");
  expect(await codeOf(update)).toBe("SEGMENT_FULL");
  for (let id = 10; id < 1000; id++) old.table(Things).insert({ id, rank: 0, text: "" });
  expect(await codeOf(() => old.commit())).toBe("SNAPSHOT_TOO_OLD");
  update();
});
