/** `fill`, or INDEX: increments one row until told to stop, and says each of its increments. */
import { defineTable, t } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";

const Hot = defineTable("Hot", { id: t.u32().primaryKey(), n: t.u32(), last: t.u32() });

const db = await post.open({ tables: [Hot] });
if (post.word(0) === "fill") {
  db.table(Hot).insert({ id: 1, n: 0, last: 0 });
} else if (post.word(0) === "look") {
  say(String(db.table(Hot).get(1)?.n));
} else {
  const last = post.number(0);
  let done = 0;
  while (done % 8 !== 0 || !post.isOver) {
    db.transact(
      (tx) => {
        const hot = tx.table(Hot);
        hot.update(1, { n: (hot.get(1)?.n ?? 0) + 1, last });
      },
      { retries: 10_000 },
    );
    say(String(++done));
  }
}
db.close();
