import { describe, expect, test } from "bun:test";
import { AerostoreError } from "../../src/errors.ts";
import { decodeSchema, encodeSchema } from "../../src/schema/bytes.ts";
import { t } from "../../src/schema/column.ts";
import { listDifferences } from "../../src/schema/difference.ts";
import { FlightState } from "../../src/flight/flight-state.ts";
import { nearestName } from "../../src/schema/nearest.ts";
import { defineTable } from "../../src/schema/table.ts";

const everyKind = defineTable("every_kind", {
  flag: t.bool().nullable(),
  tiny: t.i8().default(-5),
  id: t.i64().primaryKey(),
  small: t.u16().index().alias("s", "short"),
  wide: t
    .u64()
    .unique()
    .default(2n ** 63n),
  price: t.decimal(4).default("1.5000"),
  name: t.string(33).default("Zürich"),
  raw: t
    .bytes(3)
    .nullable()
    .default(new Uint8Array([1, 2, 3])),
  phase: t.enum(["climb", "cruise", "descent"]).default("cruise").index(),
  single: t.f32().default(0.1),
  double: t.f64().default(-Infinity),
  seen: t.timestamp().default(1_533_099_600_000),
});

describe("layout", () => {
  test("schema: the key lies behind the null mask and gaps are filled", () => {
    const places = FlightState.columns.map(({ name, offset }) => [name, offset]);
    expect(places).toEqual([
      ["flight_id", 8],
      ["lat", 40],
      ["lon", 48],
      ["altitude", 36],
      ["gs", 34],
      ["updated_at", 56],
    ]);
    expect(FlightState.imageSize).toBe(64);
  });

  test("schema: columns are aligned, inside the image and apart", () => {
    const used = new Set<number>();
    for (const { offset, size, kind } of everyKind.columns) {
      const alignment = kind === "string" || kind === "bytes" ? 2 : size;
      expect(offset % alignment).toBe(0);
      expect(offset).toBeGreaterThanOrEqual(8);
      expect(offset + size).toBeLessThanOrEqual(everyKind.imageSize);
      for (let byte = offset; byte < offset + size; byte++) {
        expect(used.has(byte)).toBe(false);
        used.add(byte);
      }
    }
  });

  test("schema: the key is column 0 wherever it was declared", () => {
    expect(everyKind.key.name).toBe("id");
    expect(everyKind.columns.map(({ name }) => name).slice(0, 3)).toEqual(["id", "flag", "tiny"]);
    expect(everyKind.columns.map(({ position }) => position)).toEqual([...Array(12).keys()]);
  });
});

describe("names", () => {
  test("schema: a column is found by name and by alias", () => {
    expect(FlightState.find("ident")?.name).toBe("flight_id");
    expect(FlightState.find("longitude")?.name).toBe("lon");
    expect(FlightState.find("Lat")).toBeUndefined();
  });

  test.each(["", "1st", "a b", "a-b", "x".repeat(64), "é", "__proto__", "toString", "constructor"])(
    "schema: %p is refused as a name",
    (name) => {
      expect(() => defineTable(name, { id: t.i32().primaryKey() })).toThrow(RangeError);
      expect(() => defineTable("x", { id: t.i32().primaryKey(), [name]: t.i8() })).toThrow(
        RangeError,
      );
      expect(() => defineTable("x", { id: t.i32().primaryKey().alias(name) })).toThrow(RangeError);
    },
  );

  test("schema: an alias that is taken is refused", () => {
    const build = (): unknown =>
      defineTable("x", { id: t.i32().primaryKey(), a: t.i8().alias("id") });
    expect(build).toThrow('column "x.a": the name "id" is already taken by "id"');
  });

  test("schema: the nearest name is the one with fewest edits", () => {
    expect(nearestName("altitud", ["altitude", "lat"])).toBe("altitude");
    expect(nearestName("ALTITUDE", ["altitude", "lat"])).toBe("altitude");
    expect(nearestName("atl", ["alt", "gs"])).toBe("alt");
    expect(nearestName("wing", ["alt", "gs"])).toBeUndefined();
  });
});

describe("declaration", () => {
  test("schema: exactly one primary key", () => {
    expect(() => defineTable("x", { a: t.i32() })).toThrow("exactly one column");
    expect(() => defineTable("x", { a: t.i32().primaryKey(), b: t.i32().primaryKey() })).toThrow(
      "not a, b",
    );
  });

  test("schema: a key is neither a float nor nullable nor defaulted", () => {
    expect(() => defineTable("x", { a: t.f64().primaryKey() })).toThrow(TypeError);
    expect(() => defineTable("x", { a: t.i32().nullable().primaryKey() })).toThrow(TypeError);
    expect(() => defineTable("x", { a: t.i32().default(1).primaryKey() })).toThrow(TypeError);
  });

  test("schema: limits and scales are bounded", () => {
    const id = t.i32().primaryKey();
    const refused = [
      { a: t.string(0) },
      { a: t.string(8193) },
      { a: t.string(2.5) },
      { a: t.string(256).index() },
      { a: t.bytes(256).unique() },
      { a: t.decimal(16) },
      { a: t.decimal(-1) },
      { a: t.enum([]) },
      { a: t.enum(["x", "x"]) },
      { a: t.string(8192), b: t.string(8192) },
    ];
    for (const columns of refused) {
      expect(() => defineTable("x", { id, ...columns })).toThrow(RangeError);
    }
    expect(() => defineTable("x", { id: t.string(256).primaryKey() })).toThrow(RangeError);
    defineTable("x", { id, a: t.string(8192), b: t.string(255).index(), c: t.decimal(15) });
  });

  test("schema: 64 columns besides the key, not 65", () => {
    const columns = (count: number): Record<string, ReturnType<typeof t.i8>> =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`c${index}`, t.i8()]));
    const id = t.i32().primaryKey();
    expect(defineTable("x", { id, ...columns(64) }).columns.length).toBe(65);
    expect(() => defineTable("x", { id, ...columns(65) })).toThrow("at most 64");
  });

  test("schema: a default that the column cannot hold is INVALID_VALUE", () => {
    const build = (): unknown =>
      defineTable("x", { id: t.i32().primaryKey(), a: t.i8().default(200) });
    expect(build).toThrow(AerostoreError);
    expect(build).toThrow("x.a (i8) cannot hold 200: expected an integer from -128 to 127");
  });
});

describe("geo indexes", () => {
  const columns = {
    id: t.string(8).primaryKey(),
    lat: t.decimal(6).nullable(),
    lon: t.f64(),
    n: t.i32(),
  };

  test("schema: a geo index is declared, stored and compared", () => {
    const table = defineTable("x", columns, { geo: { position: ["lat", "lon"] } });
    expect(table.geo.map(({ name }) => name)).toEqual(["position"]);
    const bytes = encodeSchema(table);
    const decoded = decodeSchema(bytes);
    expect(encodeSchema(decoded)).toEqual(bytes);
    expect(decoded.geo).toEqual([...table.geo]);
    expect(listDifferences(decoded, defineTable("x", columns))).toEqual([
      "geo index position of lat and lon: stored, not declared",
    ]);
    for (let at = 0; at < bytes.length; at++) {
      const broken = bytes.slice();
      broken[at] = (broken[at] ?? 0) ^ 1;
      try {
        decodeSchema(broken);
      } catch (error) {
        expect(error).toHaveProperty("code", "SEGMENT_CORRUPT");
      }
    }
  });

  test("schema: a geo index of other columns than two of degrees is refused", () => {
    const declare = (geo: Record<string, readonly [string, string]>) => (): unknown =>
      defineTable("x", columns, { geo });
    expect(declare({ position: ["lat", "nothing"] })).toThrow('there is no column "nothing"');
    expect(declare({ position: ["lat", "n"] })).toThrow('"n" is i32; use decimal(6) or f64');
    expect(declare({ position: ["lat", "lat"] })).toThrow("latitude and longitude are two columns");
    expect(declare({ lat: ["lat", "lon"] })).toThrow("a column has this name");
    expect(declare({ a: ["lat", "lon"], b: ["lat", "lon"] })).toThrow(
      "two geo indexes of lat, lon",
    );
    expect(declare({ "a b": ["lat", "lon"] })).toThrow("its name");
  });
});

describe("schema bytes", () => {
  test.each([FlightState, everyKind])("schema: what was encoded is decoded", (table) => {
    const bytes = encodeSchema(table);
    const decoded = decodeSchema(bytes);
    // How a declaration reads and writes is its own, and is not stored.
    expect(decoded.columns).toEqual(table.columns.map(({ reads, ...column }) => column));
    expect(decoded.imageSize).toBe(table.imageSize);
    expect(encodeSchema(decoded)).toEqual(bytes);
    expect(listDifferences(decoded, table)).toEqual([]);
  });

  test("schema: equal declarations give equal bytes", () => {
    const one = { id: t.i32().primaryKey(), p: t.decimal(2).default(1.5), w: t.u64().default(7) };
    const two = {
      id: t.i32().primaryKey(),
      p: t.decimal(2).default("1.50"),
      w: t.u64().default(7n),
    };
    expect(encodeSchema(defineTable("x", one))).toEqual(encodeSchema(defineTable("x", two)));
  });

  test("schema: header and records are as docs/internals/row-image.md says", () => {
    const view = new DataView(encodeSchema(FlightState).buffer);
    expect(view.getUint32(0, true)).toBe(0x53524541);
    expect([view.getUint16(4, true), view.getUint16(6, true)]).toEqual([2, 6]);
    expect([view.getUint32(8, true), view.getUint32(12, true)]).toEqual([64, 64]);
    expect([view.getUint16(16, true), view.getUint32(20, true)]).toEqual([5, 64 + 6 * 16]);
    expect([view.getUint8(64), view.getUint8(65)]).toEqual([14, 1]);
    expect([view.getUint32(68, true), view.getUint32(72, true)]).toEqual([8, 26]);
    expect(view.getUint32(76, true)).toBe(24);
    expect([view.getUint8(80), view.getUint8(81), view.getUint8(82)]).toEqual([12, 0, 6]);
    const first = 64 + 6 * 16;
    expect([view.getUint8(first), view.getUint8(first + 2)]).toEqual([1, 1]);
    expect(view.getUint16(first + 4, true)).toBe(1);
  });

  test("schema: damaged bytes decode to SEGMENT_CORRUPT or to a lawful table, never else", () => {
    const bytes = encodeSchema(everyKind);
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const broken = bytes.slice();
        broken[at] = (broken[at] ?? 0) ^ flip;
        try {
          for (const { offset, size } of decodeSchema(broken).columns) {
            expect(offset + size).toBeLessThanOrEqual(everyKind.imageSize);
          }
        } catch (error) {
          expect(error).toHaveProperty("code", "SEGMENT_CORRUPT");
        }
      }
    }
    for (let size = 0; size < bytes.length; size++) {
      expect(() => decodeSchema(bytes.subarray(0, size))).toThrow(AerostoreError);
    }
  });

  test("schema: differences are told column by column", () => {
    const stored = defineTable("x", { id: t.i32().primaryKey(), a: t.i8(), b: t.string(4) });
    const declared = defineTable("x", {
      id: t.i32().primaryKey(),
      a: t.i16().index(),
      c: t.bool(),
    });
    expect(listDifferences(stored, declared)).toEqual([
      "a: stored i8, declared i16",
      "a: stored as not indexed, declared as indexed",
      "c: declared, not stored",
      "b: stored, not declared",
    ]);
  });
});
