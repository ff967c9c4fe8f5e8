/** Values between JSON and rows: the same forms that ingest reads and export writes. */
import { createLineWriter } from "../ingest/line-writer.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import type { AnyTable } from "../schema/table.ts";
import { HttpProblem } from "./problem.ts";

export type JsonRow = Readonly<Record<string, ColumnValue | undefined>>;

/** A row as one JSON object. */
export function rowText(columns: readonly ColumnDefinition[], row: JsonRow): string {
  return createLineWriter(columns, "ndjson").line(row);
}

/** A value as in rows: integers beyond 2^53 are digits, bytes are hex. */
export function wireValue(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
}

/** `wireValue` for `JSON.stringify`. */
export function wireMember(_name: string, value: unknown): unknown {
  return wireValue(value);
}

/** The key in a path. **Throws** `HttpProblem` 400 for text that is no key of the table. */
export function keyFromText(table: AnyTable, text: string): ColumnValue {
  return valueFromText(table, table.key, text);
}

function valueFromText(table: AnyTable, column: ColumnDefinition, text: string): ColumnValue {
  switch (column.kind) {
    case "string":
    case "enum":
      return text;
    case "decimal":
      return text;
    case "bytes":
      return bytesFromHex(table, column, text);
    case "bool":
      if (text === "true" || text === "false") return text === "true";
      throw wrongValue(table, column, text, "true or false");
    case "f32":
    case "f64":
    case "i8":
    case "i16":
    case "i32":
    case "u8":
    case "u16":
    case "u32":
    case "timestamp": {
      const value = Number(text);
      if (text.trim() !== "" && !Number.isNaN(value)) return value;
      throw wrongValue(table, column, text, "a number");
    }
    case "i64":
    case "u64":
      return integerFromText(table, column, text);
  }
}

function integerFromText(table: AnyTable, column: ColumnDefinition, text: string): ColumnValue {
  if (!/^-?\d+$/.test(text)) throw wrongValue(table, column, text, "an integer");
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

function bytesFromHex(table: AnyTable, column: ColumnDefinition, text: string): Uint8Array {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) throw wrongValue(table, column, text, "hex digits");
  return new Uint8Array(Buffer.from(text, "hex"));
}

function wrongValue(
  table: AnyTable,
  column: ColumnDefinition,
  text: string,
  expected: string,
): HttpProblem {
  const where = `${table.name}.${column.name}`;
  return new HttpProblem(400, "INVALID_VALUE", `"${text}" is no value of ${where}: ${expected}`, {
    table: table.name,
    column: column.name,
    expected,
  });
}

/**
 * A row or patch of a JSON object: bytes are hex, integers beyond 2^53 digit strings. Names are
 * left to the table. **Throws** `HttpProblem` 400 for what is no object.
 */
export function rowFromJson(table: AnyTable, value: unknown): Record<string, ColumnValue> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const found = Array.isArray(value) ? "an array" : value === null ? "null" : typeof value;
    throw new HttpProblem(400, "INVALID_VALUE", `a row is a JSON object, not ${found}`);
  }
  const row: Record<string, ColumnValue> = {};
  for (const [name, each] of Object.entries(value)) {
    const column = table.find(name);
    if (!isScalar(each)) throw new HttpProblem(400, "INVALID_VALUE", noScalar(table, name, each));
    const isWritten = typeof each === "string" && column !== undefined;
    row[column?.name ?? name] = isWritten ? textForColumn(table, column, each) : each;
  }
  return row;
}

function isScalar(value: unknown): value is string | number | boolean | null {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

function noScalar(table: AnyTable, name: string, value: unknown): string {
  const found = Array.isArray(value) ? "an array" : "an object";
  return `${table.name}.${name} takes a text, a number, true, false or null, not ${found}`;
}

/** Text in JSON: hex for bytes, digits for wide integers, itself elsewhere. */
function textForColumn(table: AnyTable, column: ColumnDefinition, text: string): ColumnValue {
  switch (column.kind) {
    case "bytes":
      return bytesFromHex(table, column, text);
    case "i64":
    case "u64":
      return integerFromText(table, column, text);
    default:
      return text;
  }
}
