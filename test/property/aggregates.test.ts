/**
 * Aggregates against bigint arithmetic and a `Map`: random rows, groups and conditions, inside and
 * outside of a transaction that has written; and what is refused.
 */
import { describe, expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import type { Group, Table } from "../../src/index.ts";
import { chooseSeed, Random } from "../support/random.ts";
import { codeOf, TemporaryDatabase } from "../support/temporary-database.ts";

const flights = defineTable("Flights", {
  id: t.string(20).primaryKey(),
  operator: t.string(12).nullable(),
  kind: t.enum(["jet", "prop", "glider"]),
  flag: t.bool(),
  altitude: t.i32().index().nullable(),
  gs: t.u16(),
  price: t.decimal(2).index().nullable(),
  big: t.i64(),
  huge: t.u64().bigint(),
  ratio: t.f64().nullable(),
  small: t.f32(),
  seen: t.timestamp(),
  lat: t.decimal(6).nullable(),
  lon: t.f64(),
});
type Row = typeof flights.$row;
type Flights = Table<typeof flights.$shape>;

function rowsOf(random: Random, count: number, prefix: string): Row[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${prefix}${index}`,
    operator: random.oneIn(6) ? null : random.pick(["", "A", "AB", "operator-one", "ü"]),
    kind: random.pick(["jet", "prop", "glider"] as const),
    flag: random.oneIn(2),
    altitude: random.oneIn(6) ? null : random.between(-3_000, 42_000),
    gs: random.below(700),
    price: random.oneIn(6) ? null : random.between(-99_999, 99_999) / 100,
    big: random.between(-2, 2) * 4_000_000_000_000_000,
    huge: BigInt(random.below(4)) * 0x3fff_ffff_ffff_ffffn,
    ratio: random.oneIn(6) ? null : (random.next() - 0.5) * 10 ** random.between(-20, 20),
    small: Math.fround(random.next() * 100 - 50),
    seen: 1_700_000_000_000 + random.below(7_200_000) * 1_000,
    lat: random.oneIn(9) ? null : random.between(-90_000, 90_000) / 1_000,
    lon: random.between(-180, 180) + 0.25,
  }));
}

/** The exact value of a double times 2^1074. */
function exact(value: number): bigint {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)[0] ?? 0n;
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  const mantissa = exponent === 0 ? fraction : fraction | (1n << 52n);
  const scaled = mantissa << BigInt(Math.max(exponent - 1, 0));
  return bits >> 63n === 1n ? -scaled : scaled;
}

/** A quotient of bigints to the nearest double, by comparing with its neighbours. */
function nearest(dividend: bigint, divisor: bigint): number {
  const negative = dividend < 0n;
  const size = negative ? -dividend : dividend;
  if (size === 0n) return 0;
  let shift = 0n;
  while ((size << shift) / divisor < 1n << 70n) shift++;
  const quotient = (size << shift) / divisor;
  const sticky = quotient * divisor === size << shift ? quotient : quotient | 1n;
  const number = Number(sticky) / 2 ** Number(shift);
  return negative ? -number : number;
}

const scaleOf: Readonly<Record<string, number>> = { price: 2, lat: 6 };
const floats = new Set(["ratio", "small", "lon"]);

function scaledOf(column: string, value: unknown): bigint {
  if (typeof value === "bigint") return value;
  return BigInt(Math.round(Number(value) * 10 ** (scaleOf[column] ?? 0)));
}

function decimalOf(scaled: bigint, scale: number): number {
  return Number(scaled) / 10 ** scale;
}

function expectedOf(rows: readonly Row[], how: readonly unknown[]): unknown {
  const [name, column, share] = how;
  if (column === undefined) return rows.length;
  const key = String(column) as keyof Row;
  const values = rows.map((row) => row[key]).filter((value) => value !== null);
  const compare = (a: unknown, b: unknown): number => {
    if (typeof a === "string" && key === "kind") return kinds.indexOf(a) - kinds.indexOf(String(b));
    if (typeof a === "string") return Buffer.compare(Buffer.from(a), Buffer.from(String(b)));
    return Number(scaledFine(a) - scaledFine(b));
  };
  const sorted = values.toSorted(compare);
  switch (name) {
    case "count":
      return values.length;
    case "distinct":
      return new Set(values).size;
    case "min":
      return sorted[0] ?? null;
    case "max":
      return sorted.at(-1) ?? null;
    case "quantile": {
      const rank = Math.max(1, Math.ceil(Number(share) * sorted.length));
      return sorted[rank - 1] ?? null;
    }
    case "sum":
    case "avg": {
      if (floats.has(key)) {
        const sum = nearest(
          values.map((each) => exact(Number(each))).reduce((total, each) => total + each, 0n),
          1n << 1074n,
        );
        if (name === "sum") return sum;
        return values.length === 0 ? null : sum / values.length;
      }
      const sum = values
        .map((each) => scaledOf(key, each))
        .reduce((total, each) => total + each, 0n);
      const scale = scaleOf[key] ?? 0;
      if (name === "avg") {
        return values.length === 0
          ? null
          : nearest(sum, BigInt(values.length) * 10n ** BigInt(scale));
      }
      if (key === "huge") return sum;
      if (scale > 0) return decimalOf(sum, scale);
      return Number.isSafeInteger(Number(sum)) ? Number(sum) : sum;
    }
    default:
      throw new Error(`${String(name)}?`);
  }
}

const kinds: readonly string[] = ["jet", "prop", "glider"];

function scaledFine(value: unknown): bigint {
  return typeof value === "bigint" ? value << 1074n : exact(Number(value));
}

type Part = string | Readonly<Record<string, unknown>>;

function keyOf(part: Part, row: Row): unknown {
  if (typeof part === "string") return row[part as keyof Row];
  if ("cell" in part) {
    const degrees = Number(part["degrees"]);
    if (row.lat === null) return null;
    return [row.lat, row.lon].map((each) => Math.floor(Number(each) / degrees) * degrees);
  }
  const column = String(part["bucket"]) as keyof Row;
  const value = row[column];
  if (value === null) return null;
  if (column === "ratio")
    return Math.floor(Number(value) / Number(part["size"])) * Number(part["size"]);
  const scale = scaleOf[column] ?? 0;
  const size = scaledOf(column, part["size"] === "1h" ? 3_600_000 : part["size"]);
  const scaled = scaledOf(column, value);
  const rest = ((scaled % size) + size) % size;
  return decimalOf(scaled - rest, scale);
}

const parts: readonly Part[] = [
  "operator",
  "kind",
  "flag",
  "altitude",
  "small",
  { bucket: "altitude", size: 5_000, as: "level" },
  { bucket: "price", size: 12.5, as: "prices" },
  { bucket: "seen", size: "1h", as: "hour" },
  { bucket: "gs", size: 70_000, as: "all" },
  { bucket: "ratio", size: 0.5, as: "half" },
  { cell: ["lat", "lon"], degrees: 10, as: "square" },
];
const nameOf = (part: Part): string => (typeof part === "string" ? part : String(part["as"]));
const numbers = ["altitude", "gs", "price", "big", "huge", "ratio", "small", "seen", "lat", "lon"];
const columns = ["operator", "kind", "flag", "id", ...numbers];

function selectsOf(random: Random): Record<string, readonly unknown[]> {
  const selects: Record<string, readonly unknown[]> = { n: ["count"] };
  for (let index = random.below(4); index >= 0; index--) {
    selects[`s${index}`] = [random.pick(["sum", "avg"]), random.pick(numbers)];
    selects[`o${index}`] = [random.pick(["min", "max", "count", "distinct"]), random.pick(columns)];
    selects[`q${index}`] = ["quantile", random.pick(numbers), random.pick([0, 0.5, 0.95, 1])];
  }
  return selects;
}

const conditions: readonly (readonly [clause: readonly unknown[], holds: (row: Row) => boolean])[] =
  [
    [[">", "altitude", 20_000], ({ altitude }) => altitude !== null && altitude > 20_000],
    [["=", "kind", "jet"], ({ kind }) => kind === "jet"],
    [["<", "price", 0], ({ price }) => price !== null && Number(price) < 0],
    [[">", "gs", 1_000], () => false],
  ];

function plain(value: unknown): unknown {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === "bigint" ? `${each}n` : each,
  );
}

function check(table: Flights, rows: readonly Row[], random: Random, told: object): void {
  const [clause, holds] = random.oneIn(2) ? random.pick(conditions) : [undefined, () => true];
  const group = [...new Set(Array.from({ length: random.below(3) }, () => random.pick(parts)))];
  const select = selectsOf(random);
  const query = { compare: clause === undefined ? [] : [clause], group, select };
  const found: readonly Group[] = table.aggregate(query as never);
  const groups = new Map<unknown, Row[]>();
  if (group.length === 0) groups.set(plain([]), []);
  for (const row of rows) {
    if (!holds(row)) continue;
    const key = plain(group.map((part) => keyOf(part, row)));
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const seen = new Map(found.map((each) => [plain(group.map((part) => each[nameOf(part)])), each]));
  expect({ ...told, query, keys: [...seen.keys()].sort() }).toEqual({
    ...told,
    query,
    keys: [...groups.keys()].sort(),
  });
  for (const [key, members] of groups) {
    const values = seen.get(key);
    for (const [name, how] of Object.entries(select)) {
      const [want, got] = [expectedOf(members, how), values?.[name]];
      expect({ ...told, query, key, how, value: got }).toEqual({
        ...told,
        query,
        key,
        how,
        value: want,
      } as never);
    }
  }
}

describe("aggregates", () => {
  test("aggregates: exact values of random groups, also within a transaction", async () => {
    const seed = chooseSeed();
    const random = new Random(seed);
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table: Flights = database.table(flights);
    const rows = rowsOf(random, 400, "f");
    table.upsertMany(rows);
    for (let turn = 0; turn < 40; turn++) check(table, rows, random, { seed, turn });
    using tx = database.begin();
    const inner: Flights = tx.table(flights);
    const added = rowsOf(random, 40, "new");
    for (const row of added) inner.insert(row);
    for (const { id } of rows.slice(0, 40)) inner.delete(id);
    const now = [...rows.slice(40), ...added];
    for (let turn = 40; turn < 55; turn++) check(inner, now, random, { seed, turn });
  }, 60_000);

  test("aggregates: having, sort and limit are about groups; distinct gives values", async () => {
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table: Flights = database.table(flights);
    const rows = rowsOf(new Random(5), 300, "f");
    table.upsertMany(rows);
    const text =
      "-compare {notnull operator} -group {operator {bucket altitude 10000 level}} " +
      "-aggregate {n count mean {avg gs}} -having {{> n 3}} -sort {-n operator} -limit 4";
    const groups = table.aggregate(text);
    expect(groups.length).toBe(4);
    const counts = groups.map(({ n }) => Number(n));
    expect(counts).toEqual(counts.toSorted((a, b) => b - a));
    expect(Math.min(...counts)).toBeGreaterThan(3);
    expect(Object.keys(groups[0] ?? {})).toEqual(["operator", "level", "n", "mean"]);
    const words = table.aggregate({
      compare: [["notnull", "operator"]],
      group: ["operator", { bucket: "altitude", size: 10_000, as: "level" }],
      select: { n: "count", mean: ["avg", "gs"] },
      having: [[">", "n", 3]],
      sort: ["-n", "operator"],
      limit: 4,
    });
    expect<readonly Group[]>(words).toEqual(groups);

    const prepared = table.prepareAggregate(
      "-compare {> gs $low} -group kind -aggregate {n count} -having {>= n $least} -limit $most",
    );
    for (const low of [100, 650]) {
      const counted = rows.filter(({ gs }) => gs > low).length;
      const all = prepared.all({ low, least: 0, most: 0 });
      expect(all.reduce((sum, { n }) => sum + Number(n), 0)).toBe(counted);
      expect(prepared.all({ low, least: 1_000, most: 0 })).toEqual([]);
      expect(prepared.all({ low, least: 0, most: 1 }).length).toBe(1);
    }
    expect(table.distinct("kind")).toEqual(["jet", "prop", "glider"]);
    expect(table.distinct("operator", "-compare {= kind jet}").at(-1)).toBe(null);
    expect(table.aggregate({ compare: [[">", "gs", 5_000]], select: { n: "count" } })).toEqual([
      { n: 0 },
    ]);
    expect(table.aggregate({ compare: [[">", "gs", 5_000]], group: ["kind"] })).toEqual([]);
  });

  test("aggregates: the ends of an index are read as one entry each", async () => {
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table: Flights = database.table(flights);
    table.upsertMany(rowsOf(new Random(6), 2_000, "f"));
    const before = database.stats().counters.rowsExamined;
    const [ends] = table.aggregate({
      select: { low: ["min", "altitude"], high: ["max", "price"] },
    });
    expect(database.stats().counters.rowsExamined - before).toBe(2);
    const rows = table.search().toArray();
    expect(ends?.low).toBe(Math.min(...rows.map(({ altitude }) => altitude ?? Infinity)));
    expect(ends?.high).toBe(Math.max(...rows.map(({ price }) => Number(price ?? -Infinity))));
  });

  test("aggregates: a transaction that has read one fails when its rows change", async () => {
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table: Flights = database.table(flights);
    table.upsertMany(rowsOf(new Random(7), 50, "f"));
    let speed = 0;
    const outcome = (change: Partial<Row>) => {
      using tx = database.begin();
      tx.table(flights).aggregate({ compare: [["=", "kind", "jet"]], select: { n: "count" } });
      tx.table(flights).update("f0", { gs: ++speed });
      const [row] = rowsOf(new Random(8), 1, "other");
      if (row !== undefined) table.upsert({ ...row, ...change });
      return codeOf(() => tx.commit());
    };
    table.update("f0", { kind: "prop" });
    expect(await outcome({ id: "p", kind: "prop" })).toBe("none");
    expect(await outcome({ id: "q", kind: "jet" })).toBe("SERIALIZATION_FAILURE");
  });

  test("aggregates: what there is not is told with code and place", async () => {
    using temporary = new TemporaryDatabase();
    const database = await temporary.open();
    database.createTable(flights);
    const table = database.table("Flights");
    const mistakes: readonly (readonly [query: unknown, code: string, part: string])[] = [
      ["-aggregate {x {avg operator}}", "INVALID_VALUE", "Flights.operator"],
      ["-aggregate {x {quantile kind 0.5}}", "INVALID_VALUE", "Flights.kind"],
      ["-aggregate {x {sum flag}}", "INVALID_VALUE", "Flights.flag"],
      ["-aggregate {x {avg alt}}", "UNKNOWN_FIELD", "alt"],
      ["-aggregate {x {median gs}}", "PARSE_ERROR", "median"],
      ["-aggregate {x {quantile gs 2}}", "PARSE_ERROR", "0 to 1"],
      ["-aggregate {x {quantile gs}}", "PARSE_ERROR", "quantile"],
      ["-aggregate {x}", "PARSE_ERROR", "-aggregate"],
      ["-aggregate {x count x count}", "PARSE_ERROR", "x"],
      ["-group {{bucket altitude 0}}", "INVALID_VALUE", "Flights.altitude"],
      ["-group {{bucket altitude -5}}", "INVALID_VALUE", "Flights.altitude"],
      ["-group {{bucket altitude 0.5}}", "INVALID_VALUE", "Flights.altitude"],
      ["-group {{bucket price 0.001}}", "INVALID_VALUE", "Flights.price"],
      ["-group {{bucket operator 5}}", "INVALID_VALUE", "Flights.operator"],
      ["-group {{bucket nothing 5}}", "UNKNOWN_FIELD", "nothing"],
      ["-group {{cell {lat gs} 1}}", "INVALID_VALUE", "Flights.gs"],
      ["-group {{cell {lat lon} 0}}", "INVALID_VALUE", "Flights.lat"],
      ["-group {{cell nowhere 1}}", "UNKNOWN_FIELD", "nowhere"],
      ["-group kind -sort gs", "UNKNOWN_FIELD", "gs"],
      ["-group kind -having {> n 1}", "UNKNOWN_FIELD", "n"],
      ["-group kind -aggregate {n count} -having {> n many}", "INVALID_VALUE", "many"],
      ["-group kind -delete 1", "PARSE_ERROR", "groups"],
      ["-having {> n 1}", "PARSE_ERROR", "-having"],
      ["-compare {> gs 1}", "PARSE_ERROR", "-group"],
      [{ group: [{ bucket: "altitude", size: 0 }] }, "INVALID_VALUE", "Flights.altitude"],
      [{ group: [{ size: 5 }] }, "PARSE_ERROR", "bucket"],
    ];
    table.upsert({ ...rowsOf(new Random(9), 1, "f")[0] } as never);
    for (const [query, code, part] of mistakes) {
      const run = () => table.aggregate(query as never);
      expect([query, await codeOf(run)]).toEqual([query, code]);
      expect(run).toThrow(part);
    }
    expect(await codeOf(() => table.search("-group kind"))).toBe("PARSE_ERROR");
    expect(await codeOf(() => table.deleteWhere("-group kind" as never))).toBe("PARSE_ERROR");
  });
});
