import { expect, test } from "bun:test";
import { open } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { Crew, faultLibrary } from "../support/crew.ts";
import { Rows, movedCount } from "./standstill-child.ts";

const rowCount = 4_000;
const segmentBytes = 16 << 20;
/** An update leaves its old version and an entry: much more than the segment has room for. */
const updateCount = Math.ceil((3 * segmentBytes) / 150);

function update(db: Database, first: number, count: number): void {
  for (let start = first; start < first + count; start += 500) {
    const rows = Array.from({ length: 500 }, (_, i) => ({
      id: movedCount + ((start + i) % rowCount),
      n: start + i,
      text: `update ${start + i}`.padEnd(100, "."),
    }));
    db.table(Rows).upsertMany(rows);
  }
}

/**
 * Waits until the horizon has passed what is now, writing no more than it takes to look: what is in
 * use when the others are overtaken stays in use.
 */
async function passHorizon(db: Database): Promise<void> {
  const { tailCsn } = db.stats().log;
  while (db.stats().log.horizonCsn <= tailCsn) {
    for (let n = 0; n < 8; n++) db.table(Rows).upsert({ id: movedCount, n, text: "look" });
    await Bun.sleep(1);
  }
}

async function openFor(crew: Crew): Promise<Database> {
  const db = await open(crew.data, {
    tables: [Rows],
    shmPath: crew.shmPath,
    maxBytes: segmentBytes,
  });
  update(db, 0, rowCount);
  return db;
}

const program = "test/isolation/standstill-child.ts";
const env = { AEROSTORE_LIBRARY: faultLibrary };

/** Every point is one of a commit that has something in hand, or of its vacuum. */
test.each([
  ["install.named", "SIGCONT"],
  ["commit.installed", "SIGCONT"],
  ["commit.installed", "SIGKILL"],
  ["index.linked", "SIGCONT"],
  ["index.linked", "SIGKILL"],
  ["commit.numbered", "SIGCONT"],
  ["commit.decided", "SIGCONT"],
  ["finish.stamped", "SIGKILL"],
  ["vacuum.named", "SIGCONT"],
  ["index.closed", "SIGCONT"],
  ["vacuum.unlinked", "SIGKILL"],
] as const)(
  "standstill: others write on for ever beside a commit that is stopped at %s, then %s",
  async (point, signal) => {
    await using crew = new Crew();
    using db = await openFor(crew);
    const rows = db.table(Rows);
    const moved = Array.from({ length: movedCount }, (_, id) => ({ id, n: 0, text: "moved" }));
    rows.upsertMany(moved);
    const child = crew.start(program, [point], { env });
    await child.stopped();
    await passHorizon(db);
    update(db, rowCount, updateCount);
    expect(db.check().problems).toEqual([]);
    for (const row of moved) rows.update(row.id, { text: "seen" });

    child.signal(signal);
    const { status, signal: ended, stderr } = await child.ended;
    expect({ status, ended, stderr }).toEqual(
      signal === "SIGKILL"
        ? { status: null, ended: "SIGKILL", stderr: "" }
        : { status: 0, ended: null, stderr: "" },
    );
    update(db, rowCount, rowCount);
    expect(db.check().problems).toEqual([]);
    const values = new Set(moved.map(({ id }) => rows.get(id)?.n));
    expect(values.size).toBe(1); // all or nothing
    if (signal === "SIGCONT") expect([...values]).toEqual([1]);
    expect(rows.search({ compare: [["<", "id", movedCount]] }).toArray()).toHaveLength(movedCount);
  },
);

test("standstill: others write on beside a stopped snapshot, which is gone then", async () => {
  await using crew = new Crew();
  using db = await openFor(crew);
  const child = crew.start(program, ["snapshot"]);
  await child.stopped();
  const { tailCsn } = db.stats().log;
  for (let n = rowCount; db.stats().log.horizonCsn <= tailCsn; n += 500) {
    if (db.stats().memory.usedBytes > 0.6 * segmentBytes) break; // it is waited for until half full
    update(db, n, 500);
  }
  await passHorizon(db);
  update(db, rowCount, updateCount);
  child.signal("SIGCONT");
  expect(await child.result()).toEqual({ code: "SNAPSHOT_TOO_OLD" });
  expect(db.check().problems).toEqual([]);
});

test("standstill: a checkpoint that is stopped begins again", async () => {
  await using crew = new Crew();
  {
    using db = await openFor(crew);
    const child = crew.start(program, ["checkpoint"], { env });
    await child.stopped();
    await passHorizon(db);
    update(db, rowCount, updateCount);
    child.signal("SIGCONT");
    expect(await child.result()).toEqual({ rows: rowCount });
    update(db, 0, rowCount);
  }
  crew.removeSegment();
  using db = await openFor(crew);
  expect(db.boot.mode).toBe("ColdReplay");
  expect(db.check().problems).toEqual([]);
  expect(db.table(Rows).count()).toBe(rowCount);
});

test("standstill: a death while putting aside what a stopped commit holds", async () => {
  await using crew = new Crew();
  using db = await openFor(crew);
  const holder = crew.start(program, ["commit.installed"], { env });
  await holder.stopped();
  await passHorizon(db);
  const victim = crew.start(program, ["aside"], { env });
  expect((await victim.ended).signal).toBe("SIGKILL");
  update(db, rowCount, updateCount);
  holder.signal("SIGCONT");
  expect((await holder.ended).status).toBe(0);
  update(db, rowCount, rowCount);
  expect(db.check().problems).toEqual([]);
});
