/**
 * Children of the tests of a full segment. `hold`: keeps a snapshot until another session waits for
 * room. `keep`: keeps one until it is killed. `write COUNT`: so many updates; how many were made.
 * `fill`: updates until there is no room; then the share of the segment in use and the message, and
 * `again` when updates succeed again.
 */
import { AerostoreError, defineTable, t } from "../../src/index.ts";
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
} else if (post.word(0) === "keep") {
  things.upsert({ id: 1, text: "held" });
  using tx = db.begin(); // until the end: a transaction that nothing refers to is let go
  tx.table(Things).get(1);
  say("held");
  await new Promise(() => setInterval(() => {}, 60_000));
} else if (post.word(0) === "fill") {
  let done = 0;
  const update = (): string => {
    try {
      things.upsert({ id: done++ % 100, text: `${done}` });
      return "";
    } catch (error) {
      if (error instanceof AerostoreError && error.code === "SEGMENT_FULL") return error.message;
      throw error;
    }
  };
  let message = "";
  while (message === "") message = update();
  const { usedBytes, segmentBytes } = db.stats().memory;
  say(String(usedBytes / segmentBytes));
  say(message);
  while (update() !== "");
  say("again");
} else {
  let done = 0;
  for (; done < post.number(1); done++) things.upsert({ id: done % 100, text: `${done}` });
  say(String(done));
}
db.close();
