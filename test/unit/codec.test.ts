import { describe, expect, test } from "bun:test";
import { AerostoreError } from "../../src/errors.ts";
import { t } from "../../src/schema/column.ts";
import { formatScaled, parseScaled } from "../../src/schema/decimal.ts";
import { generateDecoder } from "../../src/schema/decode.ts";
import { generateEncoder } from "../../src/schema/encode.ts";
import { FlightState } from "../../src/flight/flight-state.ts";
import { Memory } from "../../src/schema/memory.ts";
import { defineTable } from "../../src/schema/table.ts";
import type { AnyTable, TableDefinition, TableShape } from "../../src/schema/table.ts";

const imageAt = 16;

interface Bench<S extends TableShape> {
  readonly memory: Memory;
  readonly write: (row: object) => void;
  readonly read: () => S["row"];
  readonly masks: () => { named: bigint; missing: bigint; nulls: bigint };
}

function benchFor<S extends TableShape>(table: TableDefinition<S>): Bench<S> {
  const memory = Memory.allocate(table.imageSize + 64);
  memory.u8.fill(0xaa);
  const encoder = generateEncoder(table, memory);
  const { decoder } = table;
  return {
    memory,
    write: (row) => encoder.record(row, 0),
    read: () => decoder.row(memory, imageAt),
    masks: () => ({
      named: memory.u64[0] ?? 0n,
      missing: memory.u64[1] ?? 0n,
      nulls: memory.u64[2] ?? 0n,
    }),
  };
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof AerostoreError ? error.code : String(error);
  }
  return "none";
}

const flight = {
  flight_id: "TOM2XE",
  lat: 46.679232,
  lon: -10.202179,
  altitude: -38000,
  gs: 438,
  updated_at: 1533099600,
};

describe("records", () => {
  test("codec: a row reads back as it was written", () => {
    const bench = benchFor(FlightState);
    bench.write(flight);
    expect(bench.read()).toEqual(flight);
    expect(Object.keys(bench.read())).toEqual(Object.keys(flight));
    expect(bench.masks()).toEqual({ named: 0b11111n, missing: 0n, nulls: 0n });
  });

  test("codec: bytes are those of docs/internals/row-image.md, padding zero", () => {
    const bench = benchFor(FlightState);
    bench.write({ ...flight, flight_id: "A" });
    const image = new DataView(bench.memory.buffer, imageAt, FlightState.imageSize);
    expect(image.getUint16(8, true)).toBe(1);
    expect(bench.memory.u8.subarray(imageAt + 10, imageAt + 34).toString("latin1")).toBe(
      "A".padEnd(24, "\0"),
    );
    expect(image.getUint16(34, true)).toBe(438);
    expect(image.getInt32(36, true)).toBe(-38000);
    expect(image.getBigInt64(40, true)).toBe(46_679_232n);
    expect(image.getBigInt64(48, true)).toBe(-10_202_179n);
    expect(image.getBigUint64(56, true)).toBe(1_533_099_600n);
  });

  const partial = defineTable("partial", {
    id: t.u32().primaryKey(),
    a: t.i32().default(7),
    b: t.i32().nullable(),
    c: t.i32(),
    d: t.string(8).nullable().default("x"),
  });

  test("codec: what is not named gets its default, else null, else is missing", () => {
    const bench = benchFor(partial);
    bench.write({ id: 1 });
    expect(bench.masks()).toEqual({ named: 0n, missing: 0b100n, nulls: 0b10n });
    expect(bench.read()).toEqual({ id: 1, a: 7, b: null, c: 0, d: "x" });
    bench.write({ id: 1, a: undefined, b: null, c: 3, d: null });
    expect(bench.masks()).toEqual({ named: 0b1110n, missing: 0n, nulls: 0b1010n });
    expect(bench.read()).toEqual({ id: 1, a: 7, b: null, c: 3, d: null });
  });

  test("codec: null in a column that is not nullable is INVALID_VALUE", () => {
    expect(codeOf(() => benchFor(partial).write({ id: 1, c: null }))).toBe("INVALID_VALUE");
  });

  test("codec: a patch names its columns and never the key", () => {
    const memory = Memory.allocate(256);
    const encoder = generateEncoder(FlightState, memory);
    encoder.patch("A", { gs: 5 }, 0);
    expect(memory.u64[0]).toBe(0b1000n);
    expect(FlightState.decoder.row(memory, imageAt).flight_id).toBe("A");
    expect(codeOf(() => encoder.patch("A", { flight_id: "B" }, 0))).toBe("INVALID_VALUE");
  });

  test("codec: an unknown column is UNKNOWN_FIELD with the nearest name", () => {
    const bench = benchFor(FlightState);
    const write = (extra: object) => (): void => bench.write({ ...flight, ...extra });
    expect(codeOf(write({ altitud: 1 }))).toBe("UNKNOWN_FIELD");
    expect(write({ altitud: 1 })).toThrow('did you mean "altitude"?');
    expect(write({ ident: "x" })).toThrow('did you mean "flight_id"?');
    expect(codeOf(() => bench.write({ flight_id: "A", ["__proto__x"]: 1 }))).toBe("UNKNOWN_FIELD");
  });

  test("codec: a row without its key is INVALID_VALUE", () => {
    expect(codeOf(() => benchFor(FlightState).write({ lat: 1 }))).toBe("INVALID_VALUE");
  });

  test("codec: 64 columns and their masks", () => {
    const columns = Object.fromEntries(
      Array.from({ length: 64 }, (_, index) => [`c${index}`, t.u8().nullable()]),
    );
    const wide = benchFor(defineTable("wide", { id: t.u8().primaryKey(), ...columns }));
    wide.write({ id: 1, c0: 9, c31: null, c32: 8, c63: 7 });
    const nulls = 2n ** 64n - 1n - 1n - 2n ** 32n - 2n ** 63n;
    expect(wide.masks()).toEqual({
      named: 1n + 2n ** 31n + 2n ** 32n + 2n ** 63n,
      missing: 0n,
      nulls,
    });
    expect(wide.read()).toMatchObject({ id: 1, c0: 9, c1: null, c31: null, c32: 8, c63: 7 });
  });

  test("codec: an image larger than single stores is cleared too", () => {
    const big = benchFor(defineTable("big", { id: t.i64().primaryKey(), s: t.string(600) }));
    big.write({ id: 1, s: "y".repeat(600) });
    big.write({ id: 1, s: "y" });
    expect(big.memory.u8.subarray(imageAt + 19, imageAt + 616).every((byte) => byte === 0)).toBe(
      true,
    );
  });

  test("codec: keys are padded with zeros", () => {
    const memory = Memory.allocate(64);
    memory.u8.fill(0xaa);
    generateEncoder(FlightState, memory).key("UAL1", 8);
    const expected = Buffer.alloc(32);
    expected.writeUInt16LE(4, 0);
    expected.write("UAL1", 2);
    expect(memory.u8.subarray(8, 40)).toEqual(expected);
    expect(memory.u8[40]).toBe(0xaa);
  });

  test("codec: a decoder of some fields gives these, in their order", () => {
    const memory = Memory.allocate(256);
    generateEncoder(FlightState, memory).record(flight, 0);
    const fields = ["gs", "flight_id"].flatMap((name) => FlightState.find(name) ?? []);
    const row = generateDecoder<object>(FlightState, fields).row(memory, imageAt);
    expect(JSON.stringify(row)).toBe('{"gs":438,"flight_id":"TOM2XE"}');
  });

  test("codec: fill overwrites the row it is given", () => {
    const memory = Memory.allocate(256);
    const encoder = generateEncoder(FlightState, memory);
    const { decoder } = FlightState;
    encoder.record(flight, 0);
    const row = decoder.row(memory, imageAt);
    encoder.record({ ...flight, gs: 1, flight_id: "B" }, 0);
    decoder.fill(row, memory, imageAt);
    expect(row).toEqual({ ...flight, gs: 1, flight_id: "B" });
  });
});

describe("values", () => {
  const cases: readonly [AnyTable, good: readonly unknown[], bad: readonly unknown[]][] = [
    [one(t.bool()), [true, false], [0, 1, "true", {}]],
    [one(t.i8()), [-128, 127, 0], [-129, 128, 1.5, NaN, "1", 1n, true]],
    [one(t.u8()), [0, 255], [-1, 256, 0.5]],
    [one(t.i16()), [-32768, 32767], [-32769, 32768, Infinity]],
    [one(t.u16()), [0, 65535], [-1, 65536]],
    [one(t.i32()), [-(2 ** 31), 2 ** 31 - 1], [2 ** 31, -(2 ** 31) - 1, 2 ** 32]],
    [one(t.u32()), [0, 2 ** 32 - 1], [-1, 2 ** 32, 0.1]],
    [
      one(t.i64()),
      [
        0,
        -1,
        2 ** 51 - 1,
        2 ** 51,
        -(2 ** 51),
        -(2 ** 51) - 1,
        2 ** 53 - 1,
        2n ** 63n - 1n,
        -(2n ** 63n),
      ],
      [2 ** 53, 1.5, NaN, Infinity, 2n ** 63n, -(2n ** 63n) - 1n, "1"],
    ],
    [
      one(t.u64()),
      [0, 2 ** 31, 2 ** 51, 2 ** 53 - 1, 2n ** 64n - 1n],
      [-1, -1n, 2n ** 64n, 2 ** 53],
    ],
    [one(t.timestamp()), [0, -1, 1_533_099_600_000, 8.64e15], [1.5, 2 ** 53, 1n, new Date(NaN)]],
    [one(t.f64()), [0, 0.1, -1e308, Infinity, 5e-324], [NaN, "1", 1n]],
    [one(t.f32()), [0, 0.5, -Infinity, 16_777_216], [NaN, 1e39, "1"]],
    [
      one(t.decimal(6)),
      [0, 46.679232, -0.000001, 1e-6, 999_999_999.999999, "1000000000.000001", "1000000000000"],
      [
        0.1 + 0.2,
        1e-7,
        NaN,
        Infinity,
        1e13,
        1n,
        {},
        "x",
        "",
        "1e",
        ".",
        "1.2345678",
        "9223372036855",
      ],
    ],
    [one(t.decimal(6).asNumber()), [0, -1e-6, 9_007_199_254.740993, 1e12], [1e13, 1e-7]],
    [one(t.decimal(0)), [1, -5, 1e15 - 1, "1000000000000000", "-9223372036854775808"], [0.5]],
    [one(t.i64().number()), [0, -1, 2 ** 53 - 1], [2n ** 53n, 2 ** 53, 0.5]],
    [one(t.i64().bigint()), [0n, -1n, 2n ** 63n - 1n], [2n ** 63n, 0.5]],
    [one(t.u64().bigint()), [0n, 2n ** 64n - 1n], [-1n]],
    [
      one(t.string(8)),
      ["", "12345678", "Zürich", "日本", "\u0000", "a\u0000", "\ufeffab", "é", "😀"],
      ["123456789", "日本語", "\ud800", "a\udc00", 1, null, {}],
    ],
    [one(t.string(300)), ["x".repeat(300), "ü".repeat(150), "y".repeat(41)], ["ü".repeat(151)]],
    [
      one(t.bytes(4)),
      [new Uint8Array(), new Uint8Array([1, 2, 3, 4])],
      [new Uint8Array(5), "ab", [1]],
    ],
    [one(t.enum(["b", "a"])), ["a", "b"], ["c", "", 0, "A"]],
  ];

  for (const [table, good, bad] of cases) {
    const { kind } = table.columns[1] ?? table.key;
    test(`codec: ${kind} gives back what it takes`, () => {
      const bench = benchFor(table);
      for (const value of good) {
        bench.write({ id: 1, value });
        expect(bench.read()).toEqual({ id: 1, value: value === 0 ? 0 : value });
      }
    });

    test(`codec: ${kind} refuses what it cannot hold`, () => {
      const bench = benchFor(table);
      for (const value of bad) {
        expect([value, codeOf(() => bench.write({ id: 1, value }))]).toEqual([
          value,
          "INVALID_VALUE",
        ]);
        expect(() => bench.write({ id: 1, value })).toThrow(/^one\.value \(.*\) cannot hold /);
      }
    });
  }

  test("codec: minus zero is stored as zero", () => {
    for (const column of [t.f64(), t.f32(), t.i64(), t.decimal(3), t.i32()]) {
      const bench = benchFor(one(column));
      bench.write({ id: 1, value: 0 });
      const zero = Buffer.from(bench.memory.u8);
      bench.write({ id: 1, value: -0 });
      expect(Buffer.from(bench.memory.u8)).toEqual(zero);
    }
    const single = benchFor(one(t.f32()));
    single.write({ id: 1, value: -1e-60 });
    expect(single.read()).toEqual({ id: 1, value: 0 });
  });

  test("codec: rounded decimals go to the nearest, ties to even", () => {
    const bench = benchFor(one(t.decimal(2).rounded()));
    for (const [given, stored] of [
      [0.125, 0.12],
      [0.375, 0.38],
      [-0.125, -0.12],
      ["0.1250000000001", 0.13],
      [0.1 + 0.2, 0.3],
      [1e-30, 0],
      ["0.005", 0],
      ["0.015", 0.02],
      ["0.0051", 0.01],
      [99.995, 100],
      ["-99.9951", -100],
    ] as const) {
      bench.write({ id: 1, value: given });
      expect([given, bench.read()]).toEqual([given, { id: 1, value: stored }]);
    }
  });

  test("codec: what reads of a column are is for kinds that have a choice", () => {
    expect(() => t.string(5).rounded()).toThrow(TypeError);
    expect(() => t.i32().number()).toThrow(TypeError);
    expect(() => t.decimal(2).bigint()).toThrow(TypeError);
    expect(() => t.i64().asNumber()).toThrow(TypeError);
  });

  test("codec: decimals take digit strings exactly, and give back what is exact", () => {
    const bench = benchFor(one(t.decimal(6)));
    for (const [text, number] of [
      ["9223372036854.775807", "9223372036854.775807"],
      ["987654321.12345600", 987654321.123456],
      ["9876543210.123456", "9876543210.123456"],
      ["-1.5000000000", -1.5],
      ["+.5", 0.5],
      ["1e3", 1000],
      ["12345e-6", 0.012345],
      ["0e9999", 0],
    ] as const) {
      bench.write({ id: 1, value: text });
      expect(bench.read()).toEqual({ id: 1, value: number });
    }
  });
});

test("decimal: text and scaled integers", () => {
  expect(parseScaled("46.679232", 6)).toBe(46_679_232n);
  expect(parseScaled("0.30000000000000004", 6)).toBe("decimals");
  expect(parseScaled("1e9999", 0)).toBe(10n ** 40n);
  expect(parseScaled("1".repeat(100_000), 0)).toBe(10n ** 40n);
  expect(parseScaled("-000.10", 1)).toBe(-1n);
  expect(parseScaled("1e-99999", 0)).toBe("syntax");
  expect(formatScaled(-1n, 6)).toBe("-0.000001");
  expect(formatScaled(1_500_000n, 6)).toBe("1.5");
  expect(formatScaled(7n, 0)).toBe("7");
});

function one(value: Parameters<typeof defineTable>[1][string]): AnyTable {
  return defineTable("one", { id: t.u8().primaryKey(), value });
}
