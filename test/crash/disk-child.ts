/**
 * A database whose disk gets full, or fails: what commits, waits and reads say meanwhile and
 * afterwards. Needs the library with fault points. `full`, `retry`, `failing`, `beside`,
 * `rotation`, `linking HITS`, `removal HOW` or `table`; `later` looks at what that one has left;
 * `poison` and `heir` are two processes of one database.
 */
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { loadLibrary } from "../../src/ffi/library.ts";
import { say } from "../support/crew.ts";
import { armFault } from "../support/fault.ts";
import { post } from "../support/post.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32().index() });
const always = 0xffff_ffff;

function fail(what: "space" | "sync" | "noreplace", count: number): void {
  const name = new TextEncoder().encode(what);
  const status = loadLibrary().symbols.aerostore_fault_fail(name, name, count);
  if (status !== 0) throw new Error("this library has no fault points");
}

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof AerostoreError) return error.code;
    throw error;
  }
  return "none";
}

/** Waits for what other threads do; the test that started this one ends what hangs. */
async function until(is: () => boolean): Promise<void> {
  while (!is()) await Bun.sleep(1);
}

const commit = (db: Database, id: number): void => {
  db.table(Rows).upsert({ id, n: id });
};
const commitSync = (db: Database, id: number): void => {
  db.transact((tx) => tx.table(Rows).upsert({ id, n: id }), { durability: "sync" });
};

/** Commits are refused while nothing can be logged, and go on when there is room again. */
async function full(db: Database): Promise<object> {
  commitSync(db, 1);
  fail("space", always);
  const codes = {
    waiting: await codeOf(() => commitSync(db, 2)),
    awaiting: await codeOf(async () => {
      using tx = db.begin();
      await db.durable();
      tx.commit();
    }),
    committing: await codeOf(() => commit(db, 3)),
    reading: await codeOf(() => db.table(Rows).get(1)),
    checkpoint: await codeOf(() => db.checkpoint()),
  };
  const { isStalled } = db.stats().log;
  fail("space", 0);
  await until(() => !db.stats().log.isStalled);
  commitSync(db, 4);
  await db.checkpoint();
  return { codes, isStalled, rows: rowsOf(db) };
}

/** The natural answer to a refused commit is to run it again, which finds nothing to change. */
async function retry(db: Database): Promise<object> {
  commitSync(db, 1);
  fail("space", always);
  const first = await codeOf(() => commitSync(db, 2));
  const full = await codeOf(() => commitSync(db, 2));
  const durable = await codeOf(() => db.durable());
  fail("space", 0);
  await until(() => !db.stats().log.isStalled);
  const roomy = await codeOf(() => commitSync(db, 2));
  const { durableCsn, tailCsn } = db.stats().log;
  return { first, full, durable, roomy, isDurable: durableCsn >= tailCsn };
}

/** Holds the lease, and poisons the log when it is told to; lives on until it is killed. */
async function poison(db: Database): Promise<void> {
  commitSync(db, 1);
  say("holding");
  await until(() => post.isOver);
  fail("sync", 1);
  await codeOf(() => commitSync(db, 2));
  await until(() => db.stats().log.isPoisoned);
  say("poisoned");
  while (true) await Bun.sleep(1_000);
}

/** Would take the lease when the holder has died, if the log could be written. */
async function heir(db: Database, holder: number): Promise<object> {
  say("ready");
  await until(() => db.stats().log.isPoisoned);
  const before = db.stats().log;
  // The maintenance thread has seen that it is dead, and has looked for the lease.
  await until(() => db.stats().sessions.every(({ pid }) => pid !== holder));
  const codes = {
    waiting: await codeOf(() => db.durable()),
    committing: await codeOf(() => commit(db, 3)),
    checkpoint: await codeOf(() => db.checkpoint()),
  };
  const { durableCsn, epoch } = db.stats().log;
  return { codes, raisedBy: durableCsn - before.durableCsn, epochs: epoch - before.epoch };
}

/** Log files are made and retired on an old file system; may die at the `hits`-th renaming. */
async function linking(hits: number): Promise<void> {
  fail("noreplace", always);
  if (hits > 0) armFault("rename.linked", hits);
  const db = await post.open({ tables: [Rows] });
  for (const id of [1, 2, 3]) {
    commitSync(db, id);
    say(String(id));
    await db.checkpoint();
  }
  say(JSON.stringify(rowsOf(db)));
  db.close();
}

/** What is no writer takes the log file away. */
async function removal(db: Database, how: string): Promise<object> {
  commitSync(db, 1);
  const log = join(post.data, "aerostore.wal");
  if (how === "removed") rmSync(log);
  else renameSync(log, join(post.data, "elsewhere"));
  if (how === "replaced") copyFileSync(join(post.data, "elsewhere"), log);
  const before = db.stats().log.durableCsn;
  let told = "";
  const waiting = await codeOf(() => {
    try {
      commitSync(db, 2);
    } catch (error) {
      told = String(error);
      throw error;
    }
  });
  const awaiting = await codeOf(() => db.durable());
  const raisedBy = db.stats().log.durableCsn - before;
  return { waiting, awaiting, raisedBy, told: told.includes("removed, renamed or replaced") };
}

/** A failed sync ends writing for good; what was acknowledged before is what the next one finds. */
async function failing(db: Database): Promise<object> {
  commitSync(db, 1);
  fail("sync", 1);
  const codes = {
    waiting: await codeOf(() => commitSync(db, 2)),
    committing: await codeOf(() => commit(db, 3)),
    reading: await codeOf(() => db.table(Rows).get(1)),
    checkpoint: await codeOf(() => db.checkpoint()),
    opening: await codeOf(() => post.open()),
  };
  return { codes, isPoisoned: db.stats().log.isPoisoned };
}

/** The same where nobody waits for the disk. */
async function beside(db: Database): Promise<object> {
  commitSync(db, 1);
  fail("sync", 1);
  commit(db, 2);
  await until(() => db.stats().log.isPoisoned);
  const codes = {
    waiting: await codeOf(() => db.durable()),
    committing: await codeOf(() => commit(db, 3)),
    reading: await codeOf(() => db.table(Rows).get(2)),
  };
  return { codes };
}

/** A new log file that cannot be made leaves the old one in use. */
async function rotation(db: Database): Promise<object> {
  commitSync(db, 1);
  const before = db.stats().log.epoch;
  // Making the file, its room, and the checkpoint itself.
  fail("space", always);
  const code = await codeOf(() => db.checkpoint());
  fail("space", 0);
  commitSync(db, 2);
  const report = await db.checkpoint();
  return { code, rows: report.rows, hasRotated: db.stats().log.epoch > before };
}

const Later = defineTable("Later", { id: t.u32().primaryKey() });

/** A table that could not be created on a full disk is created when there is room. */
async function table(db: Database): Promise<object> {
  fail("space", always);
  const codes = {
    waiting: await codeOf(() => commitSync(db, 1)),
    creating: await codeOf(() => db.createTable(Later)),
    again: await codeOf(() => db.createTable(Later)),
    using: await codeOf(() => db.table(Later)),
  };
  fail("space", 0);
  await until(() => !db.stats().log.isStalled);
  db.createTable(Later);
  db.transact((tx) => tx.table(Later).upsert({ id: 7 }), { durability: "sync" });
  return { codes, problems: db.check().problems };
}

function rowsOf(db: Database): number[] {
  return db
    .table(Rows)
    .search("-sort id")
    .toArray()
    .map(({ id }) => id);
}

if (post.word(0) === "linking") {
  await linking(post.number(1));
  process.exit(0);
}
const db = await post.open({ tables: [Rows] });
switch (post.word(0)) {
  case "full":
    say(JSON.stringify(await full(db)));
    break;
  case "removal":
    say(JSON.stringify(await removal(db, post.word(1))));
    break;
  case "retry":
    say(JSON.stringify(await retry(db)));
    break;
  case "poison":
    await poison(db);
    break;
  case "heir":
    say(JSON.stringify(await heir(db, post.number(1))));
    break;
  case "failing":
    say(JSON.stringify(await failing(db)));
    break;
  case "beside":
    say(JSON.stringify(await beside(db)));
    break;
  case "table":
    say(JSON.stringify(await table(db)));
    break;
  case "later":
    say(JSON.stringify({ rows: db.table(Later).count(), problems: db.check().problems }));
    break;
  case "rotation":
    say(JSON.stringify(await rotation(db)));
    break;
  default: {
    const { mode, reason } = db.boot;
    say(JSON.stringify({ rows: rowsOf(db), mode, reason, problems: db.check().problems }));
  }
}
db.close();
