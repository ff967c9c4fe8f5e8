/** A data directory that was copied or renamed, and the segment that it names. */
import { expect, test } from "bun:test";
import { cpSync, renameSync } from "node:fs";
import { join } from "node:path";
import { defineTable, t } from "../../src/index.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Notes = defineTable("notes", { id: t.u32().primaryKey(), rank: t.i32().index() });
const tables = [Notes];
const rows = Array.from({ length: 100 }, (_, id) => ({ id, rank: id % 7 }));

test("open: a copy of the data directory never shares the segment of the original", async () => {
  using temporary = new TemporaryDatabase();
  using copy = new TemporaryDatabase();
  const db = await temporary.open({ tables });
  db.table(Notes).upsertMany(rows);
  await db.durable();
  cpSync(temporary.directory, copy.directory, { recursive: true });
  const attempt = copy.open({ tables, shmPath: temporary.shmPath });
  expect(await codeOf(() => attempt)).toBe("PERMISSION");
  // In a segment of its own it is a database of its own, and the original goes on.
  const other = await copy.open({ tables });
  expect(other.boot.mode).toBe("ColdReplay");
  other.table(Notes).deleteWhere("-compare {}");
  expect(db.table(Notes).count()).toBe(100);
  expect((await temporary.open()).boot.mode).toBe("WarmAttach");
  expect(db.check().ok).toBe(true);
});

test("open: a data directory that was renamed attaches its segment", async () => {
  using temporary = new TemporaryDatabase();
  (await temporary.open({ tables })).table(Notes).upsertMany(rows);
  temporary.closeAll();
  const moved = `${temporary.directory}-moved`;
  renameSync(temporary.directory, moved);
  const index = JSON.stringify(join(import.meta.dir, "../../src/index.ts"));
  const program = `
    import { open } from ${index};
    console.log((await open(${JSON.stringify(moved)})).boot.mode);
  `;
  const child = Bun.spawnSync([process.execPath, "-"], { stdin: Buffer.from(program) });
  renameSync(moved, temporary.directory);
  expect(child.stdout.toString().trim()).toBe("WarmAttach");
});
