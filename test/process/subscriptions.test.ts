import { describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Change, ChangeFeed, Database } from "../../src/index.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32() });
const Counts = defineTable("Counts", { id: t.u32().primaryKey(), seen: t.u32() });
const tables = [Rows, Counts];

const write = (db: Database, n: number): void => {
  db.table(Rows).upsert({ id: n % 10, n });
};
const numberOf = ({ writes: [first] }: Change): number =>
  Number(first?.changed?.["n"] ?? first?.row?.["n"]);

async function* commits(feed: ChangeFeed): AsyncGenerator<Change, void> {
  for await (const change of feed) if (change.kind === "commit") yield change;
}

describe("subscriptions", () => {
  test("subscriptions: what was acknowledged is not told again, not after a restart", async () => {
    using temporary = new TemporaryDatabase();
    let db = await temporary.open({ tables });
    const options = { name: "mirror", tables: ["Rows"] };
    await db.changes(options)[Symbol.asyncDispose]();
    for (let n = 0; n < 20; n++) write(db, n);
    const seen: number[] = [];
    for await (const change of commits(db.changes(options))) {
      seen.push(numberOf(change));
      if (seen.length === 8) {
        await change.ack();
        break;
      }
    }
    await db.checkpoint();
    temporary.dropSegment();
    db = await temporary.open({ tables });
    expect(db.boot.mode).toBe("ColdReplay");
    expect(db.subscriptions()).toMatchObject([{ name: "mirror", live: false }]);
    for await (const change of commits(db.changes(options))) {
      seen.push(numberOf(change));
      // Nothing of this is acknowledged.
      if (seen.length === 20) break;
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n));
    for await (const change of commits(db.changes(options))) {
      expect(numberOf(change)).toBe(8);
      break;
    }
  });

  test("subscriptions: effect and position are one commit", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const options = { name: "counter", tables: ["Rows"] };
    await db.changes(options)[Symbol.asyncDispose]();
    for (let n = 0; n < 30; n++) write(db, n);
    let told = 0;
    // A consumer that fails again and again, after the effect or before it.
    while ((db.table(Counts).get(1)?.seen ?? 0) < 30) {
      for await (const change of commits(db.changes(options))) {
        told++;
        if (told % 7 === 3) break;
        const tx = db.begin();
        const counts = tx.table(Counts);
        counts.upsert({ id: 1, seen: (counts.get(1)?.seen ?? 0) + 1 });
        change.ackIn(tx);
        if (told % 7 === 5) {
          tx.abort();
          break;
        }
        tx.commit();
        if ((db.table(Counts).get(1)?.seen ?? 0) === 30) break;
      }
    }
    expect(told).toBeGreaterThan(30);
    expect(db.table(Counts).get(1)).toEqual({ id: 1, seen: 30 });
  });

  test("subscriptions: the log is kept for them, up to the limit", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const options = { name: "slow", tables: ["Rows"] };
    await db.changes(options)[Symbol.asyncDispose]();
    const lostAfterCheckpoint = async (): Promise<string | undefined> => {
      write(db, 1);
      await db.durable();
      await db.checkpoint();
      return db.subscriptions()[0]?.lost;
    };
    write(db, 7);
    expect(await lostAfterCheckpoint()).toBeUndefined();
    expect(await lostAfterCheckpoint()).toBeUndefined();
    for await (const change of commits(db.changes(options))) {
      expect(numberOf(change)).toBe(7);
      break;
    }
    db.setConfig("aerostore.log_retention_mb", 0);
    expect(await lostAfterCheckpoint()).toBe("dropped");
    expect(db.dropSubscription("slow")).toBe(true);
    expect(db.dropSubscription("slow")).toBe(false);
    expect(db.subscriptions()).toEqual([]);
  });

  test("subscriptions: mistakes are told", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const feed = db.changes({ name: "one" });
    expect(db.subscriptions()).toMatchObject([{ name: "one", live: true }]);
    expect(await codeOf(() => db.changes({ name: "one" }))).toBe("LOCK_TIMEOUT");
    await feed[Symbol.asyncDispose]();
    const again = db.changes({ name: "one" });
    again.close();
    expect(() => db.changes({ name: "" })).toThrow(RangeError);
    const nameless = db.changes();
    write(db, 1);
    for await (const change of nameless) {
      expect(() => change.ack()).toThrow(TypeError);
      break;
    }
  });
});
