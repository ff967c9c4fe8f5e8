/**
 * Children of the tests of changes. `unsynced`: says a position that is on the disk and a later one
 * that is not. `resume AHEAD COMMON`: follows from both. `unref`: ends while a feed waits.
 */
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database, Position } from "../../src/index.ts";
import { Status } from "../../src/ffi/abi.gen.ts";
import { loadLibrary } from "../../src/ffi/library.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32() });

async function unsynced(db: Database): Promise<void> {
  db.table(Rows).upsert({ id: 1, n: 1 });
  await db.checkpoint();
  const common = db.position();
  // The disk takes nothing any more, so that what is committed now is in memory alone.
  const name = new TextEncoder().encode("space");
  const status = loadLibrary().symbols.aerostore_fault_fail(name, name, 0xffff_ffff);
  if (status !== Status.ok) throw new Error("this library has no fault points");
  db.table(Rows).upsert({ id: 2, n: 2 });
  say(`positions ${common} ${db.position()}`);
  process.kill(process.pid, "SIGKILL");
}

async function resume(db: Database): Promise<object> {
  const [ahead, common] = [post.word(1) as Position, post.word(2) as Position];
  db.table(Rows).upsert({ id: 3, n: 3 });
  const lost: Record<string, unknown> = {};
  try {
    db.changes({ from: ahead });
  } catch (error) {
    if (!(error instanceof AerostoreError)) throw error;
    const { code, reason, retryable } = error;
    Object.assign(lost, { code, reason, retryable, lastCommon: error.lastCommon !== undefined });
  }
  const keys: unknown[] = [];
  for await (const change of db.changes({ from: common })) {
    keys.push(...change.writes.map(({ key }) => key));
    if (change.kind === "commit") break;
  }
  return { ahead: lost, common: keys };
}

const db = await post.open({ tables: [Rows] });
switch (post.word(0)) {
  case "unsynced":
    await unsynced(db);
    break;
  case "resume":
    say(JSON.stringify(await resume(db)));
    db.close();
    break;
  default: {
    const next = db.changes({ unref: true })[Symbol.asyncIterator]().next();
    next.catch(() => undefined);
    await Bun.sleep(1);
    say(JSON.stringify({ done: true }));
  }
}
