/**
 * Makes the files of `v1` anew: only when the format has changed, into a folder of its own for the
 * new version. Older folders stay as they are.
 *
 *   bun test/compat/make-golden.ts test/compat/v2
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { contents, Everything, Late, open } from "./golden.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const target = process.argv[2];
if (target === undefined) throw new TypeError("name the folder to make");
using temporary = new TemporaryDatabase();
const db = await open(temporary.directory, temporary.shmPath, [Everything]);
const everything = db.table(Everything);
for (let id = 0; id < 20; id++) {
  everything.insert({
    id: `row ${id}`,
    flag: id % 2 === 0,
    tiny: -id,
    small: id * 1_000,
    whole: -id * 1_000_000,
    wide: BigInt(id) * 1_000_000_000_000_000n,
    byte: id,
    port: 60_000 + id,
    count: 4_000_000_000 + id,
    big: 2n ** 63n + BigInt(id),
    single: id / 4,
    double: id / 3,
    price: id / 100,
    at: 1_700_000_000_000 + id,
    text: id % 3 === 0 ? null : `text ${"é".repeat(id)}`,
    blob: new Uint8Array(id).fill(id),
    colour: id % 2 === 0 ? "red" : "green",
  });
}
await db.checkpoint();
for (let id = 0; id < 20; id += 2) everything.update(`row ${id}`, { port: id, text: "changed" });
everything.update("row 1", { whole: 7, double: -0.5, price: 1.25, colour: "blue" });
everything.update("row 4", { text: null });
everything.delete("row 3");
const five = everything.get("row 5");
if (five !== undefined) everything.insert({ ...five, id: "new" });
db.createTable(Late);
db.table(Late).upsertMany([
  { id: -5, name: "minus" },
  { id: 5, name: "plus" },
]);
using tx = db.begin();
tx.table(Late).delete(5);
tx.table(Late).insert({ id: 6, name: "six" });
tx.commit();
await db.durable();
const rows = contents(db);
db.close();
rmSync(temporary.shmPath);
mkdirSync(target, { recursive: true });
copyFileSync(temporary.path("occ_checkpoint.dat"), join(target, "occ_checkpoint.dat"));
const log = readFileSync(temporary.path("aerostore.wal"));
let size = log.length;
while (size > 0 && log[size - 1] === 0) size--;
// Most of the room for what comes next is not part of the example; the last batch may end in zeros.
writeFileSync(join(target, "aerostore.wal"), log.subarray(0, size + 64));
const [id = ""] = readFileSync(temporary.path("aerostore.id"), "utf8").split("\n");
writeFileSync(join(target, "aerostore.id"), `${id}\n/dev/shm/${basename(target)}.golden.mmap\n`);
writeFileSync(join(target, "rows.txt"), `${rows.join("\n")}\n`);
