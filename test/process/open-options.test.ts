/** What opening is told: read-only, sizes, names of the segment, whose directory it is. */
import { expect, test } from "bun:test";
import { chownSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { defineTable, open, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Notes = defineTable("notes", {
  id: t.u32().primaryKey(),
  rank: t.i32().index(),
  text: t.string(200).nullable(),
});

test("open: readOnly attaches and writes nothing; create: false makes nothing", async () => {
  using temporary = new TemporaryDatabase();
  const absent = temporary.path("absent");
  for (const options of [{ readOnly: true }, { create: false }]) {
    expect(await codeOf(() => open(absent, options))).toBe("IO_ERROR");
  }
  expect(existsSync(absent)).toBe(false);
  const db = await temporary.open({ tables: [Notes] });
  db.table(Notes).insert({ id: 1, text: "a", rank: 1 });
  const reader = await temporary.open({ readOnly: true, tables: [Notes] });
  const notes = reader.table(Notes);
  expect(notes.get(1)?.rank).toBe(1);
  expect(reader.snapshot((view) => view.table(Notes).count())).toBe(1);
  const writes: readonly (() => unknown)[] = [
    () => notes.upsert({ id: 1, text: "b", rank: 2 }),
    () => notes.delete(1),
    () => notes.deleteWhere({ all: true }),
    () => notes.upsertMany([{ id: 1, text: "b", rank: 2 }]),
    () => notes.ingestTsv("1\tb\t2\n"),
    () => reader.transact(() => 1),
    () => reader.begin({ readOnly: false }),
    () => reader.createTable(Notes),
    () => reader.setConfig("aerostore.synchronous_commit", "on"),
    () => reader.checkpoint(),
  ];
  for (const write of writes) {
    expect([String(write), await codeOf(write)]).toEqual([String(write), "READ_ONLY"]);
  }
  await db.durable();
  temporary.dropSegment();
  expect(await codeOf(() => temporary.open({ readOnly: true }))).toBe("READ_ONLY");
  expect(existsSync(temporary.shmPath)).toBe(false);
});

test("open: a larger size rebuilds a segment that is not in use, else says why", async () => {
  using temporary = new TemporaryDatabase();
  const small = await temporary.open({ tables: [Notes], maxBytes: 8 << 20 });
  small.table(Notes).insert({ id: 1, text: "a", rank: 1 });
  const beside = await temporary.open({ maxBytes: 16 << 20, maxSessions: 32 });
  expect(beside.boot.mode).toBe("WarmAttach");
  expect(beside.boot.ignored).toEqual([
    expect.stringContaining("maxBytes"),
    expect.stringContaining("aerostore resize"),
  ]);
  await small.durable();
  temporary.closeAll();
  const large = await temporary.open({ maxBytes: 16 << 20, maxSessions: 32 });
  expect(large.boot).toMatchObject({ mode: "ColdReplay", ignored: [] });
  expect(large.boot.reason).toContain("maxBytes");
  expect(large.stats()).toMatchObject({ memory: { segmentBytes: 16 << 20 }, sessionsMax: 32 });
  expect(large.table(Notes).get(1)?.rank).toBe(1);
  temporary.closeAll();
  const again = await temporary.open({ maxBytes: 8 << 20, maxSessions: 32 });
  expect(again.boot).toMatchObject({ mode: "WarmAttach" });
  expect(again.boot.ignored).toEqual([expect.stringContaining("resize")]);
});

test("open: a segment in the data directory is refused", async () => {
  using temporary = new TemporaryDatabase();
  for (const shmPath of [temporary.path("segment"), temporary.path("x/../aerostore.wal")]) {
    expect(await codeOf(() => temporary.open({ shmPath }))).toBe("INVALID_VALUE");
  }
});

test.skipIf(process.geteuid?.() !== 0)(
  "open: a directory of another user is refused, and nothing is made in it",
  async () => {
    using temporary = new TemporaryDatabase();
    chownSync(temporary.directory, 12_345, 12_345);
    const message = await temporary.open().catch(String);
    expect(message).toContain("PERMISSION" in Object(message) ? "" : "belongs to user 12345");
    expect(readdirSync(temporary.directory)).toEqual([]);
  },
);

test("open: a segment that was rebuilt is unmapped at the next open", async () => {
  using temporary = new TemporaryDatabase();
  const maps = (): number =>
    readFileSync("/proc/self/maps", "utf8").split(basename(temporary.shmPath)).length - 1;
  for (let round = 0; round < 5; round++) {
    (await temporary.open({ tables: [Notes] })).close();
    temporary.dropSegment();
  }
  await temporary.open();
  expect(maps()).toBe(1);
});

test("open: another database that has the usual name of the segment keeps it", async () => {
  using temporary = new TemporaryDatabase();
  const [first, moved] = [temporary.path("data"), temporary.path("moved")];
  const opened: Database[] = [];
  const paths = new Set<string>();
  try {
    opened.push(await open(first, { tables: [Notes], maxBytes: 8 << 20 }));
    opened[0]?.table(Notes).insert({ id: 1, text: "a", rank: 1 });
    renameSync(first, moved);
    opened.push(await open(first, { tables: [Notes], maxBytes: 8 << 20 }));
    opened.push(await open(moved));
    opened.push(await open(first));
    for (const db of opened) paths.add(db.shmPath);
    expect(opened.map((db) => db.table(Notes).count())).toEqual([1, 0, 1, 0]);
    expect(opened.map((db) => db.shmPath === opened[0]?.shmPath)).toEqual([
      ...[true, false, true, false],
    ]);
    expect(opened[1]?.shmPath).toBe(opened[3]?.shmPath);
  } finally {
    for (const db of opened) db.close();
    for (const path of paths) rmSync(path, { force: true });
  }
});
