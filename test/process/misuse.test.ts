/** Every method × every misuse × what happens, from the table in `test/support/misuse.ts`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Database } from "../../src/index.ts";
import {
  databaseMethods,
  type Deed,
  Items,
  type Misused,
  outcomeOf,
  searchMethods,
  type Subject,
  subjectOf,
  tableMethods,
  transactionMethods,
} from "../support/misuse.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const methods: readonly Misused[] = [...tableMethods, ...searchMethods, ...databaseMethods];
const tables = [Items];

let temporary: TemporaryDatabase;
let db: Database;

beforeAll(async () => {
  temporary = new TemporaryDatabase();
  db = await temporary.open({ tables });
  fill();
});
afterAll(() => temporary[Symbol.dispose]());

function fill(): void {
  db.table(Items).upsertMany(Array.from({ length: 3_000 }, (_, id) => ({ id, rank: id % 7 })));
}

/** What a method of each deed comes to in a place. */
type Column = Readonly<Record<Deed, string>>;

const everywhere: Column = {
  ...{ reads: "works", writes: "works", transacts: "works", closes: "works", ends: "works" },
};
/** On a database that is closed. */
const closed: Column = {
  ...{ reads: "CLOSED", writes: "CLOSED", transacts: "CLOSED", closes: "works", ends: "works" },
};
/** Through the database, inside a function of `transact`: inner transactions are savepoints. */
const insideTransact: Column = { ...everywhere, writes: "TypeError", closes: "TypeError" };
const insideSnapshot: Column = { ...insideTransact, transacts: "TypeError" };

async function expectColumn(column: Column, outcome: (method: Misused) => Promise<string>) {
  const found: string[] = [];
  for (const method of methods) found.push(`${method.name}: ${await outcome(method)}`);
  expect(found).toEqual(methods.map(({ name, deed }) => `${name}: ${column[deed]}`));
}

describe("misuse", () => {
  test("misuse: a closed database", async () => {
    const handle = await temporary.open();
    const subject = subjectOf(handle);
    handle.close();
    await expectColumn(closed, ({ call }) => outcomeOf(() => call(subject)));
  });

  test("misuse: a table, search and result of a transaction that has ended", async () => {
    for (const end of ["commit", "abort"] as const) {
      const transaction = db.begin();
      const table = transaction.table(Items);
      const subject: Subject = {
        db,
        table,
        prepared: table.prepare("-compare {= id $id}"),
        result: table.search("-limit 5"),
      };
      transaction[end]();
      for (const { name, deed, call } of [...tableMethods, ...searchMethods]) {
        const outcome = await outcomeOf(() => call(subject));
        expect([end, name, outcome]).toEqual([end, name, closed[deed]]);
      }
      for (const { name, deed, call } of transactionMethods) {
        const outcome = await outcomeOf(() => call(transaction));
        expect([end, name, outcome]).toEqual([end, name, closed[deed]]);
      }
    }
  });

  test("misuse: inside a loop over a result, which goes on as if nothing had been", async () => {
    const handle = await temporary.open();
    for (const { name, deed, call } of methods) {
      if (deed === "closes") continue;
      const subject = subjectOf(handle);
      let rows = 0;
      let outcome = "";
      for (const found of subject.table.search("-compare {< id 3000}")) {
        if (rows++ === 10) outcome = await outcomeOf(() => call(subject));
        expect(found.id).toBeLessThan(3_000);
      }
      expect([name, rows, outcome]).toEqual([name, 3_000, "works"]);
    }
    const subject = subjectOf(handle);
    const steps = subject.table.search()[Symbol.iterator]();
    steps.next();
    handle.close();
    expect(await outcomeOf(() => steps.next())).toBe("CLOSED");
  });

  test("misuse: through the database inside transact", async () => {
    await expectColumn(insideTransact, ({ call }) => {
      const subject = subjectOf(db);
      let pending: unknown;
      return outcomeOf(async () => {
        db.transact(() => {
          pending = call(subject);
        });
        await pending;
      });
    });
    expect(db.table(Items).count("-compare {< id 3000}")).toBe(3_000);
  });

  test("misuse: through the database inside snapshot", async () => {
    await expectColumn(insideSnapshot, ({ call }) => {
      const subject = subjectOf(db);
      let pending: unknown;
      return outcomeOf(async () => {
        db.snapshot(() => {
          pending = call(subject);
        });
        await pending;
      });
    });
  });

  test("misuse: in a Worker, with a handle of its own", async () => {
    const script = join(import.meta.dir, "..", "support", "misuse-worker.ts");
    const worker = new Worker(script, { argv: [temporary.directory, temporary.shmPath] });
    const outcomes = await new Promise<unknown>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
    worker.terminate();
    expect(outcomes).toEqual(Object.fromEntries(methods.map(({ name }) => [name, "works"])));
  });

  test("misuse: after another handle of the process was closed", async () => {
    const subject = subjectOf(await temporary.open());
    (await temporary.open()).close();
    await expectColumn(everywhere, ({ call }) => outcomeOf(() => call(subject)));
    expect(db.table(Items).get(1)?.id).toBe(1);
  });

  test("misuse: a method that is not in the table is CLOSED on a closed database", async () => {
    const handle = await temporary.open();
    const { table, prepared } = subjectOf(handle);
    const transaction = handle.begin();
    handle.close();
    const known = new Set(methods.map(({ name }) => name));
    for (const subject of [handle, table, prepared, transaction]) {
      for (const name of methodsOf(subject)) {
        if (known.has(name) || ends.has(name)) continue;
        const method: unknown = Reflect.get(subject, name);
        if (typeof method !== "function") continue;
        const outcome = await outcomeOf(async () => {
          const returned: unknown = await Reflect.apply(method, subject, []);
          // A generator begins when it is asked for its first value.
          if (isSteps(returned)) await returned.next();
        });
        expect([name, outcome]).toEqual([name, "CLOSED"]);
      }
    }
  });
});

/** Methods that end something, and so may be called at any time, and those of the runtime. */
const ends = new Set(["close", "abort", "hold", "subject", "constructor", "rows"]);

function methodsOf(subject: object): string[] {
  const names = new Set<string>();
  for (let each: unknown = subject; each !== null && each !== Object.prototype;) {
    if (typeof each !== "object") break;
    const own = Object.getOwnPropertyDescriptors(each);
    for (const [name, { value }] of Object.entries(own)) {
      if (typeof value === "function") names.add(name);
    }
    each = Object.getPrototypeOf(each);
  }
  return [...names];
}

function isSteps(value: unknown): value is { next(): unknown } {
  return typeof value === "object" && value !== null && "next" in value;
}
