/** Files of every format version there has been open with the same rows, or are refused by name. */
import { expect, test } from "bun:test";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryDatabase } from "../support/temporary-database.ts";
import { contents, Everything, Late, open } from "./golden.ts";

const versions = readdirSync(import.meta.dir).filter((name) => /^v\d+$/.test(name));
/** Written before 0.2, whose formats took the place of theirs. */
const refused = ["v1"];
const present = "v2";

function copyOf(version: string): TemporaryDatabase {
  const temporary = new TemporaryDatabase();
  cpSync(join(import.meta.dir, version), temporary.directory, { recursive: true });
  return temporary;
}

test("golden: there are files of the present version", () => {
  expect(versions).toContain(present);
});

for (const version of versions.filter((each) => !refused.includes(each))) {
  const rows = readFileSync(join(import.meta.dir, version, "rows.txt"), "utf8").trimEnd();

  test(`golden: the files of ${version} give the same rows, cold and warm`, async () => {
    using temporary = copyOf(version);
    const { directory, shmPath } = temporary;
    for (const mode of ["ColdReplay", "WarmAttach"]) {
      using db = await open(directory, shmPath, [Everything, Late]);
      expect(db.boot).toMatchObject({ mode, truncatedBytes: 0 });
      expect(contents(db).join("\n")).toBe(rows);
      expect(db.check().problems).toEqual([]);
    }
    // And again from what this version writes.
    const db = await open(directory, shmPath);
    await db.checkpoint();
    db.close();
    temporary.dropSegment();
    using again = await open(directory, shmPath);
    expect(contents(again).join("\n")).toBe(rows);
  });
}

const files = { "aerostore.wal": "WAL_CORRUPT", "occ_checkpoint.dat": "CHECKPOINT_CORRUPT" };
for (const [name, code] of Object.entries(files)) {
  test(`golden: ${name} of a version to come is refused by name`, async () => {
    using temporary = copyOf(present);
    const path = temporary.path(name);
    const bytes = readFileSync(path);
    bytes.writeUInt32LE(99, 8);
    writeFileSync(path, bytes);
    await expect(open(temporary.directory, temporary.shmPath)).rejects.toThrow(
      expect.objectContaining({
        code,
        path,
        offset: 0,
        message: expect.stringContaining("another version of Aerostore wrote it"),
      }),
    );
  });
}

for (const version of refused) {
  test(`golden: the files of ${version} are refused by name, and stay as they are`, async () => {
    using temporary = copyOf(version);
    const before = readdirSync(temporary.directory).toSorted();
    await expect(open(temporary.directory, temporary.shmPath)).rejects.toThrow(
      expect.objectContaining({
        code: "CHECKPOINT_CORRUPT",
        message: expect.stringMatching(/another version of Aerostore wrote it; open the directory/),
      }),
    );
    for (const name of before) {
      if (name === "aerostore.id") continue;
      const kept = readFileSync(temporary.path(name));
      expect(kept.equals(readFileSync(join(import.meta.dir, version, name)))).toBe(true);
    }
  });
}
