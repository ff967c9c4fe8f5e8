/**
 * Defaults in one canonical form, so that equal declarations give equal schema bytes, and their
 * JSON in those bytes.
 */
import type { ColumnDefinition, ColumnValue } from "./column.ts";
import { formatScaled } from "./decimal.ts";
import { Memory } from "./memory.ts";
import { readValue, refuseValue, writeValue } from "./value.ts";

/** A default as JSON holds it. */
export type DefaultJson = string | number | boolean;

/**
 * The default of `column` as the column would give it back; a decimal as digits, which are exact.
 * `undefined` when there is none, or null, which is what an absent nullable column gets anyway.
 * **Throws** `INVALID_VALUE` when the column cannot hold it.
 */
export function canonicalDefault(table: string, column: ColumnDefinition): ColumnValue | undefined {
  if (column.default === undefined) return undefined;
  if (column.default === null) {
    if (column.nullable) return undefined;
    return refuseValue(table, column, null, "a value: the column is not nullable");
  }
  const memory = Memory.allocate(column.size);
  writeValue(memory, 0, table, column, column.default);
  if (column.kind === "decimal") return formatScaled(memory.i64[0] ?? 0n, column.scale);
  return readValue(memory, 0, column);
}

/** JSON of a canonical default. */
export function defaultToJson(column: ColumnDefinition, value: ColumnValue): DefaultJson {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (column.kind === "i64" || column.kind === "u64") return String(value);
  if (typeof value === "string" || typeof value === "boolean") return value;
  const number = Number(value);
  return Number.isFinite(number) ? number : String(number);
}

/** The default that `json` stands for; of a wrong type when `defaultToJson` did not write it. */
export function defaultFromJson(
  column: Pick<ColumnDefinition, "kind">,
  json: DefaultJson,
): ColumnValue {
  if (typeof json !== "string") return json;
  switch (column.kind) {
    case "i64":
    case "u64":
      return /^-?\d{1,20}$/.test(json) ? BigInt(json) : json;
    case "f32":
    case "f64":
      return Number(json);
    case "bytes":
      return Uint8Array.from(Buffer.from(json, "base64"));
    default:
      return json;
  }
}
