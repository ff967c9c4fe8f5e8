/**
 * Children of the takeover suite. `work INDEX CHECKPOINT-EVERY [POINT HITS]`: numbered transactions
 * that wait for the disk, each number said when it is there; dies when it passes the kill point so
 * often. `look`: what all workers left. `stand`: stops being of use as a writer once a commit is
 * written and not synced. `checkpoint`: writes one, which waits for the disk.
 */
import { defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { loadLibrary } from "../../src/ffi/library.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";

const Counters = defineTable("Counters", { id: t.u32().primaryKey(), n: t.u32() });
/** The last numbers of every worker, in circles. */
const Entries = defineTable("Entries", {
  id: t.string(16).primaryKey(),
  n: t.u32().index(),
  text: t.string(40),
});
const kept = 40;

function arm(point: string, hits: number): void {
  const name = new TextEncoder().encode(point);
  const status = loadLibrary().symbols.aerostore_fault_arm(name, name, hits);
  if (status !== 0) throw new Error("this library has no kill points");
}

const textOf = (index: number, n: number): string => "x".repeat((index * 7 + n) % 40);

function commit(
  db: Database,
  index: number,
  n: number,
  durability: "sync" | "async" = "sync",
): void {
  db.transact(
    (tx) => {
      tx.table(Counters).upsert({ id: index, n });
      const id = `${index}-${n % kept}`;
      tx.table(Entries).upsert({ id, n, text: textOf(index, n) });
    },
    { durability },
  );
}

async function work(db: Database): Promise<void> {
  const [index, every] = [post.number(1), post.number(2)];
  const point = post.word(3);
  let n = db.table(Counters).get(index)?.n ?? 0;
  say(`ready ${n}`);
  if (point !== "") arm(point, post.number(4));
  while (!post.isOver) {
    commit(db, index, ++n);
    say(String(n));
    if (every > 0 && n % every === 0) await db.checkpoint();
  }
}

function look(db: Database): object {
  const numbers = db.table(Counters).search("-sort id").toArray();
  const problems: string[] = [...db.check().problems];
  for (const { id: index, n } of numbers) {
    for (let each = Math.max(1, n - kept + 1); each <= n; each++) {
      const row = db.table(Entries).get(`${index}-${each % kept}`);
      if (row?.n === each && row.text === textOf(index, each)) continue;
      problems.push(`entry ${each} of worker ${index} is ${JSON.stringify(row)}`);
    }
  }
  const entries = numbers.reduce((sum, { n }) => sum + Math.min(n, kept), 0);
  const found = db.table(Entries).search("-sort n").toArray().length;
  if (found !== entries) problems.push(`${found} entries instead of ${entries}`);
  return { mode: db.boot.mode, numbers: numbers.map(({ id, n }) => [id, n]), problems };
}

/** Says when the log has a commit that is written and not synced; stays until it is told. */
async function stand(db: Database): Promise<void> {
  commit(db, 0, 1);
  db.setConfig("aerostore.wal_flush_interval_ms", 60_000);
  let n = 1;
  for (let isWritten = false; !isWritten;) {
    commit(db, 0, ++n, "async");
    let { log } = db.stats();
    while (log.drainedCsn < log.tailCsn) ({ log } = db.stats());
    isWritten = log.durableCsn < log.tailCsn;
  }
  say("written");
  while (!post.isOver) await Bun.sleep(10);
}

async function checkpoint(db: Database): Promise<void> {
  await db.checkpoint();
  say(JSON.stringify(db.stats().log));
}

const db = await post.open({ tables: [Counters, Entries] });
const word = post.word(0);
if (word === "work") await work(db);
else if (word === "stand") await stand(db);
else if (word === "checkpoint") await checkpoint(db);
else say(JSON.stringify(look(db)));
db.close();
