/** Opening: every way up, and every error that stands in one. */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { defineTable, open, t } from "../../src/index.ts";
import { segmentFormat } from "../../src/ffi/constants.gen.ts";
import { layouts } from "../../src/ffi/layouts.gen.ts";
import type { BootProgress, Database } from "../../src/index.ts";
import { root } from "../support/source.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Notes = defineTable("notes", {
  id: t.u32().primaryKey(),
  rank: t.i32().index(),
  text: t.string(200).nullable(),
});

const tables = [Notes];
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("SKIPPED: only root can give a segment to another user");
/** Offsets in the segment's header (zig/segment/layout.zig). */
const versionAt = 4;
const createdAt = 56;

function fill(db: Database, count: number, from = 0): void {
  const rows = Array.from({ length: count }, (_, index) => {
    return { id: from + index, rank: index % 100, text: `note ${from + index}` };
  });
  db.table(Notes).upsertMany(rows);
}

function poke(path: string, at: number, ...bytes: readonly number[]): void {
  const fd = openSync(path, "r+");
  writeSync(fd, new Uint8Array(bytes), 0, bytes.length, at);
  closeSync(fd);
}

/** As if the last commits were only in the segment yet. */
function pretendUnwritten(path: string): void {
  poke(path, layouts.SegmentHeader.fields.durable.offset, 1, 0);
}

/** The log files, the newest first. */
function logFiles({ directory }: TemporaryDatabase): string[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith("aerostore.wal"))
    .sort()
    .map((name) => join(directory, name));
}

describe("ways up", () => {
  test("open: an empty database is created, then attached warm", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    expect(db.boot).toMatchObject({ mode: "ColdReplay", rowsLoaded: 0, recordsReplayed: 0 });
    expect(db.boot.reason).toBe("there was no segment");
    expect(db.shmPath).toBe(temporary.shmPath);
    fill(db, 10);
    db.close();
    const again = await temporary.open();
    expect(again.boot.mode).toBe("WarmAttach");
    expect(again.table("notes").count()).toBe(10);
  });

  test("open: a segment knows whether everybody has closed it", async () => {
    using temporary = new TemporaryDatabase();
    const closed = "the segment is valid, and was closed in order";
    const left = "the segment is valid, and is in use or was left without closing";
    const first = await temporary.open({ tables });
    const second = await temporary.open();
    expect(second.boot.reason).toBe(left);
    first.close();
    expect((await temporary.open()).boot.reason).toBe(left);
    temporary.closeAll();
    expect((await temporary.open()).boot.reason).toBe(closed);
    temporary.closeAll();
    const program = `
      import { open } from "${join(import.meta.dir, "../../src/index.ts")}";
      const db = await open(${JSON.stringify(temporary.directory)});
      console.log(db.boot.reason);
      process.kill(process.pid, "SIGKILL");
    `;
    for (const reason of [closed, left]) {
      const child = Bun.spawn([process.execPath, "-"], { stdin: Buffer.from(program) });
      expect((await new Response(child.stdout).text()).trim()).toBe(reason);
    }
    (await temporary.open()).close();
    expect((await temporary.open()).boot.reason).toBe(closed);
  });

  test("open: without a segment the log is replayed", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 3_000);
    db.table(Notes).deleteWhere("-compare {< rank 50}");
    db.table(Notes).update(60, { text: null });
    temporary.dropSegment();
    const again = await temporary.open({ tables });
    expect(again.boot.mode).toBe("ColdReplay");
    expect(again.boot.recordsReplayed).toBeGreaterThan(3_000);
    expect(again.table(Notes).count()).toBe(1_500);
    expect(again.table(Notes).get(60)).toEqual({ id: 60, rank: 60, text: null });
    expect(again.check()).toMatchObject({ ok: true, rows: 1_500 });
  });

  test("open: a checkpoint is loaded, and what came after it replayed", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 2_000);
    const report = await db.checkpoint();
    expect(report.rows).toBe(2_000);
    fill(db, 500, 5_000);
    db.table(Notes).delete(0);
    temporary.dropSegment();
    const again = await temporary.open({ tables });
    expect(again.boot.rowsLoaded).toBe(2_000);
    expect(again.boot.recordsReplayed).toBeGreaterThanOrEqual(501);
    expect(again.table(Notes).count()).toBe(2_499);
    expect(again.check().ok).toBe(true);
    fill(again, 10, 9_000);
    temporary.dropSegment();
    expect((await temporary.open()).table("notes").count()).toBe(2_509);
  });

  test("open: progress is told state by state", async () => {
    using temporary = new TemporaryDatabase();
    fill(await temporary.open({ tables }), 10);
    temporary.dropSegment();
    const told: BootProgress[] = [];
    await temporary.open({ tables, onBoot: (progress) => told.push(progress) });
    const states = told.map(({ state }) => state);
    expect(states.filter((state, index) => state !== states[index - 1])).toEqual([
      "locking",
      "probing",
      "counting",
      "creating",
      "recovering",
      "publishing",
      "ready",
    ]);
    expect(told.some(({ recovery }) => recovery?.phase === "done")).toBe(true);
  });

  test("open: many at once make one segment", async () => {
    using temporary = new TemporaryDatabase();
    const opened = await Promise.all(Array.from({ length: 6 }, () => temporary.open({ tables })));
    expect(opened.filter(({ boot }) => boot.mode === "ColdReplay").length).toBe(1);
    opened.forEach((db, index) => fill(db, 10, index * 10));
    for (const db of opened) expect(db.table(Notes).count()).toBe(60);
  });

  test("open: two databases in one process are apart", async () => {
    using one = new TemporaryDatabase();
    using two = new TemporaryDatabase();
    const [first, second] = [await one.open({ tables }), await two.open({ tables })];
    fill(first, 5);
    fill(second, 7);
    expect([first.table(Notes).count(), second.table(Notes).count()]).toEqual([5, 7]);
  });

  test("open: the segment is found where it was last, whatever path is the default", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 3);
    const other = await open(temporary.directory);
    expect([other.shmPath, other.boot.mode]).toEqual([temporary.shmPath, "WarmAttach"]);
    other.close();
  });

  test("open: another process attaches to the same rows", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 3);
    const program = `
      import { open } from "${join(import.meta.dir, "../../src/index.ts")}";
      await using db = await open(${JSON.stringify(temporary.directory)});
      db.table("notes").upsert({ id: 99, rank: db.table("notes").count() });
      console.log(db.boot.mode);
    `;
    const child = Bun.spawn([process.execPath, "-"], { stdin: Buffer.from(program) });
    expect((await new Response(child.stdout).text()).trim()).toBe("WarmAttach");
    expect(db.table(Notes).get(99)?.rank).toBe(3);
  });

  test("open: Workers come and go beside their process, also terminated ones", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables, maxSessions: 16 });
    // One is mostly inside short calls when it ends, the other inside long ones.
    const program = (rest: string): string => `
      import { open } from "${join(import.meta.dir, "../../src/index.ts")}";
      const db = await open(${JSON.stringify(temporary.directory)});
      const notes = db.table("notes");
      const tx = db.begin();
      tx.table("notes").upsert({ id: 1, rank: 100 });
      tx.table("notes").lockForUpdate(${rest.length});
      for (let id = 0; ; id = (id + 1) % 1000) {
        notes.upsert({ id: id + 10, rank: id % 7, text: "from a Worker" });
        if (id === 500) postMessage("half");
        if (id >= 500) ${rest};
      }
    `;
    const urls = ["0", "db.check()"].map((rest) =>
      URL.createObjectURL(new Blob([program(rest)], { type: "application/typescript" })),
    );
    for (let round = 0; round < 10; round++) {
      const workers = urls.map((url) => new Worker(url));
      for (const worker of workers) {
        await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
        worker.terminate();
      }
      fill(db, 100, 5_000);
      expect(db.table(Notes).get(250)?.text).toBe("from a Worker");
    }
    for (const url of urls) URL.revokeObjectURL(url);
    // Their threads are about to end; nothing tells when one has.
    while (db.stats().sessions.length > 2) await Bun.sleep(1);
    expect(db.table(Notes).count("-compare {< id 500}")).toBe(490);
    expect(db.table(Notes).get(1)).toBeUndefined();
    expect(db.check().ok).toBe(true);
  });

  test("open: handles that nothing refers to any more are closed", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const forget = async (): Promise<void> => {
      (await open(temporary.directory)).table("notes").upsert({ id: 1, rank: 1 });
    };
    for (let count = 0; count < 10; count++) await forget();
    while (db.stats().sessions.length > 8) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    expect(db.table(Notes).get(1)?.rank).toBe(1);
  });

  test("open: sessions of killed processes are repaired", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const program = `
      import { open } from "${join(import.meta.dir, "../../src/index.ts")}";
      const db = await open(${JSON.stringify(temporary.directory)});
      const tx = db.begin();
      tx.table("notes").upsert({ id: 1, rank: 1 });
      db.table("notes").upsert({ id: 2, rank: 2 });
      process.kill(process.pid, "SIGKILL");
    `;
    const child = Bun.spawn([process.execPath, "-"], { stdin: Buffer.from(program) });
    await child.exited;
    expect(db.table(Notes).search().column("id")).toEqual(new Uint32Array([2]));
    const again = await temporary.open();
    expect(again.table("notes").count()).toBe(1);
    expect(db.check().ok).toBe(true);
  });
});

describe("segments that cannot be attached", () => {
  test("open: an older version is LAYOUT_MISMATCH while it is used, else replaced", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 5);
    await db.durable();
    poke(temporary.shmPath, versionAt, 0);
    expect(await codeOf(() => temporary.open())).toBe("LAYOUT_MISMATCH");
    await expect(temporary.open()).rejects.toThrow("format version is 0");
    expect(db.table(Notes).count()).toBe(5);
    db.close();
    const again = await temporary.open({ tables });
    expect(again.boot.mode).toBe("ColdReplay");
    expect(again.boot.reason).toContain("format version is 0");
    expect(again.table(Notes).count()).toBe(5);
  });

  test("open: a newer version is LAYOUT_MISMATCH, and stays as it is", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 5);
    db.close();
    poke(temporary.shmPath, versionAt, 99);
    await expect(temporary.open()).rejects.toThrow("format version is 99");
    expect(await codeOf(() => temporary.open())).toBe("LAYOUT_MISMATCH");
    poke(temporary.shmPath, versionAt, segmentFormat.version);
    const again = await temporary.open({ tables });
    expect([again.boot.mode, again.table(Notes).count()]).toEqual(["WarmAttach", 5]);
  });

  test("open: another build's segment is replaced only when the log has it all", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 5);
    await db.durable();
    const { fields } = layouts.SegmentHeader;
    const before = readFileSync(temporary.shmPath);
    poke(temporary.shmPath, fields.fingerprint.offset, 1, 2, 3);
    expect(await codeOf(() => temporary.open())).toBe("LAYOUT_MISMATCH");
    db.close();
    poke(temporary.shmPath, fields.durable.offset, 2, 0);
    await expect(temporary.open()).rejects.toThrow("open it with that build once");
    expect(await codeOf(() => temporary.open())).toBe("LAYOUT_MISMATCH");
    const durable = before.subarray(fields.tail.offset, fields.tail.offset + 8);
    poke(temporary.shmPath, fields.durable.offset, ...durable);
    const again = await temporary.open({ tables });
    expect(again.boot.reason).toContain("another build");
    expect([again.boot.mode, again.table(Notes).count()]).toEqual(["ColdReplay", 5]);
  });

  test.skipIf(!isRoot)(
    "open: another user's segment is PERMISSION, and stays as it is",
    async () => {
      using temporary = new TemporaryDatabase();
      const db = await temporary.open({ tables });
      db.close();
      chownSync(temporary.shmPath, 12_345, 12_345);
      expect(await codeOf(() => temporary.open())).toBe("PERMISSION");
      expect(statSync(temporary.shmPath).uid).toBe(12_345);
    },
  );

  test("open: a poisoned log is LOG_POISONED while it is used, then read anew", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 5);
    await db.durable();
    poke(temporary.shmPath, layouts.SegmentHeader.fields.log_poisoned.offset, 5);
    expect(await codeOf(() => temporary.open())).toBe("LOG_POISONED");
    expect(await codeOf(async () => fill(db, 6))).toBe("LOG_POISONED");
    // What had been synced before is still on the disk.
    expect(await codeOf(() => db.durable())).toBe("none");
    expect(await codeOf(() => db.checkpoint())).toBe("LOG_POISONED");
    const commit = (): void => {
      db.transact((tx) => tx.table(Notes).delete(1), { durability: "sync" });
    };
    expect(await codeOf(commit)).toBe("LOG_POISONED");
    expect(db.table(Notes).get(1)?.rank).toBe(1);
    db.close();
    const again = await temporary.open({ tables });
    expect(again.boot.reason).toContain("a sync of its log had failed");
    expect(again.table(Notes).count()).toBe(5);
  });

  test.each([
    ["a damaged header", createdAt, 0x77],
    ["a tail that is a lap ahead", layouts.SegmentHeader.fields.tail.offset + 5, 1],
  ])("open: %s is found before anything goes by it", async (_, at, byte) => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 3);
    db.close();
    // Another file, because this process has the first one mapped and looks no further.
    copyFileSync(temporary.shmPath, temporary.path("copy"));
    poke(temporary.path("copy"), at, byte);
    rmSync(temporary.shmPath);
    copyFileSync(temporary.path("copy"), temporary.shmPath);
    chmodSync(temporary.shmPath, 0o600);
    const again = await temporary.open({ tables });
    expect(again.boot).toMatchObject({ mode: "ColdReplay" });
    expect(again.boot.reason).toContain("the segment is damaged");
    expect(again.table(Notes).count()).toBe(3);
  });

  test("open: a file that is no segment is replaced", async () => {
    using temporary = new TemporaryDatabase();
    writeFileSync(temporary.shmPath, "x".repeat(100_000), { mode: 0o600 });
    const db = await temporary.open({ tables });
    expect(db.boot.reason).toContain("magic number");
    fill(db, 1);
    temporary.closeAll();
    truncateSync(temporary.shmPath, 100);
    expect((await temporary.open()).table("notes").count()).toBe(1);
  });

  test("open: a segment that was removed while it is used is SEGMENT_CORRUPT", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    rmSync(temporary.shmPath);
    expect(await codeOf(() => temporary.open())).toBe("SEGMENT_CORRUPT");
    fill(db, 2);
    db.close();
    expect((await temporary.open()).table("notes").count()).toBe(2);
  });

  test("open: a symbolic link, a directory and a file for all are PERMISSION", async () => {
    using temporary = new TemporaryDatabase();
    const target = temporary.path("target");
    (await open(temporary.path("other"), { shmPath: target, maxBytes: 4 << 20 })).close();
    symlinkSync(target, temporary.shmPath);
    expect(await codeOf(() => temporary.open())).toBe("PERMISSION");
    rmSync(temporary.shmPath);
    mkdirSync(temporary.shmPath);
    expect(await codeOf(() => temporary.open())).toBe("PERMISSION");
    rmSync(temporary.shmPath, { recursive: true });
    (await temporary.open({ tables })).close();
    chmodSync(temporary.shmPath, 0o644);
    expect(await codeOf(() => temporary.open())).toBe("PERMISSION");
    chmodSync(temporary.shmPath, 0o600);
    expect((await temporary.open()).boot.mode).toBe("WarmAttach");
  });

  test("open: a segment of another database is replaced only if nothing is lost", async () => {
    using temporary = new TemporaryDatabase();
    const other = await open(temporary.path("other"), {
      tables,
      shmPath: temporary.shmPath,
      maxBytes: 8 << 20,
    });
    expect(await codeOf(() => temporary.open())).toBe("PERMISSION");
    await expect(temporary.open()).rejects.toThrow(`which process ${process.pid} uses`);
    other.close();
    const written = readFileSync(temporary.shmPath);
    pretendUnwritten(temporary.shmPath);
    expect(await codeOf(() => temporary.open())).toBe("PERMISSION");
    await expect(temporary.open()).rejects.toThrow("commits that are not in its log yet");
    writeFileSync(temporary.shmPath, written);
    const db = await temporary.open({ tables });
    expect(db.boot.reason).toContain("another database");
  });

  test("open: a segment left elsewhere is not forgotten while it alone has commits", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 5);
    db.close();
    const elsewhere = `${temporary.shmPath}.elsewhere`;
    const written = readFileSync(temporary.shmPath);
    pretendUnwritten(temporary.shmPath);
    const move = (): Promise<Database> => temporary.open({ shmPath: elsewhere });
    expect(await codeOf(move)).toBe("PERMISSION");
    await expect(move()).rejects.toThrow(`the segment that it had last, ${temporary.shmPath}`);
    expect(existsSync(elsewhere)).toBe(false);
    writeFileSync(temporary.shmPath, written);
    const moved = await move();
    expect([moved.boot.mode, moved.table(Notes).count()]).toEqual(["ColdReplay", 5]);
  });

  test("open: nothing is left of boots that did not come to their end", async () => {
    using temporary = new TemporaryDatabase();
    writeFileSync(`${temporary.shmPath}.123.0123abcd.tmp`, "");
    await temporary.open({ tables });
    const names = readdirSync("/dev/shm").filter((name) => {
      return name.startsWith(basename(temporary.shmPath));
    });
    expect(names).toEqual([basename(temporary.shmPath)]);
  });
});

describe("data directories", () => {
  test("open: a path through a file, or to a file, is an error with the path", async () => {
    using temporary = new TemporaryDatabase();
    const file = temporary.path("file");
    writeFileSync(file, "");
    expect(await codeOf(() => open(file))).toBe("IO_ERROR");
    expect(await codeOf(() => open(join(file, "below")))).toBe("IO_ERROR");
    await expect(open(file)).rejects.toThrow(file);
  });

  test("open: a directory that cannot be made is an error", async () => {
    expect(await codeOf(() => open("/proc/aerostore"))).toMatch(/^(PERMISSION|IO_ERROR)$/);
    const folder = "/dev/shm/no-such-folder/x.mmap";
    using temporary = new TemporaryDatabase();
    expect(await codeOf(() => temporary.open({ shmPath: folder }))).toBe("IO_ERROR");
    expect((await temporary.open()).boot.mode).toBe("ColdReplay");
  });

  test("open: a torn tail is cut, and told", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    for (let batch = 0; batch < 20; batch++) {
      fill(db, 10, batch * 10);
      await db.durable();
    }
    temporary.dropSegment();
    const [log = ""] = logFiles(temporary);
    const end = lastByte(log);
    poke(log, end, 0, 0, 0, 0);
    const again = await temporary.open({ tables });
    expect(again.boot.truncatedBytes).toBeGreaterThan(0);
    expect(again.boot.reason).toContain("torn tail");
    expect(again.table(Notes).count()).toBe(190);
    expect(again.check().ok).toBe(true);
  });

  test("open: damage before the tail is WAL_CORRUPT with file and offset", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    for (let batch = 0; batch < 20; batch++) {
      fill(db, 10, batch * 10);
      await db.durable();
    }
    temporary.dropSegment();
    const [log = ""] = logFiles(temporary);
    const bytes = readFileSync(log);
    // A byte of a row's text, which no padding has.
    const middle = bytes.indexOf("note 1", Math.floor(lastByte(log) / 2));
    const before = bytes[middle] ?? 0;
    poke(log, middle, before ^ 0xff);
    await expect(temporary.open()).rejects.toThrow(
      expect.objectContaining({ code: "WAL_CORRUPT", path: log }),
    );
    expect(existsSync(temporary.shmPath)).toBe(false);
    poke(log, middle, before);
    expect((await temporary.open()).table("notes").count()).toBe(200);
  });

  test("open: a damaged checkpoint is CHECKPOINT_CORRUPT", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    fill(db, 1_000);
    await db.checkpoint();
    temporary.dropSegment();
    const path = temporary.path("occ_checkpoint.dat");
    poke(path, Math.floor(statSync(path).size / 2), 0xff, 0xfe, 0xfd);
    await expect(temporary.open()).rejects.toThrow(
      expect.objectContaining({ code: "CHECKPOINT_CORRUPT", path }),
    );
  });

  test("open: the log of another database is refused", async () => {
    using temporary = new TemporaryDatabase();
    using other = new TemporaryDatabase();
    fill(await temporary.open({ tables }), 10);
    fill(await other.open({ tables }), 10);
    temporary.dropSegment();
    other.dropSegment();
    const [log = ""] = logFiles(temporary);
    renameSync(log, other.path(basename(log)));
    expect(await codeOf(() => other.open())).toBe("WAL_CORRUPT");
  });
});

describe("limits", () => {
  test("open: wrong options are a RangeError", async () => {
    for (const options of [{ maxBytes: 1 }, { maxBytes: 1.5 }, { maxSessions: 1 }]) {
      expect(await codeOf(() => open("/tmp/never", options))).toContain("RangeError");
    }
  });

  test("open: more handles than slots is TOO_MANY_SESSIONS, and closing makes room", async () => {
    using temporary = new TemporaryDatabase();
    const opened = [await temporary.open({ tables, maxSessions: 16 })];
    let code = "none";
    while (code === "none") {
      code = await codeOf(async () => opened.push(await temporary.open()));
      expect(opened.length).toBeLessThanOrEqual(16);
    }
    expect(code).toBe("TOO_MANY_SESSIONS");
    opened.pop()?.close();
    opened.push(await temporary.open());
    expect(opened.at(-1)?.table("notes").count()).toBe(0);
  });

  test("database: a full segment is SEGMENT_FULL, and reads go on", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables, maxBytes: 8 << 20 });
    const notes = db.table(Notes);
    const text = "x".repeat(200);
    let id = 0;
    const grow = (): void => {
      while (id < 1e6) notes.insert({ id: id++, rank: id, text });
    };
    expect(await codeOf(grow)).toBe("SEGMENT_FULL");
    const full = notes.count();
    expect(full).toBeGreaterThan(1_000);
    expect(notes.get(0)?.text).toBe(text);
    expect(notes.search("-compare {< rank 100} -sort rank").length).toBe(99);
    expect(db.check().ok).toBe(true);
  });

  test("database: a transaction larger than the log buffer can be split", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const rows = Array.from({ length: 20_000 }, (_, id) => ({
      id,
      rank: id,
      text: "y".repeat(150),
    }));
    const code = await codeOf(() => db.table(Notes).upsertMany(rows, { batch: 20_000 }));
    expect(["none", "SEGMENT_FULL"]).toContain(code);
    if (code === "SEGMENT_FULL") expect(db.table(Notes).count()).toBe(0);
    db.table(Notes).upsertMany(rows, { batch: 100 });
    expect(db.table(Notes).count()).toBe(20_000);
  });
});

/** Offset of the last byte of a preallocated file that is not zero. */
function lastByte(path: string): number {
  const bytes = readFileSync(path);
  let at = bytes.length - 1;
  while (at > 0 && bytes[at] === 0) at--;
  return at;
}

test("open: without address space for Bun's JIT the error names the limit", () => {
  const source = JSON.stringify(join(root, "src", "index.ts"));
  const program =
    `const { open } = await import(${source});` +
    `await open("/nowhere").catch((error) => console.log(error.code, error.message));`;
  const command = 'ulimit -v 2000000 && exec "$0" -e "$1"';
  const { stdout } = Bun.spawnSync(["sh", "-c", command, process.execPath, program]);
  expect(stdout.toString()).toMatch(/^ABI_MISMATCH .*no JIT.*ulimit -v/);
});
