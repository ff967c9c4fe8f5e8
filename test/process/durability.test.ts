import { describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { Crew } from "../support/crew.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32() });
const tables = [Rows];

/** A flush interval that no test lives to see: what is synced was asked for. */
function flushRarely(db: Database): void {
  db.setConfig("aerostore.wal_flush_interval_ms", 60_000);
}

function commit(db: Database, id: number): number {
  using tx = db.begin();
  tx.table(Rows).upsert({ id, n: id });
  tx.commit();
  return db.stats().log.tailCsn - 1;
}

describe("durability", () => {
  test("durability: many waiters in one turn of the event loop share syncs", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    flushRarely(db);
    let settled = 0;
    const waits = Array.from({ length: 500 }, async (_, id) => {
      const tx = db.begin();
      tx.table(Rows).upsert({ id, n: 1 });
      tx.commit();
      await tx.durable;
      settled++;
    });
    expect(settled).toBe(0);
    await Promise.all(waits);
    expect(settled).toBe(500);
    expect(db.stats().log.durableCsn).toBe(db.stats().log.tailCsn);
  });

  test("durability: waiters that come while others are waiting are told, too", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    flushRarely(db);
    const lane = async (first: number): Promise<void> => {
      for (let id = first; id < first + 50; id++) {
        const csn = commit(db, id);
        await db.durable();
        expect(db.stats().log.durableCsn).toBeGreaterThan(csn);
      }
    };
    await Promise.all([lane(0), lane(1_000), lane(2_000)]);
    expect(db.table(Rows).count()).toBe(150);
  });

  test("durability: each handle of a process is told by itself", async () => {
    using temporary = new TemporaryDatabase();
    const handles = [await temporary.open({ tables }), await temporary.open()];
    for (const db of handles) flushRarely(db);
    for (let round = 0; round < 50; round++) {
      await Promise.all(
        handles.map((db, index) => {
          commit(db, 2 * round + index);
          return db.durable();
        }),
      );
    }
    expect(handles[0]?.stats().log.durableCsn).toBe(handles[0]?.stats().log.tailCsn);
  });

  /** Each relies on the row that another handle committed, and that is not on disk yet. */
  const reliances: Record<string, (db: Database) => unknown> = {
    "an upsert that changes nothing": (db) => db.table(Rows).upsert({ id: 1, n: 1 }),
    "an upsertMany that changes nothing": (db) => db.table(Rows).upsertMany([{ id: 1, n: 1 }]),
    "a delete that finds nothing": (db) => db.table(Rows).delete(2),
    "a table that exists": (db) => db.createTable(Rows),
    "a transaction that changes nothing": (db) =>
      db.transact((tx) => tx.table(Rows).upsert({ id: 1, n: 1 })),
    "a transaction that only reads": (db) => db.transact((tx) => tx.table(Rows).get(1)),
    "a read-only transaction": (db) => {
      using tx = db.begin({ readOnly: true });
      tx.table(Rows).get(1);
      tx.commit({ durability: "sync" });
    },
    "a transaction that is awaited": async (db) => {
      using tx = db.begin({ readOnly: true });
      tx.table(Rows).get(1);
      tx.commit({ durability: "async" });
      await tx.durable;
    },
    "durable()": (db) => db.durable(),
  };
  for (const [name, rely] of Object.entries(reliances)) {
    test(`durability: ${name} waits for the row that it has seen`, async () => {
      using temporary = new TemporaryDatabase();
      const db = await temporary.open({ tables });
      const other = await temporary.open();
      flushRarely(db);
      db.setConfig("aerostore.synchronous_commit", "on");
      {
        using tx = db.begin();
        tx.table(Rows).upsert({ id: 1, n: 1 });
        tx.commit({ durability: "async" });
      }
      const csn = db.stats().log.tailCsn - 1;
      expect(db.stats().log.durableCsn).toBeLessThanOrEqual(csn);
      await rely(other);
      expect(db.stats().log.durableCsn).toBeGreaterThan(csn);
    });
  }

  test("durability: closing rejects who waits; nothing to wait for settles", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    await db.durable();
    const idle = await temporary.open();
    await idle.durable();
    flushRarely(db);
    commit(db, 1);
    const wait = codeOf(() => db.durable());
    db.close();
    expect(await wait).toBe("CLOSED");
  });

  test("durability: a commit of another process wakes the writer", async () => {
    await using crew = new Crew();
    const program = "test/process/durability-child.ts";
    const writer = crew.start(program, ["hold"]);
    await writer.said("ready");
    for (const mode of ["sync", "async"]) {
      // Ends by itself: neither the stream nor a waiter keeps the process.
      expect(await crew.run(program, [mode])).toEqual({ mode, commits: 50, isDurable: true });
    }
    crew.stop();
    await writer.ended;
  });

  test("durability: killed waiters and a killed writer hinder nobody", async () => {
    await using crew = new Crew();
    const program = "test/process/durability-child.ts";
    const writer = crew.start(program, ["hold"]);
    await writer.said("ready");
    const lost = [crew.start(program, ["loop", "sync"]), crew.start(program, ["loop", "async"])];
    for (const child of lost) await child.said("100");
    await Promise.all(lost.map((child) => child.kill()));
    expect(await crew.run(program, ["sync"])).toMatchObject({ isDurable: true });
    // With the writer gone, somebody who is waiting already takes over.
    const waiting = crew.start(program, ["loop", "sync"]);
    await waiting.said("100");
    await writer.kill();
    const last = Number(waiting.lines.at(-1));
    await waiting.said(String(last + 100));
    const other = crew.start(program, ["loop", "async"]);
    await other.said("100");
    await waiting.kill();
    await other.said(String(Number(other.lines.at(-1)) + 100));
    await other.kill();
  });
});

describe("checkpoints", () => {
  test("checkpoint: one is written when the log has grown to its limit", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables, maxBytes: 64 << 20 });
    const other = await temporary.open();
    db.setConfig("aerostore.log_size_limit_mb", 1);
    for (let n = 1; db.stats().checkpoint.count < 3; n++) {
      const rows = Array.from({ length: 10_000 }, (_, id) => ({ id, n: n * 1_000 + id }));
      db.table(Rows).upsertMany(rows);
      await Bun.sleep(0);
    }
    const { csn, rows } = other.stats().checkpoint;
    expect(csn).toBeGreaterThan(0);
    expect(rows).toBe(10_000);
    expect(db.check().problems).toEqual([]);
  });

  test("checkpoint: one is written at the interval if anything has changed", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    commit(db, 1);
    db.setConfig("aerostore.checkpoint_interval_secs", 1);
    while (db.stats().checkpoint.count === 0) await Bun.sleep(5);
    const { count } = await db.checkpoint().then(() => db.stats().checkpoint);
    commit(db, 2);
    while (db.stats().checkpoint.count === count) await Bun.sleep(5);
    expect(db.stats().checkpoint.csn).toBe(db.stats().log.tailCsn);
  });

  test("checkpoint: what is open over it and commits later is not lost", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables, maxBytes: 64 << 20 });
    db.table(Rows).upsertMany(Array.from({ length: 50_000 }, (_, id) => ({ id, n: 0 })));
    const across = db.begin();
    across.table(Rows).upsert({ id: 1, n: 100 });
    const during = db.begin();
    during.table(Rows).upsert({ id: 100_001, n: 1 });
    const late = db.begin();
    late.table(Rows).delete(3);
    late.table(Rows).upsert({ id: 100_002, n: 2 });
    const checkpoint = db.checkpoint();
    // The checkpoint has its snapshot by now, or takes it later: both must do.
    during.commit();
    db.table(Rows).update(2, { n: 200 });
    across.table(Rows).upsert({ id: 100_003, n: 3 });
    const report = await checkpoint;
    across.commit();
    late.commit();
    db.table(Rows).update(4, { n: 400 });
    await db.durable();
    const before = db.table(Rows).search("-sort id").toArray();
    temporary.dropSegment();
    const cold = await temporary.open({ maxBytes: 64 << 20 });
    expect(cold.boot).toMatchObject({ mode: "ColdReplay", rowsLoaded: report.rows });
    expect(cold.table(Rows).search("-sort id").toArray()).toEqual(before);
    expect(before.length).toBe(50_002);
    expect(cold.check().problems).toEqual([]);
  });
});
