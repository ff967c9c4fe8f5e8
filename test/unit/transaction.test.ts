import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Database, Table, Transaction } from "../../src/index.ts";
import { backoffMs } from "../../src/database/retry.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Accounts = defineTable("accounts", {
  id: t.u32().primaryKey(),
  balance: t.i64().index(),
  owner: t.string(12).nullable().index(),
});

let temporary: TemporaryDatabase;
let db: Database;
let accounts: Table<(typeof Accounts)["$shape"]>;
/** The table through another handle, as another process has it. */
let elsewhere: typeof accounts;

beforeAll(async () => {
  temporary = new TemporaryDatabase();
  db = await temporary.open({ tables: [Accounts] });
  accounts = db.table(Accounts);
  elsewhere = (await temporary.open()).table(Accounts);
});
afterAll(() => temporary[Symbol.dispose]());
beforeEach(() => {
  accounts.deleteWhere("-compare {}");
  accounts.upsertMany([1, 2, 3].map((id) => ({ id, balance: 100 })));
});

const balance = (tx: Transaction, id: number): number => {
  return Number(tx.table(Accounts).get(id)?.balance ?? Number.NaN);
};

describe("transact", () => {
  test("transact: all of it is visible at the commit, and its result is given back", () => {
    const sum = db.transact((tx) => {
      const table = tx.table(Accounts);
      table.update(1, { balance: balance(tx, 1) - 30 });
      table.update(2, { balance: balance(tx, 2) + 30 });
      expect(accounts.get(1)?.balance).toBe(100);
      return balance(tx, 1) + balance(tx, 2);
    });
    expect(sum).toBe(200);
    expect([accounts.get(1)?.balance, accounts.get(2)?.balance]).toEqual([70, 130]);
  });

  test("transact: an exception undoes all of it", () => {
    const run = (): unknown =>
      db.transact((tx) => {
        tx.table(Accounts).delete(1);
        tx.table(Accounts).insert({ id: 9, balance: 1 });
        throw new Error("no");
      });
    expect(run).toThrow("no");
    expect([accounts.get(1)?.balance, accounts.get(9)]).toEqual([100, undefined]);
  });

  test("transact: a lost conflict is run again", () => {
    let runs = 0;
    const result = db.transact((tx) => {
      runs++;
      const before = balance(tx, 1);
      if (runs < 3) elsewhere.update(1, { balance: 100 + runs });
      tx.table(Accounts).update(1, { balance: before + 1000 });
      return before;
    });
    expect([runs, result, accounts.get(1)?.balance]).toEqual([3, 102, 1102]);
  });

  test("transact: after the last attempt it is SERIALIZATION_FAILURE with table and key", () => {
    let runs = 0;
    const run = (): unknown =>
      db.transact(
        (tx) => {
          const before = balance(tx, 2);
          elsewhere.update(2, { balance: 1_000 + runs++ });
          tx.table(Accounts).update(2, { balance: before + 1 });
        },
        { retries: 4 },
      );
    const expected = { code: "SERIALIZATION_FAILURE", retryable: true, table: "accounts", key: 2 };
    expect(run).toThrow(expect.objectContaining(expected));
    expect(runs).toBe(5);
  });

  test("transact: inside another it is a savepoint of that one", () => {
    const seen = db.transact((tx) => {
      tx.table(Accounts).update(1, { balance: 1 });
      db.transact((inner) => void inner.table(Accounts).update(2, { balance: 2 }));
      const run = (): unknown =>
        db.transact((inner) => {
          inner.table(Accounts).update(1, { balance: 11 });
          inner.table(Accounts).update(3, { balance: 33 });
          throw new Error("no");
        });
      expect(run).toThrow("no");
      expect(elsewhere.get(2)?.balance).toBe(100);
      return [1, 2, 3].map((id) => balance(tx, id));
    });
    expect(seen).toEqual([1, 2, 100]);
    expect([1, 2, 3].map((id) => accounts.get(id)?.balance)).toEqual(seen);
  });

  test("transact: an error of the outer one undoes the inner ones", () => {
    const run = (): unknown =>
      db.transact(() => {
        db.transact((inner) => void inner.table(Accounts).update(2, { balance: 2 }));
        throw new Error("no");
      });
    expect(run).toThrow("no");
    expect(accounts.get(2)?.balance).toBe(100);
  });

  test("transact: a conflict in an inner one runs the outer one again", () => {
    let runs = 0;
    db.transact((tx) => {
      tx.table(Accounts).update(3, { balance: 3 });
      db.transact((inner) => {
        const before = balance(inner, 1);
        if (++runs === 1) elsewhere.update(1, { balance: 500 });
        inner.table(Accounts).update(1, { balance: before + 1 });
      });
    });
    expect([runs, accounts.get(1)?.balance, accounts.get(3)?.balance]).toEqual([2, 501, 3]);
  });

  test("transact: writing or closing through the database inside is refused", async () => {
    const calls: readonly (() => unknown)[] = [
      () => accounts.upsert({ id: 1, balance: 0 }),
      () => accounts.insert({ id: 8, balance: 0 }),
      () => accounts.update(1, { balance: 0 }),
      () => accounts.delete(1),
      () => accounts.upsertMany([{ id: 1, balance: 0 }]),
      () => accounts.updateWhere({ all: true }, { balance: 0 }),
      () => accounts.deleteWhere({ all: true }),
      () => accounts.execute("-delete 1"),
      () => db.createTable(Accounts),
      () => db.setConfig("aerostore.synchronous_commit", "on"),
      () => db.close(),
      () => db[Symbol.dispose](),
    ];
    for (const run of [db.transact.bind(db), db.snapshot.bind(db)]) {
      for (const call of calls) {
        const code = await codeOf(() => run(() => void call()));
        expect([String(call), code]).toEqual([String(call), expect.stringContaining("inside")]);
      }
    }
    expect(await codeOf(() => db.transact(() => void accounts.delete(1)))).toContain("tx.table");
    const nested = (): unknown => db.snapshot(() => void db.transact(() => 1));
    expect(await codeOf(nested)).toContain("inside snapshot()");
    expect([accounts.count(), accounts.get(1)?.balance]).toEqual([3, 100]);
    accounts.update(1, { balance: 1 });
    expect(accounts.get(1)?.balance).toBe(1);
  });

  test("transact: other errors are not run again", async () => {
    let runs = 0;
    const run = (): unknown =>
      db.transact((tx) => {
        runs++;
        tx.table(Accounts).insert({ id: 1, balance: 0 });
      });
    expect(await codeOf(run)).toBe("DUPLICATE_KEY");
    expect(runs).toBe(1);
  });

  test("transact: a function that returns a promise is refused and undone", async () => {
    let late: Promise<string> | undefined;
    const run = (): unknown =>
      db.transact(async (tx) => {
        tx.table(Accounts).delete(1);
        await Promise.resolve();
        late = codeOf(() => tx.table(Accounts).delete(2));
        await late;
        throw new Error("never seen");
      });
    expect(run).toThrow(TypeError);
    expect(run).toThrow("returned a promise");
    await Bun.sleep(0);
    expect(await late).toBe("CLOSED");
    expect(accounts.count()).toBe(3);
    expect(() => db.transact(() => ({ then: () => undefined }))).toThrow(TypeError);
    expect(db.transact(() => ({ then: 1 }))).toEqual({ then: 1 });
  });

  test("transact: a body may end its transaction itself", () => {
    expect(
      db.transact((tx) => {
        tx.table(Accounts).delete(1);
        tx.abort();
        return "undone";
      }),
    ).toBe("undone");
    expect(accounts.get(1)).toBeDefined();
  });

  test("transact: wrong options are a RangeError", () => {
    expect(() => db.transact(() => 1, { retries: -1 })).toThrow(RangeError);
  });

  test("transact: backoff doubles from 1 ms to 16 ms, and is jittered", () => {
    expect([1, 2, 3, 4, 5, 6, 50].map((attempt) => backoffMs(attempt, 1))).toEqual([
      1, 2, 4, 8, 16, 16, 16,
    ]);
    expect(backoffMs(5, 0.25)).toBe(4);
  });
});

describe("explicit transactions", () => {
  test("transaction: leaving the scope aborts", () => {
    {
      using tx = db.begin();
      tx.table(Accounts).delete(1);
      expect(tx.isOpen).toBe(true);
    }
    expect(accounts.get(1)).toBeDefined();
  });

  test("transaction: own writes are seen by gets and searches, also through an index", () => {
    using tx = db.begin();
    const table = tx.table(Accounts);
    table.upsertMany([
      { id: 1, balance: 500, owner: "ann" },
      { id: 7, balance: 501 },
    ]);
    table.delete(2);
    expect(table.get(1)).toEqual({ id: 1, balance: 500, owner: "ann" });
    expect(table.get(2)).toBeUndefined();
    const rich = table.search("-compare {>= balance 500} -sort -balance").toArray();
    expect(rich.map(({ id }) => id)).toEqual([7, 1]);
    expect(table.count()).toBe(3);
    expect(table.updateWhere("-compare {= owner ann}", { balance: 1 })).toBe(1);
    expect(table.deleteWhere("-compare {= balance 501}")).toBe(1);
    expect(table.search("-sort id").column("id")).toEqual(new Uint32Array([1, 3]));
    expect(accounts.count()).toBe(3);
    tx.commit();
    expect(accounts.search("-sort id").column("id")).toEqual(new Uint32Array([1, 3]));
  });

  test("transaction: any number are open at once and do not see each other", () => {
    const open = Array.from({ length: 50 }, (_, index) => {
      const tx = db.begin();
      tx.table(Accounts).insert({ id: 100 + index, balance: index });
      return tx;
    });
    const seen = open.map((tx, index) => [balance(tx, 100 + index), balance(tx, 99 - index)]);
    expect(seen).toEqual(open.map((_, index) => [index, Number.NaN]));
    for (const tx of open) tx.commit();
    expect(accounts.count()).toBe(53);
  });

  test("transaction: a failed statement has no effect, and the transaction goes on", async () => {
    using tx = db.begin();
    const table = tx.table(Accounts);
    table.update(1, { balance: 7 });
    expect(await codeOf(() => table.insert({ id: 1, balance: 0 }))).toBe("DUPLICATE_KEY");
    expect(await codeOf(() => table.upsert({ id: 50 }))).toBe("INVALID_VALUE");
    expect(await codeOf(() => table.upsert({ id: 1, balance: 2n ** 70n }))).toBe("INVALID_VALUE");
    expect(await codeOf(() => table.search("-sort {"))).toBe("PARSE_ERROR");
    table.insert({ id: 51, balance: 51 });
    tx.commit();
    expect([accounts.get(1)?.balance, accounts.count()]).toEqual([7, 4]);
  });

  test("transaction: a failed batch within one leaves none of its rows", async () => {
    using tx = db.begin();
    const table = tx.table(Accounts);
    const rows = [{ id: 60, balance: 1 }, { id: 61, balance: 1 }, { id: 62 }];
    expect(await codeOf(() => table.upsertMany(rows))).toBe("INVALID_VALUE");
    tx.commit();
    expect(accounts.count()).toBe(3);
  });

  test("transaction: a search that found nothing conflicts with what it would find", async () => {
    using tx = db.begin();
    expect(tx.table(Accounts).count("-compare {= owner bob}")).toBe(0);
    tx.table(Accounts).insert({ id: 70, balance: 0, owner: "tx" });
    accounts.insert({ id: 71, balance: 0, owner: "bob" });
    expect(await codeOf(() => tx.commit())).toBe("SERIALIZATION_FAILURE");
    expect(accounts.get(70)).toBeUndefined();
  });

  test("transaction: what it did not look at does not conflict", () => {
    using tx = db.begin();
    expect(tx.table(Accounts).count("-compare {= owner bob}")).toBe(0);
    tx.table(Accounts).insert({ id: 70, balance: 0 });
    accounts.insert({ id: 71, balance: 0, owner: "eve" });
    tx.commit();
    expect(accounts.count()).toBe(5);
  });

  test("transaction: a key found absent conflicts with its insertion", async () => {
    using tx = db.begin();
    expect(tx.table(Accounts).get(80)).toBeUndefined();
    tx.table(Accounts).update(1, { balance: 1 });
    accounts.insert({ id: 80, balance: 0 });
    expect(await codeOf(() => tx.commit())).toBe("SERIALIZATION_FAILURE");
  });

  test("transaction: after its end every use is CLOSED, and abort does nothing", async () => {
    const tx = db.begin();
    const table = tx.table(Accounts);
    const savepoint = tx.savepoint();
    tx.commit();
    tx.abort();
    const uses: readonly (() => unknown)[] = [
      () => tx.commit(),
      () => tx.table(Accounts),
      () => tx.savepoint(),
      () => tx.rollbackTo(savepoint),
      () => tx.release(savepoint),
      () => tx.token,
      () => table.get(1),
      () => table.upsert({ id: 1 }),
      () => table.search(),
      () => table.lockForUpdate(1),
    ];
    for (const use of uses)
      expect([String(use), await codeOf(use)]).toEqual([String(use), "CLOSED"]);
  });

  test("transaction: closing the database aborts every open one, whatever has ended", async () => {
    for (const ended of [[], [0], [1], [3], [0, 3], [2, 1], [3, 2, 1]]) {
      const other = await temporary.open();
      const all = Array.from({ length: 4 }, () => other.begin());
      all.forEach((tx, id) => tx.table(Accounts).update(1, { balance: id }));
      for (const position of ended) all[position]?.abort();
      other.close();
      expect(all.map((tx) => tx.isOpen)).toEqual([false, false, false, false]);
      for (const tx of all) expect(await codeOf(() => tx.commit())).toBe("CLOSED");
    }
    expect(accounts.get(1)?.balance).toBe(100);
  });

  test("transaction: a long result read after the end of its transaction is an error", async () => {
    accounts.upsertMany(Array.from({ length: 4_000 }, (_, id) => ({ id, balance: id })));
    const tx = db.begin({ readOnly: true });
    const result = tx.table(Accounts).search();
    tx.commit();
    expect(await codeOf(() => result.toArray())).not.toBe("none");
  });
});

describe("savepoints", () => {
  test("transaction: the rest of a long result ends with it, whatever comes then", async () => {
    accounts.upsertMany(Array.from({ length: 5_000 }, (_, id) => ({ id, balance: id })));
    const tx = db.begin();
    const late = tx.table(Accounts).search("-sort id");
    tx.abort();
    const other = accounts.search("-sort -id");
    expect(await codeOf(() => late.toArray())).toBe("CLOSED");
    expect(other.toArray().map(({ id }) => id)[4_999]).toBe(0);
  });

  test("savepoint: rolling back undoes what came later, again and again", () => {
    using tx = db.begin();
    const table = tx.table(Accounts);
    table.update(1, { balance: 1 });
    const savepoint = tx.savepoint();
    for (const value of [2, 3]) {
      table.update(1, { balance: value });
      table.delete(2);
      table.insert({ id: 9, balance: 9 });
      tx.rollbackTo(savepoint);
      expect([balance(tx, 1), balance(tx, 2), table.get(9)]).toEqual([1, 100, undefined]);
    }
    tx.commit();
    expect([accounts.get(1)?.balance, accounts.count()]).toEqual([1, 3]);
  });

  test("savepoint: nested ones, and those that are gone are CLOSED", async () => {
    using tx = db.begin();
    const table = tx.table(Accounts);
    const outer = tx.savepoint();
    table.update(1, { balance: 1 });
    const inner = tx.savepoint();
    table.update(1, { balance: 2 });
    tx.rollbackTo(inner);
    expect(balance(tx, 1)).toBe(1);
    tx.rollbackTo(outer);
    expect(balance(tx, 1)).toBe(100);
    expect(await codeOf(() => tx.rollbackTo(inner))).toBe("CLOSED");
    tx.release(outer);
    expect(await codeOf(() => tx.rollbackTo(outer))).toBe("CLOSED");
    expect(await codeOf(() => tx.release(outer))).toBe("CLOSED");
  });

  test("savepoint: also after an error inside", async () => {
    using tx = db.begin();
    const table = tx.table(Accounts);
    const savepoint = tx.savepoint();
    table.delete(3);
    expect(await codeOf(() => table.insert({ id: 1, balance: 0 }))).toBe("DUPLICATE_KEY");
    tx.rollbackTo(savepoint);
    tx.commit();
    expect(accounts.count()).toBe(3);
  });
});

/** More rows than a search returns at once. */
const many = 5_000;

describe("results that are read on while the transaction writes", () => {
  const queries = ["", "-sort balance", "-sort -balance", "-compare {>= balance 0}"] as const;
  const idsOf = (rows: Iterable<{ id: number }>): number[] =>
    Array.from(rows, ({ id }) => id).sort((a, b) => a - b);
  const all = Array.from({ length: many }, (_, id) => id);

  test.each(queries)("savepoint: rolled-back rows stay in a result of before, %p", (query) => {
    using tx = db.begin();
    const table = tx.table(Accounts);
    const savepoint = tx.savepoint();
    table.upsertMany(all.map((id) => ({ id, balance: 1_000_000 + id })));
    const result = table.search(query);
    tx.rollbackTo(savepoint);
    // In the memory that the rollback has given back.
    table.upsertMany(all.map((id) => ({ id: 100_000 + id, balance: -id - 1 })));
    const rows = result.toArray();
    expect(idsOf(rows)).toEqual(all);
    expect(rows.every(({ id, balance: value }) => value === 1_000_000 + id)).toBe(true);
  });

  test.each(queries)("transaction: a result shows what was written before it, %p", (query) => {
    accounts.upsertMany(all.map((id) => ({ id, balance: id })));
    using tx = db.begin();
    const table = tx.table(Accounts);
    table.update(1, { balance: 7 });
    const result = table.search(query);
    for (const id of all) table.update(id, { balance: 20_000 - id });
    for (const id of all.slice(10)) table.delete(id);
    const rows = result.toArray();
    expect(idsOf(rows)).toEqual(all);
    expect(rows.every(({ id, balance: value }) => value === (id === 1 ? 7 : id))).toBe(true);
    expect(table.count()).toBe(10);
  });

  test("transaction: a result is validated as far as it read, rolled back or not", async () => {
    accounts.upsertMany(all.map((id) => ({ id, balance: id })));
    using tx = db.begin();
    const table = tx.table(Accounts);
    const savepoint = tx.savepoint();
    table.insert({ id: 9_000, balance: 9_000 });
    const result = table.search("-sort balance");
    expect(result.first()?.id).toBe(0);
    tx.rollbackTo(savepoint);
    table.insert({ id: 9_001, balance: 9_001 });
    result.close();
    accounts.insert({ id: 9_002, balance: -1 });
    expect(await codeOf(() => tx.commit())).toBe("SERIALIZATION_FAILURE");
  });
});

describe("snapshots", () => {
  test("snapshot: everything inside sees one instant", () => {
    const seen = db.snapshot((view) => {
      const table = view.table(Accounts);
      const before = table.get(1)?.balance;
      elsewhere.update(1, { balance: 0 });
      elsewhere.insert({ id: 90, balance: 0 });
      return [before, table.get(1)?.balance, table.count(), table.get(90)];
    });
    expect(seen).toEqual([100, 100, 3, undefined]);
    expect(accounts.get(1)?.balance).toBe(0);
  });

  test("snapshot: writing in one is refused", async () => {
    using view = db.begin({ readOnly: true });
    expect(view.readOnly).toBe(true);
    const table = view.table(Accounts);
    const writes: readonly (() => unknown)[] = [
      () => table.upsert({ id: 1, balance: 0 }),
      () => table.insert({ id: 8, balance: 0 }),
      () => table.update(1, { balance: 0 }),
      () => table.delete(1),
      () => table.upsertMany([{ id: 1, balance: 0 }]),
      () => table.updateWhere("-compare {}", { balance: 0 }),
      () => table.deleteWhere("-compare {}"),
      () => table.execute("-delete 1"),
      () => table.ingestTsv("1\t0\t\n"),
    ];
    for (const write of writes) {
      expect(await codeOf(write)).toContain("TypeError: the transaction is read-only");
    }
    expect(table.get(1)?.balance).toBe(100);
  });

  test("snapshot: one older than the limit is SNAPSHOT_TOO_OLD, and others go on", async () => {
    db.setConfig("aerostore.snapshot_age_limit_ms", 100);
    try {
      using view = db.begin({ readOnly: true });
      view.table(Accounts).get(1);
      let code = "none";
      for (let round = 0; code === "none" && round < 1_000; round++) {
        accounts.update(1, { balance: round });
        await Bun.sleep(10);
        code = await codeOf(() => view.table(Accounts).get(1));
      }
      expect(code).toBe("SNAPSHOT_TOO_OLD");
      expect(db.snapshot((other) => other.table(Accounts).count())).toBe(3);
    } finally {
      db.setConfig("aerostore.snapshot_age_limit_ms", 60_000);
    }
  });
});

describe("locks", () => {
  test("lock: another transaction waits for it, at most its timeout", async () => {
    using holder = db.begin();
    holder.table(Accounts).lockForUpdate(1);
    using other = db.begin();
    other.table(Accounts).lockForUpdate(2);
    const lock = (): void => other.table(Accounts).lockForUpdate(1, { timeoutMs: 5 });
    expect(await codeOf(lock)).toBe("LOCK_TIMEOUT");
    expect(lock).toThrow("table accounts, key 1");
    holder.abort();
    lock();
    lock();
  });

  test("lock: a row need not exist, and wrong arguments are refused", async () => {
    using tx = db.begin();
    tx.table(Accounts).lockForUpdate(12_345);
    const wrong = (): void => tx.table(Accounts).lockForUpdate(1, { timeoutMs: -1 });
    expect(wrong).toThrow(RangeError);
    // @ts-expect-error not a key
    expect(await codeOf(() => tx.table(Accounts).lockForUpdate("x"))).toBe("INVALID_VALUE");
  });
});

describe("outcomes", () => {
  test("outcome: pending, then committed or aborted, also for another handle", async () => {
    using other = await temporary.open();
    using tx = db.begin();
    tx.table(Accounts).update(1, { balance: 5 });
    const { token } = tx;
    expect(tx.token).toBe(token);
    expect([db.outcome(token), other.outcome(token)]).toEqual(["pending", "pending"]);
    tx.commit();
    expect([db.outcome(token), other.outcome(token)]).toEqual(["committed", "committed"]);
    expect(tx.token).toBe(token);
    const undone = db.begin();
    const lost = undone.token;
    undone.abort();
    expect(other.outcome(lost)).toBe("aborted");
  });

  test("outcome: a token never given is unknown, and what is no token a TypeError", () => {
    expect(db.outcome("00000000ffffffff")).toBe("unknown");
    expect(() => db.outcome("tomorrow")).toThrow(TypeError);
  });

  test("outcome: durable settles once the commit is on disk", async () => {
    using tx = db.begin();
    expect(await codeOf(() => tx.durable)).toBe("CLOSED");
    tx.table(Accounts).update(1, { balance: 6 });
    tx.commit();
    await tx.durable;
    const { durableCsn, tailCsn } = db.stats().log;
    expect(durableCsn).toBe(tailCsn);
    const reader = db.begin({ readOnly: true });
    reader.commit();
    await reader.durable;
  });
});

test("transaction: a forgotten one ends, and its snapshot with it", async () => {
  const pinned = (): number => {
    return db.stats().sessions.reduce((sum, { snapshotCsn }) => Math.max(sum, snapshotCsn), 0);
  };
  const forget = (): void => {
    for (let count = 0; count < 300; count++) {
      const tx = db.begin();
      tx.table(Accounts).update(1, { balance: count });
    }
  };
  expect(pinned()).toBe(0);
  forget();
  expect(pinned()).toBeGreaterThan(0);
  const held = db.begin();
  for (let round = 0; round < 200 && pinned() > 0; round++) {
    held.abort();
    Bun.gc(true);
    await Bun.sleep(1);
  }
  expect(pinned()).toBe(0);
  expect(accounts.get(1)?.balance).toBe(100);
});
