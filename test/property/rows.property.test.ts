/** Random operations do to a table what they do to a `Map`. */
import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runModel, Things } from "../support/row-model.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const runs = Number(process.env["AEROSTORE_PROPERTY_RUNS"] ?? 20_000);

test("rows: 20,000 runs of random operations leave what they leave in a Map", async () => {
  const first = chooseSeed();
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Things] });
  const other = await temporary.open();
  for (let run = 0; run < runs; run++) {
    const seed = (first + run) >>> 0;
    const problems = runModel(db, other, seed);
    const replay = `AEROSTORE_SEED=${seed} AEROSTORE_PROPERTY_RUNS=1 bun test rows.property`;
    if (problems.length > 0) throw new Error(`${replay}\n${problems.join("\n")}`);
  }
  expect(db.check()).toMatchObject({ ok: true });
});
