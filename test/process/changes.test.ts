import { describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Change, ChangeFeed, Position } from "../../src/index.ts";
import { Crew, faultLibrary } from "../support/crew.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Rows = defineTable("Rows", {
  id: t.u32().primaryKey(),
  n: t.i32().index(),
  text: t.string(40).nullable(),
  at: t.timestamp().nullable(),
});
const Others = defineTable("Others", { name: t.string(8).primaryKey(), value: t.decimal(2) });
const tables = [Rows, Others];

/** The first `count` changes that are commits. */
async function take(feed: ChangeFeed, count: number): Promise<Change[]> {
  const taken: Change[] = [];
  if (count === 0) return taken;
  for await (const change of feed) {
    if (change.kind !== "progress") taken.push(change);
    if (taken.length >= count) break;
  }
  return taken;
}

const brief = (change: Change): unknown[] =>
  change.writes.map(({ table, op, key, changed, row }) => [table, op, key, changed ?? row ?? null]);

describe("changes", () => {
  test("changes: whole transactions in order, with the columns that changed", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const rows = db.table(Rows);
    rows.upsert({ id: 7, n: 0, text: "before" });
    const feed = db.changes();
    rows.upsert({ id: 1, n: 10, text: "ten" });
    db.transact((tx) => {
      tx.table(Rows).update(1, { n: 11, text: null });
      tx.table(Others).upsert({ name: "a", value: 1.25 });
      tx.table(Rows).upsert({ id: 7, n: 1 });
    });
    rows.upsert({ id: 1, n: 11 });
    rows.delete(1);
    const changes = await take(feed, 3);
    expect(changes.map(({ kind }) => kind)).toEqual(["commit", "commit", "commit"]);
    expect(brief(changes[0] as Change)).toEqual([
      ["Rows", "insert", 1, { id: 1, n: 10, text: "ten", at: null }],
    ]);
    expect(brief(changes[1] as Change).sort()).toEqual([
      ["Others", "insert", "a", { name: "a", value: 1.25 }],
      ["Rows", "update", 1, { n: 11, text: null }],
      ["Rows", "update", 7, { n: 1 }],
    ]);
    expect(brief(changes[2] as Change)).toEqual([["Rows", "delete", 1, null]]);
    const [first, second, third] = changes.map(({ csn }) => csn);
    expect(first).toBeLessThan(second ?? 0);
    expect(second).toBeLessThan(third ?? 0);
    expect(changes[2]?.position).toBe(db.position());
    expect(feed.position).toBe(db.position());
  });

  test("changes: what another handle commits wakes a feed that waits", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const other = await temporary.open();
    const feed = db.changes({ tables: ["Rows"], values: "keys" });
    const taken = take(feed, 20);
    for (let id = 0; id < 20; id++) {
      await Bun.sleep(0);
      other.table(Others).upsert({ name: "x", value: id });
      other.table(Rows).upsert({ id, n: id });
    }
    const keys = (await taken).flatMap(({ writes }) => writes.map(({ key }) => key));
    expect(keys).toEqual(Array.from({ length: 20 }, (_, id) => id));
    expect((await taken).every(({ writes }) => writes.every((w) => !("row" in w)))).toBe(true);
  });

  test("changes: from a position, across rotation, checkpoint and cold replay", async () => {
    using temporary = new TemporaryDatabase();
    let db = await temporary.open({ tables });
    let position = db.position();
    await take(db.changes({ signal: AbortSignal.abort() }), 0);
    const seen: number[] = [];
    for (let round = 0; round < 6; round++) {
      for (let n = 0; n < 50; n++) db.table(Rows).upsert({ id: n % 7, n: round * 50 + n });
      if (round === 2) {
        await db.durable();
        temporary.dropSegment();
        db = await temporary.open({ tables });
        expect(db.boot.mode).toBe("ColdReplay");
      }
      const feed = db.changes({ from: position });
      for (const change of await take(feed, 50)) {
        seen.push(...change.writes.map((w) => Number(w.changed?.["n"] ?? w.row?.["n"])));
        position = change.position;
      }
      if (round === 3) await db.checkpoint();
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, n) => n));
  });

  for (const where of ["in memory", "in the log", "after a checkpoint"]) {
    test(`changes: the oldest, from before anybody asked for values, ${where}`, async () => {
      using temporary = new TemporaryDatabase();
      let db = await temporary.open({ tables });
      for (let n = 0; n < 100; n++) {
        db.table(Rows).upsert({ id: n % 5, n, text: `${"x".repeat(20)}${n}` });
        if (n === 50 && where === "after a checkpoint") await db.checkpoint();
      }
      await db.durable();
      if (where !== "in memory") {
        temporary.dropSegment();
        db = await temporary.open({ tables });
      }
      const feed = db.changes({ from: "oldest" });
      const last = 99;
      const seen: unknown[] = [];
      for await (const { writes } of feed) {
        for (const { changed, row } of writes) seen.push({ ...changed, ...row });
        if (feed.position === db.position()) break;
      }
      const ns = seen.map((each) => Number((each as { n: number }).n));
      const first = where === "after a checkpoint" ? (ns[0] ?? 0) : 0;
      expect(first).toBeLessThan(52);
      expect(ns).toEqual(Array.from({ length: last - first + 1 }, (_, i) => first + i));
      const texts = seen.map((each) => (each as { text: string }).text);
      expect(texts).toEqual(ns.map((n) => `${"x".repeat(20)}${n}`));
    });
  }

  test("changes: a feed that fell behind the ring reads the log", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const feed = db.changes({ tables: ["Rows"] });
    const rows = db.table(Rows);
    const count = 70_000;
    for (let n = 0; n < count; n++) rows.upsert({ id: n % 1000, n });
    expect(feed.lag.csns).toBeGreaterThanOrEqual(count);
    let next = 0;
    for await (const change of feed) {
      if (change.kind === "progress") continue;
      for (const write of change.writes) {
        expect(Number(write.changed?.["n"] ?? write.row?.["n"])).toBe(next++);
      }
      if (next === count) break;
    }
    expect(next).toBe(count);
  }, 30_000);

  test("changes: a snapshot, then what follows, without gap or repeat", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const rows = db.table(Rows);
    for (let id = 0; id < 2_500; id++) rows.upsert({ id, n: id });
    const feed = db.changes({ from: "snapshot", tables: ["Rows"] });
    const fold = new Map<number, number>();
    let turn = 0;
    for await (const change of feed) {
      for (const { op, key, row, changed } of change.writes) {
        if (op === "delete") fold.delete(Number(key));
        else if (row !== undefined || changed?.["n"] !== undefined) {
          fold.set(Number(key), Number((row ?? changed)?.["n"]));
        }
      }
      if (turn < 20) {
        rows.upsert({ id: turn, n: -turn });
        rows.delete(2_000 + turn);
        turn++;
      } else if (feed.position === db.position()) break;
    }
    const expected = new Map(
      rows
        .search("")
        .toArray()
        .map(({ id, n }) => [id, n]),
    );
    expect(fold).toEqual(expected);
  });

  test("changes: a quiet feed tells its progress", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const feed = db.changes({ tables: ["Others"] });
    db.table(Rows).upsert({ id: 1, n: 1 });
    for await (const change of feed) {
      expect(change.kind).toBe("progress");
      expect(change.writes).toEqual([]);
      break;
    }
    expect(feed.position).toBe(db.position());
  });

  test("changes: durable ones are on disk, and come when they are", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const feed = db.changes({ durable: true });
    db.table(Rows).upsert({ id: 1, n: 1 });
    const [change] = await take(feed, 1);
    expect(db.stats().log.durableCsn).toBeGreaterThan(change?.csn ?? Infinity);
  });

  test("changes: a signal ends a feed, closing the database ends it with CLOSED", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const controller = new AbortController();
    const ended = take(db.changes({ signal: controller.signal }), 1);
    const closed = codeOf(() => take(db.changes(), 1));
    await Bun.sleep(0);
    controller.abort();
    expect(await ended).toEqual([]);
    db.close();
    expect(await closed).toBe("CLOSED");
    expect(await codeOf(() => db.changes())).toBe("CLOSED");
  });

  test("changes: mistakes are told", async () => {
    using temporary = new TemporaryDatabase();
    using another = new TemporaryDatabase();
    const [db, foreign] = [await temporary.open({ tables }), await another.open({ tables })];
    const from = (position: string) => (): unknown => db.changes({ from: position as Position });
    expect(await codeOf(() => db.changes({ tables: ["Rowz"] }))).toBe("UNKNOWN_TABLE");
    expect(await codeOf(from("nonsense"))).toBe("INVALID_VALUE");
    expect(await codeOf(from(db.position().slice(0, -1)))).toBe("INVALID_VALUE");
    expect(await codeOf(from(foreign.position()))).toBe("POSITION_LOST");
    expect(() => db.changes({ values: "all" as "row" })).toThrow(TypeError);
  });

  test("changes: a position beyond what a crash left is lost, and says why", async () => {
    await using crew = new Crew();
    const program = "test/process/changes-child.ts";
    // Dies with a commit that was seen and is not on the disk.
    const child = crew.start(program, ["unsynced"], {
      env: { AEROSTORE_LIBRARY: faultLibrary },
    });
    const [common = "", ahead = ""] = (await child.said("positions ")).split(" ").slice(1);
    await child.kill();
    crew.removeSegment();
    const found = await crew.run(program, ["resume", ahead, common]);
    expect(found).toEqual({
      ahead: { code: "POSITION_LOST", reason: "diverged", retryable: false, lastCommon: true },
      common: [3],
    });
  });

  test("changes: waiting for a position of another process", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const other = await temporary.open();
    const [database, timeline, csn = ""] = db.position().split(".");
    const next = (Number.parseInt(csn, 16) + 2).toString(16).padStart(12, "0");
    const later = `${database}.${timeline}.${next}` as Position;
    expect(await codeOf(() => db.waitFor(later, { timeoutMs: 1 }))).toBe("LOCK_TIMEOUT");
    const waiting = db.waitFor(later);
    other.table(Rows).upsert({ id: 1, n: 1 });
    other.table(Rows).upsert({ id: 2, n: 2 });
    await waiting;
    expect(db.table(Rows).get(2)).toBeDefined();
    await db.waitFor(db.position());
  });

  test("changes: a feed that waits does not keep the process with unref", async () => {
    await using crew = new Crew();
    expect(await crew.run("test/process/changes-child.ts", ["unref"])).toEqual({ done: true });
  });
});
