/** A worker that takes a batch, says what is in it, and waits to be killed. */
import { open } from "../../src/index.ts";

const [directory = "", shmPath = ""] = process.argv.slice(2);
const db = await open(directory, { shmPath });
for await (const { rows } of db.table("Jobs").due({ column: "at", batch: 3 })) {
  console.log(JSON.stringify(rows.map((row) => row["id"])));
  await new Promise<void>(() => {
    setInterval(() => {}, 60_000);
  });
}
