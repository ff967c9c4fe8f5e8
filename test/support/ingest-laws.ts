/**
 * What must hold of ingest over any engine with the native parser: what is written as lines is read
 * back to the very same records, however the bytes arrive.
 */
import { expect } from "bun:test";
import fc from "fast-check";
import { ingest } from "../../src/ingest/ingest.ts";
import { createLineWriter } from "../../src/ingest/line-writer.ts";
import type { LineFormat } from "../../src/ingest/formats.ts";
import type { IngestEngine, IngestMemory, IngestSession } from "../../src/ingest/session.ts";
import type { ColumnSpec, ColumnValue, Kind } from "../../src/schema/column.ts";
import { formatScaled } from "../../src/schema/decimal.ts";
import { generateEncoder } from "../../src/schema/encode.ts";
import { Memory } from "../../src/schema/memory.ts";
import { buildTable } from "../../src/schema/table.ts";
import type { AnyTable, TableDefinition } from "../../src/schema/table.ts";

type Row = Record<string, ColumnValue>;

/** A random table with rows for it, as bytes in one format, cut into pieces. */
export interface RandomStream {
  readonly table: AnyTable;
  readonly rows: readonly Row[];
  readonly format: LineFormat;
  readonly header: boolean;
  readonly pieces: readonly Uint8Array[];
}

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

const labels = ["", "a", "b\tb", "c,c", '"', "\\N", "Zürich", "null"];

const integerBits: Readonly<Partial<Record<Kind, readonly [bits: number, signed: boolean]>>> = {
  i8: [8, true],
  i16: [16, true],
  i32: [32, true],
  i64: [64, true],
  u8: [8, false],
  u16: [16, false],
  u32: [32, false],
  u64: [64, false],
};

const text: fc.Arbitrary<string> = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.constantFrom(
    "\\N",
    "\\t",
    "\t",
    "\n",
    "\r",
    "\r\n",
    '"',
    '""',
    ",",
    "a\\",
    "\u0000",
    "a\ufeff",
    "\ufeff",
    "\ufeff\ufeffb",
  ),
);

function clip(value: string, limit: number): string {
  let out = value;
  while (Buffer.byteLength(out) > limit || !out.isWellFormed()) out = out.slice(0, -1);
  return out;
}

function integer(bits: number, signed: boolean): fc.Arbitrary<ColumnValue> {
  const half = 1n << BigInt(bits - 1);
  const [min, max] = signed ? [-half, half - 1n] : [0n, 2n * half - 1n];
  return fc
    .oneof(fc.bigInt({ min, max }), fc.constantFrom(min, max, 0n))
    .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
}

function valueOf(spec: ColumnSpec): fc.Arbitrary<ColumnValue> {
  const value = notNull(spec);
  return spec.nullable ? fc.option(value) : value;
}

function notNull(spec: ColumnSpec): fc.Arbitrary<ColumnValue> {
  const bits = integerBits[spec.kind];
  if (bits !== undefined) return integer(...bits);
  switch (spec.kind) {
    case "bool":
      return fc.boolean();
    case "f32":
      return fc.float({ noNaN: true });
    case "f64":
      return fc.double({ noNaN: true });
    case "decimal":
      return fc.oneof(
        fc.integer({ min: -1e9, max: 1e9 }).map((digits) => digits / 10 ** spec.scale),
        // More digits than a number holds.
        fc
          .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
          .map((scaled) => formatScaled(scaled, spec.scale)),
      );
    case "timestamp":
      return fc.maxSafeInteger();
    case "bytes":
      return fc.uint8Array({ minLength: spec.primaryKey ? 1 : 0, maxLength: spec.limit });
    case "enum":
      // A line of nothing but an empty key would be an empty line.
      return fc.constantFrom(...labels).filter((label) => !spec.primaryKey || label !== "");
    default:
      return text
        .map((value) => clip(value, spec.limit))
        .filter((value) => !spec.primaryKey || value !== "");
  }
}

const kinds: readonly Kind[] = ["bool", "f32", "f64", "decimal", "timestamp", "string", "bytes"];

const spec: fc.Arbitrary<ColumnSpec> = fc
  .tuple(
    fc.constantFrom<Kind>(...kinds, "enum", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"),
    fc.nat(15),
    fc.integer({ min: 1, max: 40 }),
    fc.boolean(),
  )
  .map(([kind, scale, limit, nullable]) => ({
    ...plain,
    kind,
    nullable,
    scale: kind === "decimal" ? scale : 0,
    limit: kind === "string" || kind === "bytes" ? limit : 0,
    labels: kind === "enum" ? labels : [],
  }));

const keySpec: fc.Arbitrary<ColumnSpec> = spec
  .filter(({ kind }) => kind !== "f32" && kind !== "f64")
  .map((each) => ({ ...each, nullable: false, primaryKey: true }));

/** Streams of up to 20 rows of up to 6 columns. */
export const randomStream: fc.Arbitrary<RandomStream> = fc
  .tuple(keySpec, fc.array(spec, { maxLength: 5 }))
  .chain(([key, others]) => {
    const specs = [key, ...others];
    const table: TableDefinition = buildTable(
      "random",
      specs.map((each, index) => [`c${index}`, each] as const),
    );
    const row = fc
      .tuple(...specs.map(valueOf))
      .map((values): Row => Object.fromEntries(values.map((value, index) => [`c${index}`, value])));
    return fc
      .tuple(
        fc.array(row, { maxLength: 20 }),
        fc.constantFrom<LineFormat>("tsv", "csv", "ndjson"),
        fc.boolean(),
        fc.constantFrom("\n", "\r\n"),
        fc.boolean(),
        fc.integer({ min: 1, max: 200 }),
      )
      .map(([rows, format, withHeader, end, lastEnd, pieceSize]) => {
        const header = withHeader && format !== "ndjson";
        const columns = header ? table.columns.toReversed() : table.columns;
        const writer = createLineWriter(columns, format);
        const lines = [
          ...(header && writer.header !== undefined ? [writer.header] : []),
          ...rows.map((each) => writer.line(each)),
        ];
        const stream = Buffer.from(lines.join(end) + (lastEnd ? end : ""));
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < stream.length; at += pieceSize) {
          pieces.push(stream.subarray(at, at + pieceSize));
        }
        return { table, rows, format, header, pieces };
      });
  });

/** The write records of rows, one after the other, as the row codec makes them. */
export function encodeRecords(table: AnyTable, rows: readonly Row[]): string[] {
  const size = 16 + table.imageSize;
  const memory = Memory.allocate(size);
  const encoder = generateEncoder(table, memory);
  return rows.map((row) => {
    encoder.record(row, 0);
    return memory.u8.toString("hex", 0, size);
  });
}

/** Pieces as a stream gives them. */
export async function* streamOf(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield piece;
}

/** Makes the native parser of a session, without a table behind it. */
export type OpenParser = (
  table: AnyTable,
  plan: Uint8Array<ArrayBuffer>,
  memory: IngestMemory,
) => Pick<IngestSession, "parse"> & Disposable;

/** An engine that keeps the records it is given, as hexadecimal. */
class RecordingEngine implements IngestEngine {
  readonly table: AnyTable;
  readonly records: string[] = [];
  readonly #open: OpenParser;

  constructor(table: AnyTable, open: OpenParser) {
    this.table = table;
    this.#open = open;
  }

  begin(plan: Uint8Array<ArrayBuffer>, memory: IngestMemory): IngestSession {
    const parser = this.#open(this.table, plan, memory);
    const bytes = Buffer.from(memory.records);
    const size = 16 + this.table.imageSize;
    return {
      parse: (start, count, final, recordCount) => parser.parse(start, count, final, recordCount),
      commit: (first, count) => {
        for (let index = first; index < first + count; index += 1) {
          this.records.push(bytes.toString("hex", index * size, (index + 1) * size));
        }
        return { inserted: count, updated: 0, unchanged: 0, stale: 0 };
      },
      [Symbol.dispose]: () => parser[Symbol.dispose](),
    };
  }
}

/** **Throws** unless the stream is read to exactly the records of its rows, nothing refused. */
export async function checkRoundTrip(open: OpenParser, stream: RandomStream): Promise<void> {
  const engine = new RecordingEngine(stream.table, open);
  const report = await ingest(engine, streamOf(stream.pieces), {
    format: stream.format,
    header: stream.header,
    batch: 7,
    strict: true,
  });
  expect(engine.records).toEqual(encodeRecords(stream.table, stream.rows));
  expect(report.rows).toBe(stream.rows.length);
}
