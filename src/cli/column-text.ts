/**
 * Columns and values as words of a command line: `bid:decimal(4):index:default=0`, and the key in
 * `get 4242`.
 */
import type { ColumnDefinition, ColumnSpec, ColumnValue } from "../schema/column.ts";
import { type AnyColumn, type ColumnBuilder, type ColumnRole, t } from "../schema/column.ts";
import { nearestName } from "../schema/nearest.ts";
import { typeName } from "../schema/value.ts";
import { UsageError } from "./arguments.ts";

/** The types, as usage and errors list them. */
export const typeList: string =
  "bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 decimal(scale) timestamp string(bytes) " +
  "bytes(bytes) enum(label,label,…)";
export const modifierList: string = "pk index unique nullable default=VALUE alias=NAME,NAME";

const plainTypes: Readonly<Record<string, () => AnyColumn>> = {
  bool: t.bool,
  i8: t.i8,
  i16: t.i16,
  i32: t.i32,
  i64: t.i64,
  u8: t.u8,
  u16: t.u16,
  u32: t.u32,
  u64: t.u64,
  f32: t.f32,
  f64: t.f64,
  timestamp: t.timestamp,
};
const sizedTypes: Readonly<Record<string, (size: number) => AnyColumn>> = {
  decimal: t.decimal,
  string: t.string,
  bytes: t.bytes,
};
const modifierNames = ["pk", "index", "unique", "nullable", "default", "alias"];

/** The column that `text` declares. **Throws** `UsageError`. */
export function parseColumn(text: string): readonly [name: string, spec: ColumnSpec] {
  const [name = "", type, ...modifiers] = splitOutside(text, ":");
  if (name === "" || type === undefined) {
    throw new UsageError(`"${text}" is no column; a column is name:type[:option…]`);
  }
  let column: ColumnBuilder<unknown, unknown, ColumnRole> = parseType(name, type);
  for (const modifier of modifiers) column = modify(column, name, modifier);
  return [name, column.spec];
}

function parseType(name: string, text: string): AnyColumn {
  const [, type = "", inside] = /^([a-z0-9]+)(?:\((.*)\))?$/s.exec(text) ?? [];
  const plain = Object.hasOwn(plainTypes, type) ? plainTypes[type] : undefined;
  if (plain !== undefined && inside === undefined) return plain();
  const sized = Object.hasOwn(sizedTypes, type) ? sizedTypes[type] : undefined;
  if (sized !== undefined && inside !== undefined && /^\d{1,6}$/.test(inside)) {
    return sized(Number(inside));
  }
  if (type === "enum" && inside !== undefined) {
    return t.enum(splitOutside(inside, ",").map(unquote));
  }
  const known = [...Object.keys(plainTypes), ...Object.keys(sizedTypes), "enum"];
  const near = known.includes(type) ? undefined : nearestName(type, known);
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  throw new UsageError(`column "${name}": "${text}" is no type${hint}; types are ${typeList}`);
}

function modify(column: AnyColumn, name: string, text: string): AnyColumn {
  const equals = text.indexOf("=");
  const word = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? undefined : text.slice(equals + 1);
  if (value === undefined) {
    if (word === "pk") return column.primaryKey();
    if (word === "index") return column.index();
    if (word === "unique") return column.unique();
    if (word === "nullable") return column.nullable();
  } else {
    if (word === "alias") return column.alias(...value.split(","));
    if (word === "default") return column.default(valueOfText(column.spec, unquote(value)));
  }
  const near = modifierNames.includes(word) ? undefined : nearestName(word, modifierNames);
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  throw new UsageError(
    `column "${name}": "${text}" is no option${hint}; options are ${modifierList}`,
  );
}

/** Splits at `separator` where it stands outside parentheses and double quotes. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (char === "(") depth += 1;
    else if (char === ")") depth -= 1;
    else if (char === separator && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function unquote(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1) : text;
}

/**
 * What `text` says as a value of a column, in the forms that ingest takes: bytes as hexadecimal
 * digits, timestamps as milliseconds. Text that is no such value is given back as it is, for the
 * table to refuse in its own words.
 */
export function valueOfText(
  column: Pick<ColumnDefinition, "kind">,
  text: string,
): Exclude<ColumnValue, null> {
  switch (column.kind) {
    case "bool":
      return /^(?:true|t|1)$/.test(text) ? true : /^(?:false|f|0)$/.test(text) ? false : text;
    case "f32":
    case "f64":
      return text.trim() !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
    case "bytes":
      return /^(?:[0-9a-f]{2})*$/i.test(text) ? new Uint8Array(Buffer.from(text, "hex")) : text;
    case "string":
    case "enum":
    case "decimal":
      return text;
    default: {
      if (!/^[+-]?\d{1,20}$/.test(text)) return text;
      const number = Number(text);
      return Number.isSafeInteger(number) ? number : BigInt(text.replace("+", ""));
    }
  }
}

/** A column as the catalog lists it. */
export interface ColumnSummary {
  readonly name: string;
  /** As a declaration writes it. */
  readonly type: string;
  readonly primaryKey: boolean;
  readonly indexed: boolean;
  readonly unique: boolean;
  readonly nullable: boolean;
  /** As text; `undefined` when there is none. */
  readonly default: string | undefined;
  readonly aliases: readonly string[];
}

/** What there is to say about a column. */
export function describeColumn(column: ColumnDefinition): ColumnSummary {
  const { name, primaryKey, indexed, unique, nullable, aliases } = column;
  const fallback = column.default;
  return {
    name,
    type: column.kind === "enum" ? `enum(${column.labels.join(",")})` : typeName(column),
    primaryKey,
    indexed,
    unique,
    nullable,
    default:
      fallback instanceof Uint8Array
        ? Buffer.from(fallback).toString("hex")
        : fallback === undefined || fallback === null
          ? undefined
          : String(fallback),
    aliases,
  };
}

/** The words behind a column's type in a list for people. */
export function describeModifiers(column: ColumnSummary): string {
  const words: string[] = [];
  if (column.primaryKey) words.push("primary key");
  if (column.unique) words.push("unique");
  else if (column.indexed) words.push("index");
  if (column.nullable) words.push("nullable");
  if (column.default !== undefined) words.push(`default ${column.default}`);
  if (column.aliases.length > 0) words.push(`also ${column.aliases.join(", ")}`);
  return words.join(", ");
}
