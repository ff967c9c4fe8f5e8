/**
 * Several workers at the same and neighbouring index keys, and at keys that do not exist yet: as
 * four processes, and as four threads of one.
 */
import { describe, expect, test } from "bun:test";
import { open } from "../../src/index.ts";
import { Crew } from "../support/crew.ts";
import { chooseSeed } from "../support/random.ts";
import { rankCount, Things } from "./torture-child.ts";
import type { TortureResult } from "./torture-child.ts";

const program = "test/stress/torture-child.ts";
const workers = 4;
const seed = chooseSeed() % 1_000_000;

function isResults(value: unknown): value is readonly TortureResult[] {
  return Array.isArray(value) && value.every((each) => Array.isArray(each?.problems));
}

async function run(
  crew: Crew,
  kind: "torture" | "race",
  threads: boolean,
  count: number,
): Promise<readonly TortureResult[]> {
  const numbers = threads ? ["all"] : Array.from({ length: workers }, (_, number) => number);
  const children = numbers.map((n) => crew.start(program, [kind, seed, n, workers, count]));
  const results = await Promise.all(children.map((child) => child.result()));
  const all = results.flatMap((each) => (isResults(each) ? each : []));
  expect(all.length).toBe(workers);
  expect({ seed, problems: all.flatMap(({ problems }) => problems) }).toEqual({
    seed,
    problems: [],
  });
  return all;
}

describe.each([
  ["4 processes", false],
  ["4 threads", true],
])("%s", (_, threads) => {
  test("index: what is acknowledged is found, and the index equals the table", async () => {
    await using crew = new Crew();
    const results = await run(crew, "torture", threads, 8_000);
    const expected = results.flatMap(({ rows }) => rows).sort(([a], [b]) => a - b);
    using db = await open(crew.data, { shmPath: crew.shmPath, maxBytes: 64 << 20 });
    const things = db.table(Things);
    const rows = things.search("-sort id").toArray();
    expect(rows.map(({ id, rank }) => [id, rank] as const)).toEqual(expected);
    for (let rank = 0; rank < rankCount; rank++) {
      const found = things.search(`-compare {= rank ${rank}}`).column("id");
      const ids = expected.filter(([, each]) => each === rank).map(([id]) => id);
      expect([...found].sort((a, b) => a - b)).toEqual(ids);
    }
    expect(db.check()).toMatchObject({ ok: true, rows: expected.length });
  });

  test("insert: of all who insert a key first, exactly one has made the row", async () => {
    await using crew = new Crew();
    const count = 20_000;
    const results = await run(crew, "race", threads, count);
    const winners = new Map<number, number>();
    for (const [worker, { won }] of results.entries()) {
      for (const key of won) {
        expect({ key, before: winners.get(key) }).toEqual({ key, before: undefined });
        winners.set(key, worker);
      }
    }
    expect(winners.size).toBe(count);
    using db = await open(crew.data, { shmPath: crew.shmPath, maxBytes: 64 << 20 });
    const rows = db.table(Things).search("-sort id").toArray();
    expect(rows.length).toBe(count);
    // Of an odd key the upserts that came too late have changed the row.
    const inserted = rows.filter(({ id }) => id % 2 === 0);
    expect(inserted.filter(({ id, rank }) => winners.get(id) !== rank)).toEqual([]);
    expect(db.check()).toMatchObject({ ok: true, rows: count });
  });
});
