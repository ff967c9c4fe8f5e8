import { describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Database, Delta } from "../../src/index.ts";
import { chooseSeed, Random } from "../support/random.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const Flights = defineTable("Flights", {
  id: t.string(8).primaryKey(),
  altitude: t.i32().index(),
  speed: t.u16().nullable(),
});
const tables = [Flights];
type Flight = typeof Flights.$row;
type FlightDelta = Delta<Flight, string>;

/** Rows by key, with all deltas folded in. */
class Fold {
  readonly rows = new Map<string, Flight>();
  order: readonly string[] | undefined;

  add({ entered, changed, left, reset, order }: FlightDelta): void {
    if (reset) this.rows.clear();
    for (const key of left) expect(this.rows.delete(key)).toBe(true);
    for (const row of entered) {
      expect(this.rows.has(row.id)).toBe(false);
      this.rows.set(row.id, row);
    }
    for (const row of changed) {
      expect(this.rows.has(row.id)).toBe(true);
      this.rows.set(row.id, row);
    }
    this.order = order;
  }
}

const sorted = (rows: Iterable<Flight>): Flight[] =>
  [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));

async function next<T>(iterator: AsyncIterator<T>): Promise<T> {
  const { value, done } = await iterator.next();
  if (done === true) throw new Error("the watch has ended");
  return value;
}

describe("watch", () => {
  test("watch: rows enter, change and leave", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const other = await temporary.open();
    const flights = other.table(Flights);
    flights.upsertMany([
      { id: "a", altitude: 100 },
      { id: "b", altitude: 900 },
    ]);
    using watch = db.table(Flights).watch("-compare {> altitude 500}");
    const deltas = watch[Symbol.asyncIterator]();
    const first = await next(deltas);
    expect(first).toMatchObject({ reset: true, changed: [], left: [] });
    expect(first.entered).toEqual([{ id: "b", altitude: 900, speed: null }]);
    flights.update("a", { altitude: 600 });
    expect(await next(deltas)).toMatchObject({ reset: false, entered: [{ id: "a" }], left: [] });
    flights.update("a", { speed: 300 });
    const third = await next(deltas);
    expect(third.changed).toEqual([{ id: "a", altitude: 600, speed: 300 }]);
    expect(third.entered).toEqual([]);
    db.transact((tx) => {
      tx.table(Flights).delete("b");
      tx.table(Flights).update("a", { altitude: 1 });
    });
    const last = await next(deltas);
    expect([...last.left].sort()).toEqual(["a", "b"]);
    expect(last.csn).toBe(db.stats().log.tailCsn - 1);
  });

  const queries = {
    "a range": "-compare {range altitude 300 700}",
    groups: "-or {{{< altitude 200}} {{> speed 50}}}",
    everything: "",
    "a window": "-compare {> altitude 200} -sort {-altitude id} -limit 7",
    "an offset": "-sort altitude -offset 3 -limit 5",
  };
  for (const [name, query] of Object.entries(queries)) {
    test(`watch: deltas folded are what the query finds: ${name}`, async () => {
      const seed = chooseSeed();
      const random = new Random(seed);
      using temporary = new TemporaryDatabase();
      const db = await temporary.open({ tables });
      const writer = await temporary.open();
      const write = (w: Database): void => {
        w.transact((tx) => {
          const f = tx.table(Flights);
          for (let n = random.below(5); n >= 0; n--) {
            const id = `f${random.below(30)}`;
            const altitude = random.below(1_000);
            const savepoint = tx.savepoint();
            if (random.below(4) === 0) f.delete(id);
            else f.upsert({ id, altitude, speed: random.below(3) === 0 ? null : random.below(99) });
            if (random.below(6) === 0) tx.rollbackTo(savepoint);
          }
        });
      };
      /** What the query finds after each commit. */
      const history: { readonly csn: number; readonly rows: readonly Flight[] }[] = [];
      const writeOne = (): void => {
        write(writer);
        const rows = writer.table(Flights).search(query).toArray();
        history.push({ csn: writer.stats().log.tailCsn - 1, rows });
      };
      for (let n = 0; n < 20; n++) writeOne();
      using watch = db.table(Flights).watch(query);
      const deltas = watch[Symbol.asyncIterator]();
      const fold = new Fold();
      for (let turn = 0; turn < 60; turn++) {
        const delta = next(deltas);
        while (Bun.peek.status(delta) === "pending") {
          for (let n = random.below(3); n > 0; n--) writeOne();
          await Bun.sleep(0);
        }
        const told = await delta;
        fold.add(told);
        const found = history.findLast(({ csn }) => csn <= told.csn)?.rows ?? [];
        const rows = sorted(fold.rows.values());
        expect({ seed, turn, rows }).toEqual({ seed, turn, rows: sorted(found) });
        if (fold.order !== undefined) expect(fold.order).toEqual(found.map(({ id }) => id));
      }
    });
  }

  test("watch: only columns asked for make a row changed, and small moves do not", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const flights = db.table(Flights);
    flights.upsert({ id: "a", altitude: 100, speed: 1 });
    using watch = flights.watch("", {
      fields: ["altitude"],
      deadband: { altitude: 50 },
      keep: true,
    });
    const deltas = watch[Symbol.asyncIterator]();
    await next(deltas);
    flights.update("a", { speed: 2 });
    flights.update("a", { altitude: 140 });
    flights.update("a", { altitude: 160 });
    const { changed } = await next(deltas);
    expect(changed).toEqual([{ id: "a", altitude: 160 } as Flight]);
    expect([...watch.rows]).toEqual([["a", { id: "a", altitude: 160 } as Flight]]);
  });

  test("watch: one key, many queries, a function", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const flights = db.table(Flights);
    const row = flights.watchKey("a");
    expect(await next(row)).toBeUndefined();
    flights.upsert({ id: "a", altitude: 1 });
    expect(await next(row)).toEqual({ id: "a", altitude: 1, speed: null });
    flights.delete("a");
    expect(await next(row)).toBeUndefined();
    await row.return(undefined);

    using set = flights.watchMany<number>();
    for (let id = 0; id < 10; id++) {
      set.add(id, { compare: [["range", "altitude", id * 100, id * 100 + 100]] });
    }
    flights.upsert({ id: "x", altitude: 250 });
    const told = new Map<number, number>();
    for await (const [id, delta] of set) {
      told.set(id, (told.get(id) ?? 0) + delta.entered.length);
      if (told.size === 10) break;
    }
    expect([...told].filter(([, count]) => count > 0)).toEqual([[2, 1]]);

    const { promise, resolve } = Promise.withResolvers<FlightDelta>();
    using watch = flights.watch("", {}, (delta) => {
      if (!delta.reset) resolve(delta);
    });
    expect(watch).toBeDefined();
    while (Bun.peek.status(promise) === "pending") {
      flights.upsert({ id: "y", altitude: Math.trunc(performance.now() * 1e3) % 1e9 });
      await Bun.sleep(0);
    }
    expect((await promise).left).toEqual([]);
  });

  test("watch: mistakes are told; a signal ends it, closing the database is CLOSED", async () => {
    using temporary = new TemporaryDatabase();
    const db = await temporary.open({ tables });
    const flights = db.table(Flights);
    expect(await codeOf(() => flights.watch("-compare {> altitud 1}"))).toBe("UNKNOWN_FIELD");
    expect(await codeOf(() => flights.watch("-compare {> altitude x}"))).toBe("INVALID_VALUE");
    expect(await codeOf(() => flights.watch("-limit x"))).toBe("PARSE_ERROR");
    expect(await codeOf(() => flights.watch("-delete 1"))).toBe("PARSE_ERROR");
    expect(() => db.transact((tx) => tx.table(Flights).watch())).toThrow(TypeError);
    const controller = new AbortController();
    const ended = (async () => {
      let count = 0;
      for await (const _ of flights.watch("", { signal: controller.signal })) count++;
      return count;
    })();
    const closed = codeOf(async () => {
      for await (const _ of flights.watch("")) continue;
    });
    await Bun.sleep(1);
    controller.abort();
    expect(await ended).toBe(1);
    db.close();
    expect(await closed).toBe("CLOSED");
  });
});
