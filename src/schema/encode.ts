/**
 * Generates the encoder of a table: straight-line code that reads a row's properties in column
 * order and stores them into one `Memory`. About 20 ns for a row of six columns, where an
 * interpreter of column definitions needs ten times that.
 *
 * A row may have getters or be a proxy, and such code may use the database, and so this memory. So
 * the generated code reads every property and every name first, and then encodes. A row with more
 * names than columns, in which an unknown one is looked for afterwards, is read and encoded again.
 *
 * The generated code handles the usual value of each kind; whatever its test does not admit goes to
 * `writeValue`, which knows every rule and says what is wrong. So the tests here must admit only
 * what `writeValue` would store, in the same bytes (`test/property/codec.test.ts`).
 *
 * Only numbers and JSON-quoted names are put into the code; a column name is an identifier.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition, ImageTable } from "./column.ts";
import { recordHeadSize } from "./layout.ts";
import { Memory } from "./memory.ts";
import { nearestName } from "./nearest.ts";
import { plainOf } from "./plain-value.ts";
import { describeValue, refuseValue, writeValue } from "./value.ts";

/** Text and bytes up to this length are copied by a loop; `Buffer`'s ways are faster beyond. */
const loopLengthMax = 40;
/** Images up to this size are cleared by single stores, larger ones by `fill`. */
const storesSizeMax = 256;
/** From here on a decimal number's shortest text is not always its nearest scaled integer. */
const scaledMax = 1e15;
/**
 * Adding 2^52 + 2^51 to an integer in [-2^51, 2^51) leaves the integer, plus 2^51, in the mantissa:
 * one add, one store and a repair of the upper word write 64 bits without a BigInt.
 */
const shift = 2 ** 52 + 2 ** 51;
const shiftedMax = 2 ** 51;

/** Writes records and keys of one table into one memory. Offsets are multiples of 8. */
export interface RowEncoder {
  /**
   * Writes the write record of `row`, which names its key, at `at`.
   * **Throws** `INVALID_VALUE`, `UNKNOWN_FIELD`.
   */
  readonly record: (row: object, at: number) => void;
  /** Like `record`, for the row of `key` and the columns that `patch` names; it has no key. */
  readonly patch: (key: unknown, patch: object, at: number) => void;
  /** Writes column 0 as it lies in an image, zero padded to 8 bytes. **Throws** `INVALID_VALUE`. */
  readonly key: (key: unknown, at: number) => void;
}

/** Generates the encoder of `table` into `memory`. Takes about 0.1 ms. */
export function generateEncoder(table: ImageTable, memory: Memory): RowEncoder {
  const slow = (position: number, value: unknown, at: number): void => {
    const column = table.columns[position] ?? table.key;
    writeValue(memory, at, table.name, column, value);
  };
  const checkNames = (row: object, isPatch: boolean): void => refuseNames(table, row, isPatch);
  const checkRow = (row: unknown): void => refuseRow(table, row);
  const emptyKey = (key: unknown): void => {
    refuseValue(table.name, table.key, key, "a key that is not empty");
  };
  const labels = table.columns.map(
    (column) => new Map(column.labels.map((label, index) => [label, index])),
  );
  const others = table.columns.slice(1);
  const code = `"use strict";
const { u8, u16, i16, u32, i32, f32, f64 } = memory;
const encode = (row, key, isPatch, at, isChecked) => {
  let given = isPatch ? 0 : 1, total = 0;
${others.map(readProperty).join("\n")}
  for (const name in row) total++;
  let named0 = 0, named1 = 0, missing0 = 0, missing1 = 0, null0 = 0, null1 = 0;
  let v = key, w = 0, size = 0;
${takePlain(table.key, "v")}
  const image = at + ${recordHeadSize};
${clearImage(table.imageSize)}
${writeColumn(table.key, "image")}
${others.map((column) => encodeColumn(table, column)).join("\n")}
  at >>= 2;
  u32[at] = named0; u32[at + 1] = named1;
  u32[at + 2] = missing0; u32[at + 3] = missing1;
  u32[at + 4] = null0; u32[at + 5] = null1;
  if (total > given && !isChecked) {
    checkNames(row, isPatch);
    encode(row, key, isPatch, at << 2, true);
  }
};
return {
  record: (row, at) => {
    const key = row?.[${JSON.stringify(table.key.name)}];
    if (key === undefined) checkRow(row);${refuseEmpty(table.key)}
    encode(row, key, false, at, false);
  },
  patch: (key, patch, at) => {
    if (typeof patch !== "object" || patch === null) checkRow(patch);
    encode(patch, key, true, at, false);
  },
  key: (key, at) => {
    let v = key, w = 0, size = 0;
${takePlain(table.key, "v")}
    const image = at - ${table.key.offset};
${clear("at", 0, Math.ceil(table.key.size / 8) * 8)}
${writeColumn(table.key, "image")}
  },
};`;
  const names = ["memory", "slow", "checkNames", "checkRow", "emptyKey", "labels", "plainOf"];
  const build = new Function(...names, code);
  const encoder: RowEncoder = build(memory, slow, checkNames, checkRow, emptyKey, labels, plainOf);
  return encoder;
}

/** Zeros everything behind the null mask, so that padding and short text are canonical. */
function clearImage(imageSize: number): string {
  return clear("image", 8, imageSize);
}

function clear(base: string, from: number, to: number): string {
  if (to - from > storesSizeMax) return `  u8.fill(0, ${base} + ${from}, ${base} + ${to});`;
  const stores: string[] = [];
  for (let offset = from; offset < to; offset += 8) {
    stores.push(`f64[(${base} + ${offset}) >> 3] = 0;`);
  }
  return `  ${stores.join(" ")}`;
}

/** Code that refuses an empty key: rows are told apart by it, and lines of text cannot say it. */
function refuseEmpty({ kind }: ColumnDefinition): string {
  if (kind !== "string" && kind !== "bytes" && kind !== "enum") return "";
  return "\n    else if (key !== null && key.length === 0) emptyKey(key);";
}

/** Code that reads the property of `column` into a variable. */
function readProperty(column: ColumnDefinition): string {
  const name = `c${column.position}`;
  const take = takePlain(column, name);
  const declare = take === "" ? "const" : "let";
  return `  ${declare} ${name} = row[${JSON.stringify(column.name)}];${take}`;
}

/** Code that makes an object in the variable `name` one that runs no code; for columns of such. */
function takePlain({ kind }: ColumnDefinition, name: string): string {
  if (kind !== "bytes" && kind !== "timestamp") return "";
  return `  if (typeof ${name} === "object" && ${name} !== null) ${name} = plainOf(${name});`;
}

function encodeColumn(table: ImageTable, column: ColumnDefinition): string {
  const bit = column.position - 1;
  const half = bit >> 5;
  const mask = (1 << (bit & 31)) | 0;
  const isNull = `null${half} |= ${mask};`;
  const write = column.nullable
    ? `if (v === null) ${isNull} else {\n${writeColumn(column, "image")}\n    }`
    : writeColumn(column, "image");
  const absent =
    column.default !== undefined
      ? storeDefault(table, column)
      : column.nullable
        ? isNull
        : `missing${half} |= ${mask};`;
  return `  v = c${column.position};
  if (v !== undefined) {
    given++; named${half} |= ${mask};
    ${write}
  } else { ${absent} }`;
}

/** Code that stores the bytes of a default. */
function storeDefault(table: ImageTable, column: ColumnDefinition): string {
  const memory = Memory.allocate(column.size);
  writeValue(memory, 0, table.name, column, column.default);
  const stores: string[] = [];
  const step = column.size % 4 === 0 ? 4 : column.size % 2 === 0 ? 2 : 1;
  const [view, shiftBy] = step === 4 ? ["u32", 2] : step === 2 ? ["u16", 1] : ["u8", 0];
  for (let offset = 0; offset < column.size; offset += step) {
    const word = memory.u8.readUIntLE(offset, step);
    if (word === 0) continue;
    stores.push(`${view}[(image + ${column.offset + offset}) >> ${shiftBy}] = ${word};`);
  }
  return stores.join(" ");
}

/** Code that stores `v`, neither undefined nor null, into its column of the image at `base`. */
function writeColumn(column: ColumnDefinition, base: string): string {
  const at = `${base} + ${column.offset}`;
  const slow = `slow(${column.position}, v, ${at});`;
  const store = (test: string, stores: string): string =>
    `    if (${test}) { ${stores} } else ${slow}`;
  switch (column.kind) {
    case "bool":
      return `    if (v === true) u8[${at}] = 1; else if (v !== false) ${slow}`;
    case "i8":
      return storeInteger("(v << 24 >> 24) === v", `u8[${at}] = v;`);
    case "i16":
      return storeInteger("(v << 16 >> 16) === v", `i16[(${at}) >> 1] = v;`);
    case "i32":
      return storeInteger("(v | 0) === v", `i32[(${at}) >> 2] = v;`);
    case "u8":
      return storeInteger("(v & 255) === v", `u8[${at}] = v;`);
    case "u16":
      return storeInteger("(v & 65535) === v", `u16[(${at}) >> 1] = v;`);
    case "u32":
      return storeInteger("(v >>> 0) === v", `u32[(${at}) >> 2] = v;`);
    case "i64":
    case "timestamp":
      return storeWide("w = v", `w < ${shiftedMax} && w >= -${shiftedMax} && Math.floor(w) === w`);
    case "u64":
      return storeWide("w = v", `w < ${shiftedMax} && w >= 0 && Math.floor(w) === w`);
    case "decimal": {
      const factor = 10 ** column.scale;
      const exact = `w / ${factor} === v && w < ${scaledMax} && w > -${scaledMax}`;
      return storeWide(`w = Math.round(v * ${factor})`, exact);
    }
    case "f32":
      return `    w = typeof v === "number" ? Math.fround(v) : Infinity;
    if (w - w === 0) f32[(${at}) >> 2] = w + 0; else ${slow}`;
    case "f64":
      return store('typeof v === "number" && v === v', `f64[(${at}) >> 3] = v + 0;`);
    case "enum":
      return `    w = labels[${column.position}].get(v);
    if (w !== undefined) u16[(${at}) >> 1] = w; else ${slow}`;
    case "string":
      return `    size = typeof v === "string" ? v.length : 65536;
    if (size <= ${Math.min(column.limit, loopLengthMax)}) {
      for (w = 0; w < size; w++) {
        const unit = v.charCodeAt(w);
        if (unit > 127) break;
        u8[${at} + 2 + w] = unit;
      }
      if (w === size) u16[(${at}) >> 1] = size; else ${slow}
    } else ${slow}`;
    case "bytes":
      return `    size = v instanceof Uint8Array ? v.length : 65536;
    if (size <= ${column.limit}) {
      u16[(${at}) >> 1] = size;
      if (size > ${loopLengthMax}) u8.set(v, ${at} + 2);
      else for (w = 0; w < size; w++) u8[${at} + 2 + w] = v[w];
    } else ${slow}`;
  }

  // The type comes first: operators throw on bigints and call methods of objects.
  function storeInteger(test: string, stores: string): string {
    return store(`typeof v === "number" && ${test}`, stores);
  }

  function storeWide(assign: string, test: string): string {
    return `    if (typeof v === "number" && (${assign}, ${test})) {
      f64[(${at}) >> 3] = w + ${shift};
      i32[(${at} + 4) >> 2] = (i32[(${at} + 4) >> 2] & 0xfffff) - 0x80000;
    } else ${slow}`;
  }
}

/** **Throws** `TypeError` for what has no columns, whatever is in it. */
function refuseRow(table: ImageTable, row: unknown): void {
  const isRow = typeof row === "object" && row !== null && !Array.isArray(row);
  if (isRow && !(row instanceof Map) && !(row instanceof Set)) return;
  const given = row instanceof Map ? "a Map" : row instanceof Set ? "a Set" : describeValue(row);
  throw new TypeError(
    `a row of ${table.name} is an object with its columns as properties, not ${given}` +
      (row instanceof Map ? "; Object.fromEntries(map) makes one" : ""),
  );
}

/** **Throws** `UNKNOWN_FIELD` for what is no column, `INVALID_VALUE` for a key in a patch. */
function refuseNames(table: ImageTable, row: object, isPatch: boolean): void {
  for (const name in row) {
    const column = table.columns.find((each) => each.name === name || each.aliases.includes(name));
    if (isPatch && column?.position === 0) {
      throw new AerostoreError(
        "INVALID_VALUE",
        `${table.name}.${name} is the primary key and cannot be changed: delete and insert the row`,
        { table: table.name, column: name },
      );
    }
    if (column?.name === name) continue;
    const nearest =
      column?.name ??
      nearestName(
        name,
        table.columns.map((each) => each.name),
      );
    const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
    throw new AerostoreError("UNKNOWN_FIELD", `${table.name} has no column "${name}"${hint}`, {
      table: table.name,
      column: name,
    });
  }
}
