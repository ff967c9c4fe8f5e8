/**
 * Changes rows without end, several in each transaction:
 * query-writer.ts DIRECTORY SEGMENT SEED
 */
import { open } from "../../src/index.ts";
import { Random } from "../support/random.ts";
import { Readings, rowsCount } from "./query-readings.ts";

const [directory = "", shmPath = "", seed = "1"] = process.argv.slice(2);
const database = await open(directory, { shmPath, tables: [Readings] });
const random = new Random(Number(seed));
const table = database.table(Readings);
for (let round = 0; ; round++) {
  database.transact((tx) => {
    const readings = tx.table(Readings);
    for (let index = 0; index < 8; index++) {
      const id = random.below(rowsCount);
      if (random.oneIn(6)) readings.delete(id);
      else
        readings.upsert({
          id,
          level: random.below(50),
          place: random.pick(["a", "B", "ab", null]),
        });
    }
  });
  if (round === 20) console.log(table.count());
}
