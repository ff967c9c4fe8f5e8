/**
 * Children of the churn suite. `fill SEED MB`: rows, and a limit of the log unless 0; `work SEED
 * UPDATES`: updates of random rows, one by one and in batches, and says each hundredth of them that
 * is done; `look`: memory, checked or not.
 */
import { defineTable, t } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";

const rowCount = 50_000;
const batch = 100;

const Rows = defineTable("Rows", {
  id: t.u32().primaryKey(),
  altitude: t.i32().index(),
  at: t.u64().index(),
  note: t.u32(),
});

const db = await post.open({ tables: [Rows] });
const rows = db.table(Rows);
const random = new Random(post.number(1));
const draw = (n: number): { id: number; altitude: number; at: number; note: number } => ({
  id: random.below(rowCount),
  altitude: random.below(45_000),
  at: n,
  note: random.below(1_000),
});
if (post.word(0) === "fill") {
  const limit = post.number(2);
  if (limit > 0) db.setConfig("aerostore.log_size_limit_mb", limit);
  rows.upsertMany(Array.from({ length: rowCount }, (_, id) => ({ ...draw(id), id })));
  say("null");
} else if (post.word(0) === "work") {
  const updates = post.number(2);
  const part = Math.ceil(updates / 100);
  let said = 0;
  for (let done = 0; done < updates;) {
    if (random.oneIn(200)) {
      rows.upsertMany(Array.from({ length: batch }, (_, index) => draw(done + index)));
      done += batch;
    } else {
      rows.upsert(draw(done));
      done++;
    }
    if (done >= (said + 1) * part) say(String(++said));
  }
} else {
  const problems = post.word(2) === "check" ? [...db.check().problems] : [];
  if (rows.count() !== rowCount) problems.push(`${rows.count()} rows instead of ${rowCount}`);
  const { memory, checkpoint } = db.stats();
  say(JSON.stringify({ problems, usedBytes: memory.usedBytes, checkpoints: checkpoint.count }));
}
db.close();
