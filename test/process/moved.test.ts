import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineTable, open, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32() });

/** A place for directories that are moved, and segments of their own. */
class Place implements Disposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "aerostore-moved-"));
  readonly #segments: string[] = [];

  path(name: string): string {
    return join(this.root, name);
  }

  async open(name: string, segment: string): Promise<Database> {
    const shmPath = join("/dev/shm", `${this.root.split("/").at(-1)}-${segment}.mmap`);
    this.#segments.push(shmPath);
    const options = { tables: [Rows], shmPath, maxBytes: 16 << 20, maxSessions: 16 };
    return open(this.path(name), options);
  }

  dropSegments(): void {
    for (const path of this.#segments.splice(0)) rmSync(path, { force: true });
  }

  [Symbol.dispose](): void {
    this.dropSegments();
    rmSync(this.root, { recursive: true, force: true });
  }
}

const commit = (db: Database, id: number): void => {
  db.transact((tx) => tx.table(Rows).upsert({ id, n: id }), { durability: "sync" });
};
const idsOf = (db: Database): number[] =>
  db
    .table(Rows)
    .search("-sort id")
    .toArray()
    .map(({ id }) => id);

/** Names and bytes of a directory, but for the lock. */
function contents(directory: string): Record<string, string> {
  const names = readdirSync(directory).filter((name) => name !== "aerostore.lock");
  return Object.fromEntries(
    names.map((name) => [
      name,
      new Bun.SHA256().update(readFileSync(join(directory, name))).digest("hex"),
    ]),
  );
}

describe("moved directories", () => {
  test("moved: a renamed living database leaves another at its old path alone", async () => {
    using place = new Place();
    const first = await place.open("data", "first");
    commit(first, 1);
    renameSync(place.path("data"), place.path("moved"));
    {
      const second = await place.open("data", "second");
      commit(second, 100);
      await second.checkpoint();
      commit(second, 101);
      second.close();
    }
    const before = contents(place.path("data"));
    commit(first, 2);
    await first.checkpoint();
    commit(first, 3);
    expect(first.check().problems).toEqual([]);
    first.close();
    expect(contents(place.path("data"))).toEqual(before);
    expect(existsSync(place.path("moved/occ_checkpoint.dat"))).toBe(true);

    place.dropSegments();
    const [one, two] = [await place.open("moved", "first"), await place.open("data", "second")];
    expect(idsOf(one)).toEqual([1, 2, 3]);
    expect(idsOf(two)).toEqual([100, 101]);
    one.close();
    two.close();
  });

  test("moved: closed, renamed and opened again in one process", async () => {
    using place = new Place();
    const before = await place.open("data", "same");
    commit(before, 1);
    before.close();
    renameSync(place.path("data"), place.path("moved"));
    const after = await place.open("moved", "same");
    commit(after, 2);
    await after.checkpoint();
    commit(after, 3);
    expect(after.check().problems).toEqual([]);
    after.close();
    place.dropSegments();
    const cold = await place.open("moved", "same");
    expect(cold.boot.mode).toBe("ColdReplay");
    expect(idsOf(cold)).toEqual([1, 2, 3]);
    cold.close();
  });

  test("moved: temporary names that lead elsewhere are not followed", async () => {
    using place = new Place();
    writeFileSync(place.path("precious"), "precious");
    const db = await place.open("data", "links");
    commit(db, 1);
    db.close();
    place.dropSegments();
    const links = ["aerostore.id.tmp", "occ_checkpoint.dat.tmp", "aerostore.wal.2.tmp"];
    for (const name of links) symlinkSync("../precious", place.path(`data/${name}`));
    // Elsewhere, so that the identity is written again.
    const again = await place.open("data", "elsewhere");
    commit(again, 2);
    await again.checkpoint();
    again.close();
    expect(readFileSync(place.path("precious"), "utf8")).toBe("precious");
  });
});
