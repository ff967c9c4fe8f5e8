import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { open } from "../../src/index.ts";
import type { Database, Stats, Transaction } from "../../src/index.ts";
import { Crew } from "../support/crew.ts";
import { interleavings, lengthOf, runTemplate } from "./schedule.ts";
import type { Bench, Step } from "./schedule.ts";
import { Cells, cellsAtStart, pairs, triples } from "./templates.ts";

const crew = new Crew();
const handles: Database[] = [];

beforeAll(async () => {
  for (let index = 0; index < 3; index++) {
    const options = { tables: [Cells], shmPath: crew.shmPath, maxBytes: 16 << 20 };
    handles.push(await open(crew.data, options));
  }
});

afterAll(async () => {
  for (const handle of handles) handle.close();
  await crew[Symbol.asyncDispose]();
});

function bench(count: number): Bench {
  const used = handles.slice(0, count);
  const first = handles[0];
  if (first === undefined) throw new Error("nothing is open");
  const cells = first.table(Cells);
  return {
    handles: used,
    reset: () =>
      first.transact((tx) => {
        const table = tx.table(Cells);
        table.deleteWhere("");
        for (const cell of cellsAtStart) table.insert(cell);
      }),
    state: () => JSON.stringify(cells.search("-sort id").toArray()),
  };
}

test("schedules: all orders are made", () => {
  expect([...interleavings([1, 2])]).toEqual([
    [0, 1, 1],
    [1, 0, 1],
    [1, 1, 0],
  ]);
  expect([...interleavings([4, 4])]).toHaveLength(70);
  expect([...interleavings([3, 3, 3])]).toHaveLength(1_680);
});

test("schedules: reads that are not validated are found out", () => {
  const { handles: used, ...rest } = bench(2);
  const [outside] = used;
  /** Reads the newest value, whatever the transaction's snapshot, and is not validated. */
  const get =
    (id: number): Step =>
    (_tx, seen) => {
      seen.push(outside?.table(Cells).get(id)?.value);
    };
  const put =
    (id: number): Step =>
    (tx, seen) => {
      const sum = seen.reduce<number>((total, each) => total + Number(each ?? 0), 1);
      tx.table(Cells).upsert({ id, value: sum, note: 0 });
    };
  const weak = [
    {
      name: "write skew",
      scripts: [
        [get(1), get(2), put(1)],
        [get(1), get(2), put(2)],
      ],
    },
    {
      name: "read skew",
      scripts: [
        [get(1), get(2)],
        [put(1), put(2)],
      ],
    },
    {
      name: "absent keys",
      scripts: [
        [get(3), put(4)],
        [get(4), put(3)],
      ],
    },
  ];
  for (const template of weak) {
    const { problems } = runTemplate({ handles: used, ...rest }, template);
    expect(problems.length, template.name).toBeGreaterThan(0);
  }
});

for (const count of [1, 2]) {
  describe(`isolation, ${count === 1 ? "one handle" : "two handles"}`, () => {
    for (const template of pairs) {
      test(`${template.name}: every order is serial, every serial order succeeds`, () => {
        expect(template.scripts.map(lengthOf)).toEqual([4, 4]);
        const { problems, orders, allCommitted } = runTemplate(bench(count), template);
        expect(problems).toEqual([]);
        expect(orders).toBe(70);
        expect(allCommitted).toBeGreaterThanOrEqual(2);
      });
    }
  });
}

describe("isolation, three transactions", () => {
  for (const template of triples) {
    test(`${template.name}: every order is serial, every serial order succeeds`, () => {
      const { problems, orders } = runTemplate(bench(3), template);
      expect(problems).toEqual([]);
      expect(orders).toBe(1_680);
    });
  }
});

test("isolation: conflicts are counted by what they were lost on", () => {
  const { handles: used, reset } = bench(2);
  const [one, two] = used;
  if (one === undefined || two === undefined) throw new Error("nothing is open");
  const cells = one.table(Cells);
  const lost = (read: (tx: Transaction) => void, write: () => void): Stats["counters"] => {
    reset();
    const before = two.stats().counters;
    const tx = two.begin();
    read(tx);
    tx.table(Cells).update(2, { value: 5 });
    write();
    expect(() => tx.commit()).toThrow("committing");
    const after = two.stats().counters;
    const { conflictsRow, conflictsAbsent, conflictsSearch } = after;
    return {
      ...after,
      conflictsRow: conflictsRow - before.conflictsRow,
      conflictsAbsent: conflictsAbsent - before.conflictsAbsent,
      conflictsSearch: conflictsSearch - before.conflictsSearch,
    };
  };
  const row = lost(
    (tx) => tx.table(Cells).get(1),
    () => cells.update(1, { value: 6 }),
  );
  expect(row).toMatchObject({ conflictsRow: 1, conflictsAbsent: 0, conflictsSearch: 0 });
  const absent = lost(
    (tx) => tx.table(Cells).get(9),
    () => cells.insert({ id: 9, value: 1, note: 1 }),
  );
  expect(absent).toMatchObject({ conflictsRow: 0, conflictsAbsent: 1, conflictsSearch: 0 });
  const search = lost(
    (tx) => tx.table(Cells).count("-compare {{> value 25}}"),
    () => cells.insert({ id: 9, value: 30, note: 1 }),
  );
  expect(search).toMatchObject({ conflictsRow: 0, conflictsAbsent: 0, conflictsSearch: 1 });
});

test("isolation: no index is left behind by any of it", () => {
  expect(handles[0]?.check().problems).toEqual([]);
});
