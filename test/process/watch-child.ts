/** Random writes, then a row that ends them. */
import { open } from "../../src/index.ts";
import { Random } from "../support/random.ts";

const [directory = "", shmPath = "", seed = "1"] = process.argv.slice(2);
const random = new Random(Number(seed));
const db = await open(directory, { shmPath });
const planes = db.table("Planes");
for (let step = 0; step < 5_000; step++) {
  const id = random.below(200);
  if (random.below(5) === 0) planes.delete(id);
  else planes.upsert({ id, altitude: random.below(1_000), lat: random.below(1_000) / 100 });
}
planes.upsert({ id: 1_000, altitude: 100_000, lat: 0 });
db.close();
