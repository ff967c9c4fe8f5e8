/**
 * Children of the snapshot torture. `write`: keeps pairs of rows equal and opposite until told to
 * stop. `read COUNT`: looks at pairs in read-only transactions, and says what is torn.
 */
import { defineTable, t } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";

const pairCount = 16;

const Pairs = defineTable("Pairs", {
  id: t.u32().primaryKey(),
  pair: t.u32().index(),
  value: t.i32().index(),
});

const db = await post.open({ tables: [Pairs] });
const random = new Random(post.number(1));

if (post.word(0) === "write") {
  for (let n = 1; n % 64 !== 0 || !post.isOver; n++) {
    const pair = random.below(pairCount);
    const value = random.between(1, 1_000_000);
    db.transact((tx) => {
      const pairs = tx.table(Pairs);
      // Also rows that come and go: both are there, or none.
      if (pair < 2 && random.oneIn(2)) {
        pairs.delete(pair * 2);
        pairs.delete(pair * 2 + 1);
      } else {
        pairs.upsert({ id: pair * 2, pair, value });
        pairs.upsert({ id: pair * 2 + 1, pair, value: -value });
      }
    });
    if (n === 64) say("ready");
  }
} else {
  const count = post.number(2);
  let seen = 0;
  for (let n = 0; n < count; n++) {
    const pair = random.below(pairCount);
    const [torn, changed] = db.snapshot((view) => {
      const pairs = view.table(Pairs);
      const first = pairs.get(pair * 2)?.value;
      const both = random.oneIn(8)
        ? pairs
            .search(`-compare {{= pair ${pair}}}`)
            .toArray()
            .map(({ value }) => value)
        : [first, pairs.get(pair * 2 + 1)?.value].flatMap((value) => value ?? []);
      const all = random.oneIn(64) ? pairs.search("-sort value").toArray() : [];
      const sum = all.reduce((total, { value }) => total + value, 0);
      const isTorn =
        both.length === 1 ||
        both.reduce((total, value) => total + value, 0) !== 0 ||
        all.length % 2 !== 0 ||
        sum !== 0;
      const isChanged = pairs.get(pair * 2)?.value !== first;
      return [isTorn ? JSON.stringify({ both, all }) : "", isChanged];
    });
    if (torn !== "") say(`torn: ${torn}`);
    if (changed) say(`pair ${pair} changed within a snapshot`);
    seen++;
  }
  say(JSON.stringify(seen));
}
db.close();
