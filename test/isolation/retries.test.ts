import { expect, test } from "bun:test";
import { defineTable, open, t } from "../../src/index.ts";
import { Crew } from "../support/crew.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32() });

test("retries: a row lost again and again is latched, and both are counted", async () => {
  await using crew = new Crew();
  const options = { tables: [Rows], shmPath: crew.shmPath, maxBytes: 16 << 20 };
  using db = await open(crew.data, options);
  using other = await open(crew.data, options);
  other.table(Rows).insert({ id: 1, n: 0 });
  const losses = 5;
  let attempts = 0;
  db.transact((tx) => {
    const rows = tx.table(Rows);
    const n = rows.get(1)?.n ?? 0;
    if (attempts++ < losses) other.table(Rows).update(1, { n: n + 1 });
    rows.update(1, { n: n + 1 });
  });
  expect(attempts).toBe(losses + 1);
  expect(db.table(Rows).get(1)?.n).toBe(losses + 1);
  const { retries, escalations, conflictsRow } = db.stats().counters;
  expect({ retries, conflictsRow }).toEqual({ retries: losses, conflictsRow: losses });
  // Latched behind the third loss.
  expect(escalations).toBe(losses - 2);
});

test("retries: begin() may say that it is one, and stays as old as what was lost", async () => {
  await using crew = new Crew();
  const options = { tables: [Rows], shmPath: crew.shmPath, maxBytes: 16 << 20 };
  using db = await open(crew.data, options);
  using first = db.begin();
  first.abort();
  using again = db.begin({ isRetry: true });
  again.table(Rows).insert({ id: 1, n: 1 });
  again.commit();
  expect(db.stats().counters.retries).toBe(1);
});
