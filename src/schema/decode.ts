/**
 * Generates the decoder of a table: one object literal per row, so all rows have one shape, read
 * straight from the views of a `Memory`. Values that do not fit a number exactly go to `readValue`.
 *
 * Only numbers and JSON-quoted names are put into the code; a column name is an identifier. Images
 * come from shared memory, so sizes and enum positions are bounded again here.
 */
import type { ColumnDefinition, ColumnValue, ImageTable } from "./column.ts";
import type { Memory } from "./memory.ts";
import { readValue } from "./value.ts";

/** Text up to this limit is tested for ASCII here, bytes up to it are copied one by one. */
const loopLimitMax = 40;

/** Reads images of one table from any memory. Offsets are multiples of 8. */
export interface RowDecoder<out Row> {
  /** The row whose image begins at byte `at`. Copies everything. */
  readonly row: (memory: Memory, at: number) => Row;
  /** `count` such rows, image behind image from `at` on, into `out` from `index` on. */
  readonly rows: (memory: Memory, at: number, count: number, out: unknown[], index: number) => void;
  /** Overwrites the columns of `row`, which `row()` made. */
  readonly fill: (row: unknown, memory: Memory, at: number) => void;
}

/** Generates the decoder of `table` for its columns `fields`, in that order. */
export function generateDecoder<Row>(
  table: ImageTable,
  fields: readonly ColumnDefinition[] = table.columns,
): RowDecoder<Row> {
  const read = [
    readNulls(fields),
    ...fields.map((column, index) => readColumn(column, `v${index}`)),
  ].join("\n");
  const literal = fields.map(({ name }, index) => `${JSON.stringify(name)}: v${index}`).join(", ");
  const views = readViews(read);
  const assign = fields
    .map(({ name }, index) => `row[${JSON.stringify(name)}] = v${index};`)
    .join(" ");
  const code = `"use strict";
return {
  row: (memory, at) => {
${views}
${read}
    return { ${literal} };
  },
  rows: (memory, at, count, out, index) => {
${views}
    for (const end = index + count; index < end; index++, at += ${table.imageSize}) {
${read}
      out[index] = { ${literal} };
    }
  },
  fill: (row, memory, at) => {
${views}
${read}
    ${assign}
  },
};`;
  const decoder: RowDecoder<Row> = new Function("slow", "labels", code)(...helpersOf(table));
  return decoder;
}

/** Reads one column of many images. */
export type ColumnReader = (
  /** Where values go, from `index` on. */
  out: ColumnArray,
  index: number,
  memory: Memory,
  at: number,
  /** Images lie `stride` bytes apart. */
  stride: number,
  rowCount: number,
) => void;

/** The values of a column of a result, by its kind. */
export type ColumnArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | ColumnValue[];

/**
 * An array for `count` values of `column`: typed for numbers and bools (0 and 1), 64-bit integers
 * as bigints, decimals as the nearest numbers; plain for text and enums, and, because a typed array
 * has no null, where nullable.
 */
export function makeColumnArray(column: ColumnDefinition, count: number): ColumnArray {
  if (column.nullable) return new Array<ColumnValue>(count).fill(null);
  switch (column.kind) {
    case "bool":
    case "u8":
      return new Uint8Array(count);
    case "i8":
      return new Int8Array(count);
    case "u16":
      return new Uint16Array(count);
    case "i16":
      return new Int16Array(count);
    case "u32":
      return new Uint32Array(count);
    case "i32":
      return new Int32Array(count);
    case "f32":
      return new Float32Array(count);
    case "f64":
    case "decimal":
    case "timestamp":
      return new Float64Array(count);
    case "i64":
      return column.reads === "number" ? new Float64Array(count) : new BigInt64Array(count);
    case "u64":
      return column.reads === "number" ? new Float64Array(count) : new BigUint64Array(count);
    case "string":
    case "bytes":
    case "enum":
      return new Array<ColumnValue>(count).fill(null);
  }
}

const columnReaders = new WeakMap<ColumnDefinition, ColumnReader>();

/** The reader of `column` into what `makeColumnArray` makes; generated once. */
export function columnReaderFor(table: ImageTable, column: ColumnDefinition): ColumnReader {
  const known = columnReaders.get(column);
  if (known !== undefined) return known;
  const reader = generateColumnReader(table, column);
  columnReaders.set(column, reader);
  return reader;
}

function generateColumnReader(table: ImageTable, column: ColumnDefinition): ColumnReader {
  const isWide = column.kind === "i64" || column.kind === "u64";
  const exact = !column.nullable && isWide && column.reads !== "number";
  const read = exact
    ? `    const v = ${column.kind}[(at + ${column.offset}) >> 3];`
    : `${readNulls([column])}\n${readColumn(column, "v")}`;
  const code = `"use strict";
return (out, index, memory, at, stride, rowCount) => {
${readViews(read)}
  for (let row = 0; row < rowCount; row++, at += stride) {
${read}
    out[index + row] = v;
  }
};`;
  const reader: ColumnReader = new Function("slow", "labels", code)(...helpersOf(table));
  return reader;
}

/** What generated code calls and looks up. */
function helpersOf(table: ImageTable): readonly [slow: unknown, labels: unknown] {
  const slow = (memory: Memory, at: number, position: number): ColumnValue =>
    readValue(memory, at, table.columns[position] ?? table.key);
  return [slow, table.columns.map((column) => column.labels)];
}

const views = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "f64", "i64", "u64"];

/** Declares the views that `code` uses, so that a loop over images looks them up once. */
function readViews(code: string): string {
  const used = views.filter((view) => code.includes(`${view}[`) || code.includes(`${view}.`));
  return `    const { ${used.join(", ")} } = memory;`;
}

function readNulls(fields: readonly ColumnDefinition[]): string {
  if (!fields.some((column) => column.nullable)) return "";
  return "    const null0 = u32[at >> 2], null1 = u32[(at >> 2) + 1];";
}

function readColumn(column: ColumnDefinition, name: string): string {
  const value = readExpression(column, name);
  if (!column.nullable) return `    ${value}`;
  const bit = column.position - 1;
  const isNull = `(null${bit >> 5} & ${(1 << (bit & 31)) | 0}) !== 0`;
  return `    ${value} if (${isNull}) ${name} = null;`;
}

/** Statements that declare `name` and set it to the column's value, which is not null. */
function readExpression(column: ColumnDefinition, name: string): string {
  const at = `at + ${column.offset}`;
  const slow = `slow(memory, ${at}, ${column.position})`;
  switch (column.kind) {
    case "bool":
      return `let ${name} = u8[${at}] !== 0;`;
    case "i8":
      return `let ${name} = i8[${at}];`;
    case "u8":
      return `let ${name} = u8[${at}];`;
    case "i16":
      return `let ${name} = i16[(${at}) >> 1];`;
    case "u16":
      return `let ${name} = u16[(${at}) >> 1];`;
    case "i32":
      return `let ${name} = i32[(${at}) >> 2];`;
    case "u32":
      return `let ${name} = u32[(${at}) >> 2];`;
    case "f32":
      return `let ${name} = f32[(${at}) >> 2];`;
    case "f64":
      return `let ${name} = f64[(${at}) >> 3];`;
    case "i64":
    case "u64":
      if (column.reads === "bigint") return `let ${name} = ${column.kind}[(${at}) >> 3];`;
      return readWide(column.kind === "i64" ? "i32" : "u32", "");
    case "timestamp":
      return readWide("i32", "");
    case "decimal":
      return readWide("i32", ` else ${name} /= ${10 ** column.scale};`);
    case "enum":
      return `let ${name} = labels[${column.position}][u16[(${at}) >> 1]] ?? "";`;
    case "string":
      return readString();
    case "bytes":
      return readBytes();
  }

  function readWide(upper: string, otherwise: string): string {
    const word = `(${at}) >> 2`;
    const sum = `${upper}[(${word}) + 1] * 4294967296 + u32[${word}]`;
    // A sum that is not exact lies outside the safe integers too.
    const max = column.kind === "decimal" && column.reads !== "number" ? 1e15 - 1 : 2 ** 53 - 1;
    const unsafe = `${name} > ${max} || ${name} < -${max}`;
    return `let ${name} = ${sum}; if (${unsafe}) ${name} = ${slow};${otherwise}`;
  }

  /** Declares where the bytes of the value start, and how many they are. */
  function readExtent(from: string, size: string): string {
    return `const ${from} = ${at} + 2;
    let ${size} = u16[(${at}) >> 1];
    if (${size} > ${column.limit}) ${size} = ${column.limit};`;
  }

  function readBytes(): string {
    const [from, size] = [`from${column.position}`, `size${column.position}`];
    const copy = (i: number | string): string => `${name}[${i}] = u8[${from} + ${i}];`;
    // As many as fit are what hashes and ids are: without a loop they take half the time.
    const whole =
      column.limit > loopLimitMax
        ? `if (${size} > ${loopLimitMax}) ${name}.set(u8.subarray(${from}, ${from} + ${size}));`
        : `if (${size} === ${column.limit}) {
      ${Array.from({ length: column.limit }, (_, i) => copy(i)).join(" ")}
    }`;
    return `${readExtent(from, size)} let ${name} = new Uint8Array(${size});
    ${whole} else for (let i = 0; i < ${size}; i++) ${copy("i")}`;
  }

  function readString(): string {
    const [from, size] = [`from${column.position}`, `size${column.position}`];
    const declare = readExtent(from, size);
    if (column.limit > loopLimitMax) {
      return `${declare} let ${name} = u8.utf8Slice(${from}, ${from} + ${size});`;
    }
    const [bits, last] = [`bits${column.position}`, `last${column.position}`];
    const end = `(${from} + ${size})`;
    // By words: the size in front of a text has no such bits, what is behind it is masked out.
    return `${declare}
    const ${last} = (${end} - 1) >> 2;
    let ${bits} = u32[${last}] & (-1 >>> ((-${end} & 3) << 3));
    for (let i = ${from} >> 2; i < ${last}; i++) ${bits} |= u32[i];
    let ${name} = (${bits} & ${0x80808080 | 0}) === 0 ? u8.latin1Slice(${from}, ${end})
      : u8.utf8Slice(${from}, ${end});`;
  }
}
