/** A worker that is stopped in the middle of a commit, and says how the commit went. */
import { defineTable, t } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { armFault } from "../support/fault.ts";
import { post } from "../support/post.ts";

export const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32().index() });

if (import.meta.main) {
  const db = await post.open({ tables: [Rows], maxBytes: 16 << 20 });
  using tx = db.begin();
  tx.table(Rows).insert({ id: 1, n: 1 });
  armFault(`stop ${post.word(0)}`, 1);
  tx.commit();
  const { retries, wounded } = db.stats().counters;
  say(JSON.stringify({ retries, wounded }));
  db.close();
}
