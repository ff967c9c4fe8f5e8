/**
 * Children of the durability tests. `hold`: has the log writer until told to stop. `sync`, `async`:
 * commits that wait for the disk, one way or the other. `loop MODE`: the same until it is killed.
 */
import { defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32() });

async function commit(db: Database, mode: string, n: number): Promise<void> {
  const durability = mode === "sync" ? "sync" : "async";
  db.transact((tx) => tx.table(Rows).upsert({ id: n % 100, n }), { durability });
  if (mode === "async") await db.durable();
}

const db = await post.open({ tables: [Rows] });
// What is synced in this test was asked for.
db.setConfig("aerostore.wal_flush_interval_ms", 60_000);
const mode = post.word(0);
switch (mode) {
  case "hold":
    say("ready");
    while (!post.isOver) await Bun.sleep(5);
    break;
  case "loop":
    for (let n = 1; ; n++) {
      await commit(db, post.word(1), n);
      say(String(n));
    }
  default: {
    for (let n = 1; n <= 50; n++) await commit(db, mode, n);
    const { tailCsn, durableCsn } = db.stats().log;
    say(JSON.stringify({ mode, commits: 50, isDurable: durableCsn >= tailCsn }));
  }
}
db.close();
