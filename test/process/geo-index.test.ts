/** A geo index is kept by commits and rebuilt by recovery; `check` compares it with the rows. */
import { expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import { Random } from "../support/random.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const Positions = defineTable(
  "Positions",
  { id: t.u32().primaryKey(), lat: t.decimal(6).nullable(), lon: t.f64(), n: t.u32().index() },
  { geo: { position: ["lat", "lon"] } },
);

test("geo index: rows that move, go and are recovered keep their entries", async () => {
  using temporary = new TemporaryDatabase();
  const random = new Random(7);
  let entries = 0;
  {
    using db = await temporary.open({ tables: [Positions] });
    const positions = db.table(Positions);
    for (let i = 0; i < 500; i++) {
      const id = random.below(80);
      const lat = random.below(9) === 0 ? null : (random.below(180_000_000) - 90_000_000) / 1e6;
      if (random.below(12) === 0) positions.delete(id);
      else positions.upsert({ id, lat, lon: random.below(360) - 180, n: i });
      if (i === 250) await db.checkpoint();
    }
    const found = db.check();
    expect(found.problems).toEqual([]);
    entries = positions.count();
    await db.durable();
  }
  temporary.dropSegment();
  using db = await temporary.open({ tables: [Positions] });
  const found = db.check();
  expect([found.problems, found.rows]).toEqual([[], entries]);
  // One in each index, and nothing besides.
  expect(found.entries).toBe(2 * entries);
});
