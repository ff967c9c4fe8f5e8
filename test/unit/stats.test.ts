/** Counters are sums that never fall. */
import { expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const Things = defineTable("Things", { id: t.i32().primaryKey(), value: t.i32() });

test("stats: counters of a session stay when it ends, and are not those of the next", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Things] });
  const other = await temporary.open();
  for (let id = 0; id < 5; id++) other.table(Things).insert({ id, value: id });
  const before = db.stats();
  expect(before.counters.commits).toBeGreaterThanOrEqual(5);
  other.close();
  expect(db.stats().counters).toEqual(before.counters);
  // It takes the slot that has become free.
  const next = await temporary.open();
  const { counters, sessions } = next.stats();
  expect(counters.commits).toBe(before.counters.commits);
  // The first one has made the table.
  expect(sessions.filter(({ commits }) => commits > 1)).toEqual([]);
  next.table(Things).delete(0);
  expect(db.stats().counters.commits).toBe(before.counters.commits + 1);
});
