/**
 * One value in an image: the complete and exact rules, one column at a time. The generated codec
 * (`encode.ts`, `decode.ts`) handles the usual values itself and comes here for the others, so what
 * is refused, and how it is said, is decided in this file.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition, ColumnValue } from "./column.ts";
import { formatScaled, parseScaled } from "./decimal.ts";
import type { Memory } from "./memory.ts";
import { isBytes, isDate, plainOf } from "./plain-value.ts";

/** Integer kinds with their bounds. */
const integerBounds = {
  i8: [-128, 127],
  i16: [-32_768, 32_767],
  i32: [-2_147_483_648, 2_147_483_647],
  u8: [0, 255],
  u16: [0, 65_535],
  u32: [0, 4_294_967_295],
} as const;

/** Scaled integers below it have at most 15 digits, and are exact as numbers. */
const digitsMax = 10n ** 15n;
const i64Min = -(2n ** 63n);
const i64Max = 2n ** 63n - 1n;
const u64Max = 2n ** 64n - 1n;

/**
 * Writes `value`, which is neither undefined nor null, at byte `at` of `memory`. Text overwrites
 * its size word and as many bytes as it has; the rest of its area must be zero already.
 *
 * **Throws** `INVALID_VALUE` when the value does not fit the column; nothing is wrapped or cut.
 */
export function writeValue(
  memory: Memory,
  at: number,
  table: string,
  column: ColumnDefinition,
  given: unknown,
): void {
  const value = typeof given === "object" && given !== null ? plainOf(given) : given;
  const refuse = (expected: string): never => refuseValue(table, column, given, expected);
  switch (column.kind) {
    case "bool":
      if (typeof value !== "boolean") return refuse("true or false");
      memory.u8[at] = value ? 1 : 0;
      return;
    case "i8":
    case "i16":
    case "i32":
    case "u8":
    case "u16":
    case "u32": {
      const [min, max] = integerBounds[column.kind];
      if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
        return refuse(`an integer from ${min} to ${max}`);
      }
      writeSmall(memory, at, column.size, value);
      return;
    }
    case "i64":
    case "u64": {
      const [min, max] = column.kind === "u64" ? [0n, u64Max] : [i64Min, i64Max];
      const wide = toBigInt(value);
      if (wide === undefined || wide < min || wide > max) {
        return refuse(`an integer from ${min} to ${max}, as a safe number or a bigint`);
      }
      if (column.reads === "number" && !Number.isSafeInteger(Number(wide))) {
        return refuse("a safe integer: the column is declared with number()");
      }
      writeWide(memory, at, wide);
      return;
    }
    case "timestamp":
      if (typeof value !== "number" || !Number.isSafeInteger(value)) {
        return refuse("milliseconds since 1970, a safe integer, or a valid Date");
      }
      writeWide(memory, at, BigInt(value));
      return;
    case "decimal": {
      const digits = typeof value === "number" ? numberText(value) : value;
      if (typeof digits !== "string") return refuse("a number or a digit string");
      const scaled = parseScaled(digits, column.scale, column.isRounded);
      if (scaled === "syntax") return refuse("a number or a digit string");
      if (scaled === "decimals") return refuse(`at most ${column.scale} decimals`);
      if (scaled < i64Min || scaled > i64Max) {
        const [min, max] = [i64Min, i64Max].map((bound) => formatScaled(bound, column.scale));
        return refuse(`a number from ${min} to ${max}`);
      }
      writeWide(memory, at, scaled);
      return;
    }
    case "f32":
    case "f64": {
      if (typeof value !== "number" || Number.isNaN(value)) return refuse("a number, not NaN");
      // Adding 0 turns -0 into 0: equal values have equal bytes.
      if (column.kind === "f64") {
        memory.f64[at >> 3] = value + 0;
        return;
      }
      const rounded = Math.fround(value + 0);
      if (!Number.isFinite(rounded) && Number.isFinite(value)) {
        return refuse("a number within the range of a 32-bit float");
      }
      // Rounding a tiny negative number gives -0 again.
      memory.f32[at >> 2] = rounded + 0;
      return;
    }
    case "string": {
      if (typeof value !== "string") return refuse("a string");
      if (!value.isWellFormed()) return refuse("a well-formed string (no lone surrogates)");
      const size = Buffer.byteLength(value, "utf8");
      if (size > column.limit) {
        return refuse(`at most ${column.limit} bytes of UTF-8; this takes ${size}`);
      }
      memory.u16[at >> 1] = size;
      memory.u8.write(value, at + 2, size, "utf8");
      return;
    }
    case "bytes":
      if (!isBytes(value)) return refuse("a Uint8Array");
      if (value.length > column.limit) {
        return refuse(`at most ${column.limit} bytes, not ${value.length}`);
      }
      memory.u16[at >> 1] = value.length;
      memory.u8.set(value, at + 2);
      return;
    case "enum": {
      const index = typeof value === "string" ? column.labels.indexOf(value) : -1;
      if (index < 0) return refuse(`one of ${listLabels(column.labels)}`);
      memory.u16[at >> 1] = index;
      return;
    }
  }
}

/** The value at byte `at` of `memory`, whose column is not null there. Never throws. */
export function readValue(memory: Memory, at: number, column: ColumnDefinition): ColumnValue {
  switch (column.kind) {
    case "bool":
      return memory.u8[at] !== 0;
    case "i8":
      return memory.i8[at] ?? 0;
    case "i16":
      return memory.i16[at >> 1] ?? 0;
    case "i32":
      return memory.i32[at >> 2] ?? 0;
    case "u8":
      return memory.u8[at] ?? 0;
    case "u16":
      return memory.u16[at >> 1] ?? 0;
    case "u32":
      return memory.u32[at >> 2] ?? 0;
    case "f32":
      return memory.f32[at >> 2] ?? 0;
    case "f64":
      return memory.f64[at >> 3] ?? 0;
    case "i64":
      return asRead(memory.i64[at >> 3] ?? 0n, column);
    case "u64":
      return asRead(memory.u64[at >> 3] ?? 0n, column);
    case "timestamp":
      return Number(memory.i64[at >> 3] ?? 0n);
    case "decimal": {
      const scaled = memory.i64[at >> 3] ?? 0n;
      const digits = formatScaled(scaled, column.scale);
      const isShort = scaled < digitsMax && scaled > -digitsMax;
      return isShort || column.reads === "number" ? Number(digits) : digits;
    }
    case "string": {
      const size = textSize(memory, at, column);
      return memory.u8.toString("utf8", at + 2, at + 2 + size);
    }
    case "bytes": {
      const size = textSize(memory, at, column);
      return new Uint8Array(memory.buffer.slice(at + 2, at + 2 + size));
    }
    case "enum":
      return column.labels[memory.u16[at >> 1] ?? 0] ?? "";
  }
}

/** A 64-bit integer in the form that the declaration asks for. */
function asRead(wide: bigint, { reads }: ColumnDefinition): number | bigint {
  return reads === "bigint" ? wide : reads === "number" ? Number(wide) : narrow(wide);
}

/** A number while it is safe. */
function narrow(wide: bigint): number | bigint {
  const number = Number(wide);
  return Number.isSafeInteger(number) ? number : wide;
}

function textSize(memory: Memory, at: number, column: ColumnDefinition): number {
  return Math.min(memory.u16[at >> 1] ?? 0, column.limit);
}

function writeSmall(memory: Memory, at: number, size: number, value: number): void {
  // Unsigned views store the same bits for negative numbers.
  if (size === 1) memory.u8[at] = value;
  else if (size === 2) memory.u16[at >> 1] = value;
  else memory.u32[at >> 2] = value;
}

function writeWide(memory: Memory, at: number, value: bigint): void {
  memory.i64[at >> 3] = BigInt.asIntN(64, value);
}

function toBigInt(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : undefined;
}

/** Shortest decimal text; `undefined` for what has none. */
function numberText(value: number): string | undefined {
  return Number.isFinite(value) ? String(value) : undefined;
}

/** **Throws** `INVALID_VALUE` for a value that `column` cannot hold. */
export function refuseValue(
  table: string,
  column: ColumnDefinition,
  value: unknown,
  expected: string,
): never {
  const where = `${table}.${column.name}`;
  const type = typeName(column);
  throw new AerostoreError(
    "INVALID_VALUE",
    `${where} (${type}) cannot hold ${describeValue(value)}: expected ${expected}`,
    { table, column: column.name, value },
  );
}

/** The type of a column as a declaration writes it. */
export function typeName(column: Pick<ColumnDefinition, "kind" | "limit" | "scale">): string {
  switch (column.kind) {
    case "string":
    case "bytes":
      return `${column.kind}(${column.limit})`;
    case "decimal":
      return `decimal(${column.scale})`;
    default:
      return column.kind;
  }
}

/** A value as an error message shows it: one line, at most about 60 characters. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") {
    return value.length > 48
      ? `${JSON.stringify(value.slice(0, 48))}… (${value.length} characters)`
      : JSON.stringify(value);
  }
  if (typeof value === "bigint") return `${value}n`;
  if (isBytes(value)) return `${value.byteLength} bytes`;
  if (isDate(value)) return describeDate(value);
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function describeDate(date: Date): string {
  const time: number = Reflect.apply(Date.prototype.getTime, date, []);
  return Number.isNaN(time) ? "an invalid Date" : new Date(time).toISOString();
}

/** Whether a value can stand for a key in an error. */
export function isScalar(value: unknown): value is string | number | bigint | boolean {
  return ["string", "number", "bigint", "boolean"].includes(typeof value);
}

function listLabels(labels: readonly string[]): string {
  const shown = labels
    .slice(0, 8)
    .map((label) => JSON.stringify(label))
    .join(", ");
  return labels.length > 8 ? `${shown}, … (${labels.length} labels)` : shown;
}
