import { describe, expect, test } from "bun:test";
import { Result } from "../../src/search/result.ts";
import type { RowSource } from "../../src/search/result.ts";
import { t } from "../../src/schema/column.ts";
import { generateEncoder } from "../../src/schema/encode.ts";
import { Memory } from "../../src/schema/memory.ts";
import { defineTable } from "../../src/schema/table.ts";

const table = defineTable("things", {
  id: t.u32().primaryKey(),
  name: t.string(6),
  big: t.i64(),
  price: t.decimal(2),
  maybe: t.i16().nullable(),
  live: t.bool(),
  phase: t.enum(["up", "down"]),
});
type Thing = typeof table.$row;

function rowOf(id: number): Thing {
  const phase = id % 2 === 0 ? "up" : "down";
  const maybe = id % 3 === 0 ? null : -(id % 1000);
  return {
    id,
    name: `n${id % 10_000}`,
    big: id * 3,
    price: id / 4,
    maybe,
    live: id % 2 === 0,
    phase,
  };
}

/** Images of the rows `first` to `first + count - 1`, as the engine returns them. */
function images(memory: Memory, first: number, count: number): void {
  const scratch = Memory.allocate(table.imageSize + 16);
  const encoder = generateEncoder(table, scratch);
  for (let index = 0; index < count; index++) {
    encoder.record(rowOf(first + index), 0);
    memory.u8.set(scratch.u8.subarray(16, 16 + table.imageSize), index * table.imageSize);
  }
}

/** `total` rows, the first `first` of them at once, the rest in batches of `batch`. */
function resultOf(
  total: number,
  first: number,
  batch = 4,
): { result: Result<Thing>; log: string[] } {
  const memory = Memory.allocate(Math.max(1, first) * table.imageSize);
  images(memory, 0, first);
  const log: string[] = [];
  let given = first;
  const source: RowSource = {
    next(target) {
      const room = Math.floor(target.u8.length / table.imageSize);
      const rowCount = Math.min(batch, total - given, room);
      images(target, given, rowCount);
      given += rowCount;
      log.push(`next ${rowCount}`);
      return { rowCount, done: given === total };
    },
    close() {
      log.push("close");
    },
  };
  const result = new Result<Thing>({
    table,
    fields: table.columns,
    decoder: table.decoder,
    first: { memory, at: 0, rowCount: first },
    source: first === total ? undefined : source,
  });
  return { result, log };
}

const all = (count: number): Thing[] => Array.from({ length: count }, (_, id) => rowOf(id));

describe("short results", () => {
  test("result: rows, length, first and repeated reading", () => {
    const { result } = resultOf(5, 5);
    expect(result.length).toBe(5);
    expect(result.first()).toEqual(rowOf(0));
    expect([...result]).toEqual(all(5));
    expect([...result]).toEqual(all(5));
    expect(result.toArray()).toEqual(all(5));
  });

  test("result: an empty result has no rows and no first", () => {
    const { result } = resultOf(0, 0);
    expect(result.length).toBe(0);
    expect(result.first()).toBeUndefined();
    expect([...result]).toEqual([]);
    expect(result.column("id")).toEqual(new Uint32Array(0));
  });

  test("result: the cursor gives one object again and again", () => {
    const { result } = resultOf(4, 4);
    const seen: Thing[] = [];
    const copies: Thing[] = [];
    for (const row of result.cursor()) {
      seen.push(row);
      copies.push({ ...row });
    }
    expect(new Set(seen).size).toBe(1);
    expect(copies).toEqual(all(4));
  });

  test("result: columns are typed arrays where they can be", () => {
    const { result } = resultOf(4, 4);
    expect(result.column("id")).toEqual(new Uint32Array([0, 1, 2, 3]));
    expect(result.column("big")).toEqual(new BigInt64Array([0n, 3n, 6n, 9n]));
    expect(result.column("price")).toEqual(new Float64Array([0, 0.25, 0.5, 0.75]));
    expect(result.column("live")).toEqual(new Uint8Array([1, 0, 1, 0]));
    expect(result.column("maybe")).toEqual([null, -1, -2, null]);
    expect(result.column("phase")).toEqual(["up", "down", "up", "down"]);
    expect(result.column("name")).toEqual(["n0", "n1", "n2", "n3"]);
    // @ts-expect-error no such column
    expect(() => result.column("nam")).toThrow('have no column "nam"');
  });

  test("result: close leaves a short result readable", () => {
    const { result } = resultOf(3, 3);
    result.close();
    expect(result.toArray()).toEqual(all(3));
  });
});

describe("long results", () => {
  test("result: rows come in batches, once each, and are kept", () => {
    const { result, log } = resultOf(11, 3);
    expect([...result]).toEqual(all(11));
    expect(log).toEqual(["next 4", "next 4", "close"]);
    expect([...result]).toEqual(all(11));
    expect(result.length).toBe(11);
    expect(log.length).toBe(3);
  });

  test("result: length, toArray and column read everything", () => {
    expect(resultOf(11, 3).result.length).toBe(11);
    expect(resultOf(11, 3).result.toArray()).toEqual(all(11));
    expect(resultOf(11, 0).result.column("id")).toEqual(new Uint32Array(all(11).map((r) => r.id)));
  });

  test("result: first reads no batch", () => {
    const { result, log } = resultOf(11, 3);
    expect(result.first()).toEqual(rowOf(0));
    expect(log).toEqual([]);
  });

  test("result: leaving a loop ends the search", () => {
    const { result, log } = resultOf(11, 3);
    for (const row of result) if (row.id === 5) break;
    expect(log).toEqual(["next 4", "close"]);
    expect(() => [...result]).toThrow("search again");
    expect(() => result.length).toThrow("search again");
  });

  test("result: leaving the scope ends the search", () => {
    const { result, log } = resultOf(11, 3);
    {
      using scoped = result;
      expect(scoped.first()).toEqual(rowOf(0));
    }
    expect(log).toEqual(["close"]);
    result.close();
    expect(log).toEqual(["close"]);
    expect(() => result.toArray()).toThrow(expect.objectContaining({ code: "CLOSED" }));
  });

  test("result: two loops over one result do not disturb each other", () => {
    const { result } = resultOf(11, 3);
    const other = result[Symbol.iterator]();
    const seen: Thing[] = [];
    for (const row of result) {
      seen.push(row);
      expect(other.next().value).toEqual(row);
    }
    expect(seen).toEqual(all(11));
  });

  test("result: an error in a batch ends the search", () => {
    const log: string[] = [];
    const result = new Result<Thing>({
      table,
      fields: table.columns,
      decoder: table.decoder,
      first: { memory: Memory.allocate(8), at: 0, rowCount: 0 },
      source: {
        next: () => {
          throw new Error("torn");
        },
        close: () => log.push("close"),
      },
    });
    expect(() => result.toArray()).toThrow("torn");
    expect(log).toEqual(["close"]);
  });

  test("result: beyond 16 MiB a pass keeps no more and is the only one", () => {
    const total = Math.ceil((17 << 20) / table.imageSize);
    const { result } = resultOf(total, 0, 1 << 20);
    let count = 0;
    for (const row of result.cursor()) count += row.id === count ? 1 : 0;
    expect(count).toBe(total);
    expect(result.length).toBe(total);
    expect(() => result.toArray()).toThrow("read in one pass");
    expect(resultOf(total, 0, 1 << 20).result.toArray().length).toBe(total);
  });
});
