import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { open } from "../../src/index.ts";
import type { Database, Stats, Transaction } from "../../src/index.ts";
import { Crew } from "../support/crew.ts";
import { root } from "../support/source.ts";
import type { Order, Reply } from "./player-child.ts";
import { interleavings, lengthOf, LocalPlayer, runTemplate } from "./schedule.ts";
import type { Bench, Phase, Player, Seen, Step } from "./schedule.ts";
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
    begin: ({ scripts }, who) => {
      const handle = used[who % used.length];
      if (handle === undefined) throw new Error("nothing is open");
      return new LocalPlayer(handle, scripts[who] ?? []);
    },
    reset: () =>
      first.transact((tx) => {
        const table = tx.table(Cells);
        table.deleteWhere("-compare {}");
        for (const cell of cellsAtStart) table.insert(cell);
      }),
    state: () => JSON.stringify(cells.search("-sort id").toArray()),
  };
}

/** Another process, in which transactions are played. */
class Partner implements AsyncDisposable {
  readonly #child: Bun.Subprocess;
  #resolve: (reply: Reply) => void = () => undefined;
  #reply: Promise<Reply>;

  constructor() {
    this.#reply = this.#expect();
    const command = [process.execPath, "test/isolation/player-child.ts"];
    this.#child = Bun.spawn([...command, crew.data, crew.shmPath, ""], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (reply: Reply) => this.#resolve(reply),
      onExit: () => this.#resolve({ phase: "lost", seen: ["the child has ended"] }),
    });
  }

  async #expect(): Promise<Reply> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  async ask(order: Order): Promise<Reply> {
    await this.#reply; // of the child's beginning
    this.#reply = this.#expect();
    this.#child.send(order);
    return this.#reply;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.disconnect();
    await this.#child.exited;
  }
}

class RemotePlayer implements Player {
  seen: Seen = [];
  readonly #partner: Partner;

  constructor(partner: Partner) {
    this.#partner = partner;
  }

  async next(): Promise<Phase> {
    const { phase, seen } = await this.#partner.ask({ kind: "next" });
    this.seen = seen;
    return phase;
  }

  async abort(): Promise<void> {
    await this.#partner.ask({ kind: "abort" });
  }
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

test("schedules: reads that are not validated are found out", async () => {
  const [outside] = handles;
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
    const { problems } = await runTemplate(bench(2), template);
    expect(problems.length, template.name).toBeGreaterThan(0);
  }
});

for (const count of [1, 2]) {
  describe(`isolation, ${count === 1 ? "one handle" : "two handles"}`, () => {
    for (const template of pairs) {
      test(`${template.name}: every order is serial, every serial order succeeds`, async () => {
        expect(template.scripts.map(lengthOf)).toEqual([4, 4]);
        const { problems, orders, allCommitted } = await runTemplate(bench(count), template);
        expect(problems).toEqual([]);
        expect(orders).toBe(70);
        expect(allCommitted).toBeGreaterThanOrEqual(2);
      });
    }
  });
}

test("isolation, two processes: every order is serial, every serial order succeeds", async () => {
  await using partner = new Partner();
  const { begin, ...rest } = bench(1);
  const across: Bench = {
    ...rest,
    begin: async (template, who) => {
      if (who === 0) return begin(template, who);
      await partner.ask({ kind: "begin", template: template.name, who });
      return new RemotePlayer(partner);
    },
  };
  for (const template of pairs) {
    const { problems, orders, allCommitted } = await runTemplate(across, template);
    expect(problems).toEqual([]);
    expect(orders).toBe(70);
    expect(allCommitted, template.name).toBeGreaterThanOrEqual(2);
  }
});

describe("isolation, three transactions", () => {
  for (const template of triples) {
    test(`${template.name}: every order is serial, every serial order succeeds`, async () => {
      const { problems, orders } = await runTemplate(bench(3), template);
      expect(problems).toEqual([]);
      expect(orders).toBe(1_680);
    });
  }
});

test("isolation: conflicts are counted by what they were lost on", () => {
  const { reset } = bench(2);
  const [one, two] = handles;
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
