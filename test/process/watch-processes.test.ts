/** A standing query beside another process that writes as fast as it can. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { defineTable, t } from "../../src/index.ts";
import { chooseSeed } from "../support/random.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const Planes = defineTable("Planes", {
  id: t.i32().primaryKey(),
  altitude: t.i32().index(),
  lat: t.decimal(2).index(),
});
type Plane = typeof Planes.$row;

test("watch: what another process does meanwhile is folded to what it leaves", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Planes] });
  const query = "-compare {> altitude 300}";
  const folds = [query, `${query} -sort -altitude -limit 20`].map((each) => ({
    query: each,
    watch: db.table(Planes).watch(each),
    rows: new Map<number, Plane>(),
  }));
  const program = join(import.meta.dir, "watch-child.ts");
  const seed = String(chooseSeed());
  const child = Bun.spawn({
    cmd: [process.execPath, program, temporary.directory, temporary.shmPath, seed],
    stdout: "inherit",
    stderr: "inherit",
  });
  // The child's last commit makes a row that is the first of every window.
  const follow = async ({ watch, rows }: (typeof folds)[number]): Promise<void> => {
    for await (const delta of watch) {
      if (delta.reset) rows.clear();
      for (const key of delta.left) rows.delete(key);
      for (const row of [...delta.entered, ...delta.changed]) rows.set(row.id, row);
      if (rows.has(1_000)) return;
    }
  };
  await Promise.all(folds.map(follow));
  expect(await child.exited).toBe(0);
  for (const { query: each, rows } of folds) {
    const found = db.table(Planes).search(each).toArray();
    expect(rows).toEqual(new Map(found.map((row) => [row.id, row])));
  }
});
