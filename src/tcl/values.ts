/** Column values as Tcl writes and reads them. */
import { AerostoreError } from "../errors.ts";
import { assignedValue } from "../query/resolve/assign.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import { formatScaled, parseScaled } from "../schema/decimal.ts";
import { nearestName } from "../schema/nearest.ts";
import type { AnyTable } from "../schema/table.ts";
import { describeValue } from "../schema/value.ts";
import type { Reply } from "./frames.ts";

/** The column of a name or alias. **Throws** `UNKNOWN_FIELD`. */
export function columnOf(table: AnyTable, name: string): ColumnDefinition {
  const column = table.find(name);
  if (column !== undefined) return column;
  const nearest = nearestName(name, table.names());
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
  throw new AerostoreError(
    "UNKNOWN_FIELD",
    `${table.name} has no column ${describeValue(name)}${hint}`,
    { table: table.name, column: name },
  );
}

/**
 * What `text` says as a value of `column`: empty text is null where there can be none, except in
 * strings; bytes are a Tcl byte array. **Throws** `INVALID_VALUE`.
 */
export function valueOfTcl(table: AnyTable, column: ColumnDefinition, text: string): ColumnValue {
  if (column.kind === "bytes") return bytesOfTcl(table, column, text);
  const isFloat = column.kind === "f32" || column.kind === "f64";
  const infinity = isFloat ? /^([+-]?)inf(?:inity)?$/i.exec(text) : null;
  if (infinity !== null) return infinity[1] === "-" ? -Infinity : Infinity;
  return assignedValue(table, column, text);
}

/** A Tcl byte array: text with no character above 255. **Throws** `INVALID_VALUE`. */
export function bytesOfTcl(
  table: AnyTable,
  column: ColumnDefinition,
  text: string,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(text.length));
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 255) {
      throw new AerostoreError(
        "INVALID_VALUE",
        `${table.name}.${column.name} holds bytes, and ${describeValue(text)} is text: ` +
          "encode it with [encoding convertto]",
        { table: table.name, column: column.name, value: text },
      );
    }
    bytes[at] = code;
  }
  return bytes;
}

/** Adds a value to a reply, as Tcl would print it. */
export function addValue(reply: Reply, column: ColumnDefinition, value: ColumnValue): void {
  if (value === null) reply.null();
  else if (value instanceof Uint8Array) reply.bytes(value);
  else if (typeof value === "boolean") reply.text(value ? "1" : "0");
  else if (typeof value === "number" && isReal(column)) reply.text(realText(value));
  else reply.text(String(value));
}

function isReal({ kind, scale }: ColumnDefinition): boolean {
  return kind === "f32" || kind === "f64" || (kind === "decimal" && scale > 0);
}

/** A whole number keeps its point: to `expr`, 46 and 46.0 divide differently. */
function realText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toFixed(1);
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? "Inf" : "-Inf";
}

/**
 * `value` and an amount, added exactly; null counts as 0. **Throws** `INVALID_VALUE` for what
 * cannot be added.
 */
export function addAmount(
  table: AnyTable,
  column: ColumnDefinition,
  value: ColumnValue,
  amount: string,
): ColumnValue {
  const refuse = (expected: string): never => {
    throw new AerostoreError(
      "INVALID_VALUE",
      `${table.name}.${column.name} cannot be incremented by ${describeValue(amount)}: ` +
        `expected ${expected}`,
      { table: table.name, column: column.name, value: amount },
    );
  };
  switch (column.kind) {
    case "bool":
    case "string":
    case "bytes":
    case "enum":
      return refuse(`a column of numbers, not of kind ${column.kind}`);
    case "f32":
    case "f64": {
      const number = amount.trim() === "" ? Number.NaN : Number(amount);
      return Number.isNaN(number) ? refuse("a number") : Number(value ?? 0) + number;
    }
    case "decimal": {
      const added = parseScaled(amount, column.scale);
      if (typeof added !== "bigint") return refuse(`at most ${column.scale} decimals`);
      const base = parseScaled(String(value ?? 0), column.scale);
      return formatScaled((typeof base === "bigint" ? base : 0n) + added, column.scale);
    }
    default: {
      if (!/^[+-]?\d{1,20}$/.test(amount)) return refuse("a whole number");
      const sum = BigInt(String(value ?? 0)) + BigInt(amount.replace("+", ""));
      const isSafe = sum === BigInt(Number(sum)) && Number.isSafeInteger(Number(sum));
      return isSafe ? Number(sum) : sum;
    }
  }
}
