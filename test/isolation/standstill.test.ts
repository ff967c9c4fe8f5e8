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
    const options = { tables: [Rows], shmPath: crew.shmPath, maxBytes: segmentBytes };
    using db = await open(crew.data, options);
    const rows = db.table(Rows);
    const moved = Array.from({ length: movedCount }, (_, id) => ({ id, n: 0, text: "moved" }));
    rows.upsertMany(moved);
    update(db, 0, rowCount);
    const env = { AEROSTORE_LIBRARY: faultLibrary };
    const child = crew.start("test/isolation/standstill-child.ts", [point], { env });
    await child.stopped();

    const { tailCsn } = db.stats().log;
    let n = rowCount;
    while (db.stats().log.horizonCsn < tailCsn) {
      update(db, n, 500); // a look at the horizon
      n += 500;
      await Bun.sleep(1);
    }
    update(db, n, updateCount);
    expect(db.check().problems).toEqual([]);
    for (const row of moved) rows.update(row.id, { text: "seen" });

    child.signal(signal);
    const { status, signal: ended, stderr } = await child.ended;
    expect({ status, ended, stderr }).toEqual(
      signal === "SIGKILL"
        ? { status: null, ended: "SIGKILL", stderr: "" }
        : { status: 0, ended: null, stderr: "" },
    );
    update(db, n, rowCount);
    expect(db.check().problems).toEqual([]);
    const values = new Set(moved.map(({ id }) => rows.get(id)?.n));
    expect(values.size).toBe(1); // all or nothing
    if (signal === "SIGCONT") expect([...values]).toEqual([1]);
    expect(rows.search({ compare: [["<", "id", movedCount]] }).toArray()).toHaveLength(movedCount);
  },
);

test("standstill: others write on beside a stopped snapshot, which is gone then", async () => {
  await using crew = new Crew();
  const options = { tables: [Rows], shmPath: crew.shmPath, maxBytes: segmentBytes };
  using db = await open(crew.data, options);
  update(db, 0, rowCount);
  const child = crew.start("test/isolation/standstill-child.ts", ["snapshot"]);
  await child.stopped();
  let n = rowCount;
  const { tailCsn } = db.stats().log;
  while (db.stats().log.horizonCsn < tailCsn) {
    update(db, n, 500);
    n += 500;
    await Bun.sleep(1);
  }
  update(db, n, updateCount);
  child.signal("SIGCONT");
  expect(await child.result()).toEqual({ code: "SNAPSHOT_TOO_OLD" });
  expect(db.check().problems).toEqual([]);
});
