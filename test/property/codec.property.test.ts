/**
 * The generated codec against the exact rules of `value.ts`, on random tables and random values,
 * fitting and not: the same bytes or the same refusal, and what is stored reads back.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { AerostoreError } from "../../src/errors.ts";
import type { ColumnDefinition, ColumnSpec, ColumnValue, Kind } from "../../src/schema/column.ts";
import { generateDecoder } from "../../src/schema/decode.ts";
import { generateEncoder } from "../../src/schema/encode.ts";
import { decodeSchema, encodeSchema } from "../../src/schema/bytes.ts";
import { Memory } from "../../src/schema/memory.ts";
import { buildTable } from "../../src/schema/table.ts";
import type { AnyTable } from "../../src/schema/table.ts";
import { readValue, writeValue } from "../../src/schema/value.ts";

const runs = Number(process.env["AEROSTORE_PROPERTY_RUNS"] ?? 2_000);
const seedText = process.env["AEROSTORE_PROPERTY_SEED"];
const options = { numRuns: runs, ...(seedText === undefined ? {} : { seed: Number(seedText) }) };

const fixedKinds: readonly Kind[] = [
  ...(["bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64"] as const),
  "timestamp",
];

const plain: Omit<ColumnSpec, "kind"> = {
  scale: 0,
  limit: 0,
  labels: [],
  primaryKey: false,
  nullable: false,
  indexed: false,
  unique: false,
  default: undefined,
  aliases: [],
};

const spec: fc.Arbitrary<ColumnSpec> = fc
  .oneof(
    fc.constantFrom(...fixedKinds).map((kind): ColumnSpec => ({ ...plain, kind })),
    fc.nat(15).map((scale): ColumnSpec => ({ ...plain, kind: "decimal", scale })),
    fc
      .tuple(fc.constantFrom("string" as const, "bytes" as const), fc.integer({ min: 1, max: 60 }))
      .map(([kind, limit]): ColumnSpec => ({ ...plain, kind, limit })),
    fc.constant<ColumnSpec>({ ...plain, kind: "enum", labels: ["a", "bb", "Zürich"] }),
  )
  .chain((each) =>
    fc
      .record({ nullable: fc.boolean(), indexed: fc.boolean() })
      .map((flags) => ({ ...each, ...flags })),
  )
  .chain((each) => fc.constantFrom(...declarationsOf(each)));

/** The ways in which a declaration may read and write the column. */
function declarationsOf(each: ColumnSpec): readonly ColumnSpec[] {
  switch (each.kind) {
    case "i64":
    case "u64":
      return [each, { ...each, reads: "number" }, { ...each, reads: "bigint" }];
    case "decimal":
      return [each, { ...each, reads: "number" }, { ...each, isRounded: true }];
    default:
      return [each];
  }
}

/** Values near every boundary that some kind has. */
const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc
    .tuple(fc.integer({ min: 0, max: 64 }), fc.integer({ min: -2, max: 2 }), fc.boolean())
    .map(([bits, delta, negative]) => (negative ? -1 : 1) * 2 ** bits + delta),
  fc
    .tuple(fc.integer({ min: 0, max: 65 }), fc.integer({ min: -2, max: 2 }), fc.boolean())
    .map(([bits, delta, negative]) => (negative ? -1n : 1n) * 2n ** BigInt(bits) + BigInt(delta)),
  fc.tuple(fc.maxSafeInteger(), fc.nat(15)).map(([digits, scale]) => digits / 10 ** scale),
  fc
    .tuple(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), fc.nat(18))
    .map(([digits, exponent]) => `${digits}e-${exponent}`),
  fc.double(),
  fc.float(),
  fc.boolean(),
  fc.constantFrom(null, undefined, -0, "a", "bb", "Zürich", "", "\ud800", {}, [], Symbol("x")),
  fc.string({ unit: "binary", maxLength: 62 }),
  fc.string({ maxLength: 62 }),
  fc.uint8Array({ maxLength: 62 }),
);

function tableOf(specs: readonly ColumnSpec[]): AnyTable {
  const key: ColumnSpec = { ...plain, kind: "u16", primaryKey: true };
  return buildTable("random", [["id", key], ...specs.map((each, i) => [`c${i}`, each] as const)]);
}

type Outcome = { readonly image: string; readonly values: readonly ColumnValue[] } | string;

/** What writing `values` must do, by the exact rules alone. */
function expected(table: AnyTable, values: readonly unknown[]): Outcome {
  const memory = Memory.allocate(table.imageSize);
  const read: ColumnValue[] = [];
  const column = (position: number): ColumnDefinition => table.columns[position] ?? table.key;
  let nulls = 0n;
  try {
    for (const [index, given] of [7, ...values].entries()) {
      const { nullable, offset } = column(index);
      if (nullable && (given === null || given === undefined)) {
        nulls |= 1n << BigInt(index - 1);
        read.push(null);
      } else if (given !== undefined) {
        writeValue(memory, offset, table.name, column(index), given);
        read.push(readValue(memory, offset, column(index)));
      } else {
        read.push(readValue(memory, offset, column(index)));
      }
    }
  } catch (error) {
    return error instanceof AerostoreError
      ? error.message
      : `not an AerostoreError: ${String(error)}`;
  }
  memory.u64[0] = nulls;
  return { image: memory.u8.toString("hex"), values: read };
}

function generated(table: AnyTable, values: readonly unknown[]): Outcome {
  const memory = Memory.allocate(table.imageSize + 16);
  memory.u8.fill(0xa5);
  const row = Object.fromEntries([["id", 7], ...values.map((each, index) => [`c${index}`, each])]);
  try {
    generateEncoder(table, memory).record(row, 0);
  } catch (error) {
    return error instanceof AerostoreError
      ? error.message
      : `not an AerostoreError: ${String(error)}`;
  }
  const decoded = Object.values(generateDecoder<object>(table).row(memory, 16));
  return { image: memory.u8.subarray(16).toString("hex"), values: decoded };
}

test("codec: generated code and exact rules agree on every value", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(spec, value), { minLength: 1, maxLength: 6 }), (columns) => {
      const table = tableOf(columns.map(([each]) => each));
      const values = columns.map(([, each]) => each);
      expect(generated(table, values)).toEqual(expected(table, values));
    }),
    options,
  );
});

test("schema: random tables survive schema bytes", () => {
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 20 }), (specs) => {
      const table = tableOf(specs);
      const decoded = decodeSchema(encodeSchema(table));
      // How a declaration reads and writes is its own, and is not stored.
      const stored = table.columns.map(({ reads, isRounded, ...column }) => column);
      expect(decoded.columns).toEqual(stored);
    }),
    options,
  );
});
