/** Every documented code is one that a user can meet: each is raised here by what it is for. */
import { expect, test } from "bun:test";
import { chmodSync, closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database, ErrorCode, Position } from "../../src/index.ts";
import { layouts } from "../../src/ffi/layouts.gen.ts";
import { openLibrary } from "../../src/ffi/library.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Notes = defineTable("notes", {
  id: t.u32().primaryKey(),
  rank: t.i32().index(),
  text: t.string(200).nullable(),
});
const tables = [Notes];
const note = { id: 1, rank: 1, text: "a note" };

/** Changes bytes of a file in place: a segment is mapped and may never be truncated. */
function poke(path: string, at: number, ...bytes: readonly number[]): void {
  const fd = openSync(path, "r+");
  writeSync(fd, new Uint8Array(bytes), 0, bytes.length, at);
  closeSync(fd);
}

function header(name: keyof typeof layouts.SegmentHeader.fields): number {
  return layouts.SegmentHeader.fields[name].offset;
}

interface Setting {
  readonly temporary: TemporaryDatabase;
  readonly db: Database;
}

/** What raises each code, on a database with one row; a code without a line does not compile. */
const raising: Readonly<Record<ErrorCode, (setting: Setting) => unknown>> = {
  SERIALIZATION_FAILURE: ({ db }) => {
    using tx = db.begin();
    tx.table(Notes).get(1);
    db.table(Notes).update(1, { rank: 2 });
    tx.table(Notes).upsert({ id: 2, rank: 2 });
    tx.commit();
  },
  DUPLICATE_KEY: ({ db }) => db.table(Notes).insert(note),
  UNKNOWN_TABLE: ({ db }) => db.table("nets"),
  UNKNOWN_FIELD: ({ db }) => db.table(Notes).count("-compare {= rang 1}"),
  INVALID_VALUE: ({ db }) => db.table(Notes).upsert({ id: 1, rank: 1.5 }),
  PARSE_ERROR: ({ db }) => db.table(Notes).count("-compare {= rank"),
  SEGMENT_FULL: ({ db }) => {
    for (let id = 0; ; id++) db.table(Notes).upsert({ id, rank: id });
  },
  SNAPSHOT_TOO_OLD: async ({ db }) => {
    db.setConfig("aerostore.snapshot_age_limit_ms", 100);
    using view = db.begin({ readOnly: true });
    for (let rank = 0; ; rank++) {
      view.table(Notes).get(1);
      db.table(Notes).update(1, { rank });
      await Bun.sleep(10);
    }
  },
  LOCK_TIMEOUT: ({ db }) => {
    using first = db.begin();
    using second = db.begin();
    first.table(Notes).lockForUpdate(1);
    second.table(Notes).lockForUpdate(1, { timeoutMs: 1 });
  },
  SCHEMA_MISMATCH: ({ temporary }) => {
    const other = defineTable("notes", { id: t.u32().primaryKey(), rank: t.u8() });
    return temporary.open({ tables: [other] });
  },
  LAYOUT_MISMATCH: ({ temporary }) => {
    poke(temporary.shmPath, header("format_version"), 99);
    return temporary.open();
  },
  WAL_CORRUPT: async ({ temporary, db }) => {
    for (let id = 2; id < 40; id++) {
      db.table(Notes).upsert({ ...note, id });
      await db.durable();
    }
    temporary.dropSegment();
    const [log = ""] = readdirSync(temporary.directory).filter((name) => name.endsWith("wal"));
    const path = temporary.path(log);
    poke(path, readFileSync(path).indexOf("a note"), 0xff);
    return temporary.open();
  },
  CHECKPOINT_CORRUPT: async ({ temporary, db }) => {
    await db.checkpoint();
    temporary.dropSegment();
    const path = temporary.path("occ_checkpoint.dat");
    poke(path, readFileSync(path).indexOf("a note"), 0xff);
    return temporary.open();
  },
  SEGMENT_CORRUPT: async ({ temporary }) => {
    const at = header("geometry") + layouts.Geometry.fields.catalog_offset.offset;
    const catalog = Number(readFileSync(temporary.shmPath).readBigUInt64LE(at));
    poke(temporary.shmPath, catalog, 0xff, 0xff, 0xff, 0xff);
    (await temporary.open()).table("notes").get(1);
  },
  LOG_POISONED: ({ temporary, db }) => {
    poke(temporary.shmPath, header("log_poisoned"), 5);
    db.table(Notes).delete(1);
  },
  TOO_MANY_SESSIONS: async ({ temporary }) => {
    while (true) await temporary.open();
  },
  PERMISSION: ({ temporary, db }) => {
    db.close();
    chmodSync(temporary.shmPath, 0o666);
    return temporary.open();
  },
  CLOSED: ({ db }) => {
    db.close();
    db.table(Notes).get(1);
  },
  ABI_MISMATCH: ({ temporary }) =>
    openLibrary({ path: temporary.path("absent.so"), source: "package", sha256: undefined }),
  READ_ONLY: async ({ temporary }) => {
    const reader = await temporary.open({ readOnly: true });
    reader.table(Notes).delete(1);
  },
  POSITION_LOST: ({ db }) => {
    const [database = "", timeline = ""] = db.position().split(".");
    db.changes({ from: `${database}.${timeline}.ffffffffffff` as Position });
  },
  IO_ERROR: ({ db }) => db.table(Notes).ingestTsv(Bun.file("/absent.tsv")),
};

for (const [code, raise] of Object.entries(raising)) {
  test(`errors: ${code} is raised`, async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables, maxBytes: 4 << 20 });
    db.table(Notes).insert(note);
    expect(await codeOf(() => raise({ temporary, db }))).toBe(code);
  });
}

test("errors: only what is known about a failure is printed with it", () => {
  const error = new AerostoreError("UNKNOWN_FIELD", "no such column", {
    table: "notes",
    key: undefined,
  });
  expect(Object.keys(error).sort()).toEqual(["code", "name", "table"]);
  expect(error.key).toBeUndefined();
});
