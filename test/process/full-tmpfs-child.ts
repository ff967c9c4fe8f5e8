/**
 * Fills the tmpfs on which the segment of `full-tmpfs-child.ts DIRECTORY` is, by batches, by rows
 * and by a transaction; what came of each statement, as JSON.
 */
import { defineTable, open, t } from "../../src/index.ts";
import { codeOf } from "../support/temporary-database.ts";

const Things = defineTable("things", {
  id: t.u32().primaryKey(),
  rank: t.i32().index(),
  text: t.string(60),
});

const [, , directory = ""] = process.argv;
const db = await open(directory, { tables: [Things] });
const things = db.table(Things);
const row = (id: number, rank: number) => ({ id, rank, text: "x".repeat(40) });
const isOrdered = (): boolean => {
  return things
    .search("-compare {= rank 0} -sort id -fields id")
    .toArray()
    .every(({ id }, index) => id === index * 100);
};

let count = 0;
const fill = (size: number): void => {
  for (; ; count += size) {
    things.upsertMany(Array.from({ length: size }, (_, i) => row(count + i, (count + i) % 100)));
  }
};
const batch = await codeOf(() => fill(1_000));
const single = await codeOf(() => fill(1));
const transaction = await codeOf(() => {
  db.transact((tx) => {
    for (let id = 0; id < 5_000; id++) tx.table(Things).update(id, { rank: 1_000 });
  });
});
const unchanged = {
  count: things.count() === count,
  missing: things.get(count) === undefined,
  first: things.get(0)?.rank === 0,
  index: things.count("-compare {= rank 1000}") === 0 && isOrdered(),
  check: db.check().ok,
};
const deleted = things.deleteWhere("-compare {< rank 50} -limit 500");
const after = {
  deleted: deleted === 500,
  count: things.count() === count - deleted,
  check: db.check().ok,
};
db.close();
const { shmPath } = db;
console.log(JSON.stringify({ shmPath, batch, single, transaction, unchanged, after }));
