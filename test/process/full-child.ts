/**
 * Children of the tests of a full segment. `hold`: keeps a snapshot until somebody waits for room.
 * `write COUNT`: so many updates; how many were made.
 */
import { defineTable, t } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";

const Things = defineTable("things", { id: t.u32().primaryKey(), text: t.string(60) });

const db = await post.open({ tables: [Things], maxBytes: 8 << 20 });
const things = db.table(Things);
if (post.word(0) === "hold") {
  things.upsert({ id: 1, text: "held" });
  const before = db.stats().counters.waits;
  using tx = db.begin();
  tx.table(Things).get(1);
  say("held");
  while (db.stats().counters.waits === before) await Bun.sleep(1);
} else {
  let done = 0;
  for (; done < post.number(1); done++) things.upsert({ id: done % 100, text: `${done}` });
  say(String(done));
}
db.close();
