/**
 * Children of the catalog suite. `create SCHEMA`: says `open`, then creates the table when the
 * crew's stop file is there, and writes a row; with `POINT HITS` at once, to die there. `wait`:
 * writes a row the moment it sees the table, and creates it when the stop file is there and the
 * table is not. `look`: what is there.
 */
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { armFault } from "../support/fault.ts";
import { post } from "../support/post.ts";

const one = defineTable("Shared", { id: t.u32().primaryKey(), n: t.u32().index() });
const other = defineTable("Shared", { id: t.u32().primaryKey(), n: t.u32() });
/** There before, so that what comes to the log is not all of one table. */
const Before = defineTable("Before", { id: t.u32().primaryKey() });

/** Writes a row that is on the disk when this returns. */
function write(db: Database, id: number): void {
  db.transact((tx) => tx.table("Shared").upsert({ id, n: id }), { durability: "sync" });
}

function create(db: Database, table: typeof one | typeof other): string {
  try {
    db.createTable(table);
    return "ok";
  } catch (error) {
    if (error instanceof AerostoreError) return error.code;
    throw error;
  }
}

async function told(): Promise<void> {
  while (!post.isOver) await Bun.sleep(1);
}

const db = await post.open({ tables: [Before] });
const key = process.pid;
switch (post.word(0)) {
  case "create": {
    const point = post.word(2);
    if (point !== "") armFault(point, post.number(3));
    say("open");
    if (point === "") await told();
    const code = create(db, post.word(1) === "one" ? one : other);
    if (code === "ok") write(db, key);
    say(JSON.stringify({ code, key: code === "ok" ? key : 0 }));
    break;
  }
  case "wait": {
    say("open");
    while (!db.tables().some(({ name }) => name === "Shared")) {
      if (post.isOver) create(db, one);
      else await Bun.sleep(0);
    }
    write(db, key);
    say(JSON.stringify({ key, problems: db.check().problems }));
    break;
  }
  default: {
    const names = db.tables().map(({ name }) => name);
    const keys = names.includes("Shared") ? db.table("Shared").search("-sort id").toArray() : [];
    const { problems } = db.check();
    say(JSON.stringify({ names, keys: keys.map(({ id }) => id), problems, mode: db.boot.mode }));
  }
}
db.close();
