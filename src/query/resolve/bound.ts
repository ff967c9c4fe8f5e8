/**
 * Values of a query as places in a column's order. A place is *at* a value that the column can
 * hold, or *above* one, between it and the next: 1.5 is above 1 on an integer column, 300 above 255
 * on a u8, `ABCD` above `ABC` on a string(3). Or it is *below all*. So every comparison is exact by
 * mathematical value, and nothing is rounded or cut (law 3 of docs/internals/query.md).
 *
 * Floats are the exception that converts: a value is the nearest float of the column's width, as if
 * it had been written there. A finite value beyond the range of an f32 compares as it is.
 */
import { AerostoreError } from "../../errors.ts";
import { searchFormat } from "../../ffi/constants.gen.ts";
import { nearestName } from "../../schema/nearest.ts";
import { describeValue, typeName } from "../../schema/value.ts";
import type { PlannerColumn, PlannerTable } from "./planner-table.ts";
import type { RawValue } from "../query.ts";

/**
 * A value in stored form: an integer (scaled, a label's position, 0 or 1 for bool) as a number
 * while safe, a float, or the bytes of text.
 */
export type Stored = number | bigint | Uint8Array;

export type Place =
  { readonly kind: "at" | "above"; readonly value: Stored } | { readonly kind: "belowAll" };

const belowAll: Place = { kind: "belowAll" };
const encoder = new TextEncoder();

const { patternSizeMax } = searchFormat;

/** Integer kinds, with the least and greatest value; as bigints where numbers are not exact. */
const integerRanges = {
  i8: [-128, 127],
  i16: [-32_768, 32_767],
  i32: [-2_147_483_648, 2_147_483_647],
  u8: [0, 255],
  u16: [0, 65_535],
  u32: [0, 4_294_967_295],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
  u64: [0n, 2n ** 64n - 1n],
  decimal: [-(2n ** 63n), 2n ** 63n - 1n],
  timestamp: [-(2n ** 63n), 2n ** 63n - 1n],
} as const;

const safe = Number.MAX_SAFE_INTEGER;

/** What of `integerRanges` numbers have exactly. */
const safeRanges = {
  ...integerRanges,
  i64: [-safe, safe],
  u64: [0, safe],
  decimal: [-safe, safe],
  timestamp: [-safe, safe],
} as const;

/**
 * The place of `value` in the order of `column`. **Throws** `INVALID_VALUE` when a value of this
 * kind cannot be compared with the column.
 */
export function placeOf(table: PlannerTable, column: PlannerColumn, value: RawValue): Place {
  switch (column.kind) {
    case "bool":
      return { kind: "at", value: booleanOf(table, column, value) };
    case "enum":
      return { kind: "at", value: labelOf(table, column, value) };
    case "string":
    case "bytes":
      return textPlace(textOf(table, column, value), column.limit);
    case "f32":
    case "f64":
      return floatPlace(table, column, value);
    default:
      return integerPlace(table, column, value, column.kind);
  }
}

/** Whether the place is above every value that `column` can hold. */
export function isAboveAll(column: PlannerColumn, place: Place): boolean {
  if (place.kind !== "above" || !isIntegerKind(column.kind)) return false;
  return place.value === narrow(integerRanges[column.kind][1]);
}

/** Whether a safe integer is a value that `column` holds as it is. */
export function holdsInteger(column: PlannerColumn, value: number): boolean {
  if (column.scale !== 0 || !isIntegerKind(column.kind)) return false;
  const [min, max] = safeRanges[column.kind];
  return value >= min && value <= max;
}

function isIntegerKind(kind: PlannerColumn["kind"]): kind is keyof typeof integerRanges {
  return Object.hasOwn(integerRanges, kind);
}

/** The bytes of a pattern. **Throws** `INVALID_VALUE`. */
export function patternOf(table: PlannerTable, column: PlannerColumn, value: RawValue): Uint8Array {
  const expected = `a pattern of at most ${patternSizeMax} bytes`;
  if (typeof value === "boolean" || value instanceof Uint8Array) {
    throw invalidValue(table, column, value, expected);
  }
  const bytes = encodeText(table, column, String(value));
  if (bytes.length > patternSizeMax) throw invalidValue(table, column, value, expected);
  return bytes;
}

/** Places in order. Values are of one column. */
export function comparePlaces(a: Place, b: Place): number {
  if (a.kind === "belowAll") return b.kind === "belowAll" ? 0 : -1;
  if (b.kind === "belowAll") return 1;
  const order = compareStored(a.value, b.value);
  if (order !== 0 || a.kind === b.kind) return order;
  return a.kind === "at" ? -1 : 1;
}

/** Stored values of one column in order. */
export function compareStored(a: Stored, b: Stored): number {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** **Throws** nothing; makes the `INVALID_VALUE` that a value of a search deserves. */
export function invalidValue(
  table: PlannerTable,
  column: PlannerColumn,
  value: unknown,
  expected: string,
): AerostoreError {
  return new AerostoreError(
    "INVALID_VALUE",
    `${table.name}.${column.name} (${typeName(column)}) cannot be compared with ` +
      `${describeValue(value)}; expected ${expected}`,
    { table: table.name, column: column.name, value },
  );
}

const truths: ReadonlyMap<string, number> = new Map([
  ["true", 1],
  ["1", 1],
  ["yes", 1],
  ["on", 1],
  ["false", 0],
  ["0", 0],
  ["no", 0],
  ["off", 0],
]);

function booleanOf(table: PlannerTable, column: PlannerColumn, value: RawValue): number {
  const truth = value instanceof Uint8Array ? undefined : truths.get(String(value).toLowerCase());
  if (truth === undefined) throw invalidValue(table, column, value, "true or false");
  return truth;
}

function labelOf(table: PlannerTable, column: PlannerColumn, value: RawValue): number {
  const label = value instanceof Uint8Array ? "" : String(value);
  const index = column.labels.indexOf(label);
  if (index >= 0) return index;
  const near = nearestName(label, column.labels);
  const shown = column.labels.slice(0, 8).join(", ");
  const list = column.labels.length > 8 ? `${shown}, …` : shown;
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  throw invalidValue(table, column, value, `one of ${list}${hint}`);
}

function textOf(table: PlannerTable, column: PlannerColumn, value: RawValue): Uint8Array {
  if (column.kind === "bytes") {
    if (value instanceof Uint8Array) return value;
    if (typeof value === "string") return encodeText(table, column, value);
    throw invalidValue(table, column, value, "bytes, or text for its UTF-8");
  }
  if (typeof value === "boolean" || value instanceof Uint8Array) {
    throw invalidValue(table, column, value, "text");
  }
  return encodeText(table, column, String(value));
}

function encodeText(table: PlannerTable, column: PlannerColumn, text: string): Uint8Array {
  if (!text.isWellFormed()) {
    throw invalidValue(table, column, text, "well-formed text (no lone surrogates)");
  }
  return encoder.encode(text);
}

/** Text that is too long is above its first `limit` bytes: what is between has no room either. */
function textPlace(bytes: Uint8Array, limit: number): Place {
  if (bytes.length <= limit) return { kind: "at", value: bytes };
  return { kind: "above", value: bytes.slice(0, limit) };
}

function floatPlace(table: PlannerTable, column: PlannerColumn, value: RawValue): Place {
  const number = numberOf(table, column, value);
  if (!Number.isFinite(number)) {
    // Digits beyond the range of an f64 are not infinity: they are next to it.
    if (isInfinity(value)) return { kind: "at", value: number };
    return { kind: "above", value: number > 0 ? Number.MAX_VALUE : -Infinity };
  }
  const rounded = column.kind === "f32" ? Math.fround(number) : number;
  // Adding 0 turns -0 into 0, as stored.
  return { kind: "at", value: (Number.isFinite(rounded) ? rounded : number) + 0 };
}

function isInfinity(value: RawValue): boolean {
  return typeof value === "number" || (typeof value === "string" && infinityPattern.test(value));
}

const infinityPattern = /^[+-]?inf(?:inity)?$/i;
const decimalPattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,9}))?$/;

function numberOf(table: PlannerTable, column: PlannerColumn, value: RawValue): number {
  const refuse = (): AerostoreError => invalidValue(table, column, value, "a number, not NaN");
  switch (typeof value) {
    case "number":
      if (Number.isNaN(value)) throw refuse();
      return value;
    case "bigint":
      return Number(value);
    case "string":
      if (infinityPattern.test(value)) return value.startsWith("-") ? -Infinity : Infinity;
      if (!decimalPattern.test(value) || !/\d/.test(value)) throw refuse();
      return Number(value);
    default:
      throw refuse();
  }
}

function integerPlace(
  table: PlannerTable,
  column: PlannerColumn,
  value: RawValue,
  kind: keyof typeof integerRanges,
): Place {
  const floor = floorOf(table, column, value);
  const [min, max] = integerRanges[kind];
  if (floor.value > max) return { kind: "above", value: narrow(max) };
  if (floor.value < min) return belowAll;
  return { kind: floor.exact ? "at" : "above", value: narrow(floor.value) };
}

function narrow(value: number | bigint): number | bigint {
  if (typeof value === "number") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

interface Floor {
  /** The greatest scaled integer that is not above the value; infinite beyond all columns. */
  readonly value: number | bigint;
  readonly exact: boolean;
}

function floorOf(table: PlannerTable, column: PlannerColumn, value: RawValue): Floor {
  if (column.scale === 0) {
    if (typeof value === "bigint") return { value, exact: true };
    // A double from 2^53 on is an integer, and exact.
    if (typeof value === "number" && !Number.isNaN(value)) return floorOfNumber(value);
  } else if (typeof value === "number" && Number.isFinite(value)) {
    // Up to 15 digits, one decimal alone reads as this number: the scaled integer is exact.
    const power = 10 ** column.scale;
    const scaled = Math.round(value * power);
    if (Math.abs(scaled) < 1e15 && scaled / power === value) {
      return { value: scaled + 0, exact: true };
    }
  }
  const text = typeof value === "boolean" || value instanceof Uint8Array ? "" : String(value);
  const floor = floorOfText(text, column.scale);
  if (floor === undefined) throw invalidValue(table, column, value, expectedNumber(column));
  return floor;
}

function floorOfNumber(value: number): Floor {
  const floor = Math.floor(value);
  const exact = floor === value;
  if (Number.isSafeInteger(floor)) return { value: floor + 0, exact };
  return { value: Number.isFinite(floor) ? BigInt(floor) : floor, exact };
}

function expectedNumber(column: PlannerColumn): string {
  return column.kind === "timestamp" ? "milliseconds since 1970" : "a number";
}

/** Decimal text times 10^scale, rounded down. Linear; huge exponents build no huge numbers. */
function floorOfText(text: string, scale: number): Floor | undefined {
  if (scale === 0 && text.length <= 15 && /^-?\d+$/.test(text)) {
    return { value: Number(text) + 0, exact: true };
  }
  if (infinityPattern.test(text)) {
    return { value: text.startsWith("-") ? -Infinity : Infinity, exact: true };
  }
  const match = decimalPattern.exec(text);
  if (match === null) return undefined;
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  if (whole === "" && fraction === "") return undefined;
  const negative = sign === "-";
  const digits = (whole + fraction).replace(/^0+/, "");
  if (digits === "") return { value: 0, exact: true };
  const shift = Number(exponent) - fraction.length + scale;
  // More digits than any 64-bit column has.
  if (digits.length + shift > 24) return { value: negative ? -Infinity : Infinity, exact: true };
  const kept = shift < 0 ? digits.slice(0, shift) : digits + "0".repeat(shift);
  const dropped = shift < 0 ? digits.slice(shift) : "";
  const exact = !/[1-9]/.test(dropped);
  const magnitude = kept === "" ? 0n : BigInt(kept);
  const value = negative ? -magnitude - (exact ? 0n : 1n) : magnitude;
  return { value: narrow(value), exact };
}
