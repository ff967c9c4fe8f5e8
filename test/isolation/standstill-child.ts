/** A worker that stops itself in the middle of a commit, or with a snapshot open. */
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { armFault } from "../support/fault.ts";
import { post } from "../support/post.ts";

export const Rows = defineTable("Rows", {
  id: t.u32().primaryKey(),
  n: t.u32().index(),
  text: t.string(100),
});

/** Rows that the worker adds one to. */
export const movedCount = 20;

function stopWithSnapshot(db: Database): void {
  using tx = db.begin({ readOnly: true });
  tx.table(Rows).get(movedCount);
  process.kill(process.pid, "SIGSTOP");
  try {
    tx.table(Rows).get(movedCount);
    say("{}");
  } catch (error) {
    say(JSON.stringify({ code: error instanceof AerostoreError ? error.code : String(error) }));
  }
}

function stopInCommit(db: Database): void {
  const rows = db.table(Rows);
  // What is vacuumed is old versions, so that there have to be some.
  for (let n = 1; n <= 50; n++) rows.upsert({ id: 1_000_000, n, text: "child" });
  armFault(`stop ${post.word(0)}`, 1);
  let attempts = 0;
  db.transact((tx) => {
    attempts++;
    for (let id = 0; id < movedCount; id++) {
      const row = tx.table(Rows).get(id);
      if (row !== undefined) tx.table(Rows).upsert({ ...row, n: row.n + 1 });
    }
  });
  for (let n = 1; n <= 50; n++) rows.upsert({ id: 1_000_000, n, text: "child" });
  say(JSON.stringify({ attempts }));
}

/** Stopped with the snapshot of a checkpoint, which has then to be one of later. */
async function stopInCheckpoint(db: Database): Promise<void> {
  armFault("stop checkpoint.reading", 1);
  const { rows } = await db.checkpoint();
  say(JSON.stringify({ rows }));
}

/** Writes until it dies, at a record that a commit that was overtaken may have in hand. */
function dieSettingAside(db: Database): void {
  armFault("vacuum.aside", 40);
  for (let n = 1; ; n++) db.table(Rows).upsert({ id: n % 4000, n, text: "dies" });
}

if (import.meta.main) {
  const db = await post.open({ tables: [Rows], maxBytes: 16 << 20 });
  if (post.word(0) === "snapshot") stopWithSnapshot(db);
  else if (post.word(0) === "checkpoint") await stopInCheckpoint(db);
  else if (post.word(0) === "aside") dieSettingAside(db);
  else stopInCommit(db);
  db.close();
}
