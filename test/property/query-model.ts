/**
 * Random tables, rows and queries from small domains, and what a query means, spelled out slowly:
 * exact fractions for numbers, a regular expression for patterns, a sort of all rows. Shares no
 * code with the planner or the engine.
 */
import fc from "fast-check";
import type { ColumnDefinition, ColumnSpec, ColumnValue, Kind } from "../../src/schema/column.ts";
import { type AnyTable, buildTable } from "../../src/schema/table.ts";

export type ModelRow = Readonly<Record<string, ColumnValue>>;
export type ModelValue = string | number | bigint | boolean | Uint8Array;
/** A clause in array form. */
export type ModelClause = readonly [operator: string, column: string, ...arguments: unknown[]];

/** A query in object form. */
export interface ModelQuery {
  readonly compare: readonly ModelClause[];
  readonly or?: readonly (readonly ModelClause[])[];
  readonly sort?: readonly string[];
  readonly desc?: boolean;
  readonly limit?: number;
  readonly offset?: number;
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

const kinds: readonly Kind[] = [
  ...(["bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64"] as const),
  ...(["decimal", "timestamp", "string", "bytes", "enum"] as const),
];
const keyKinds: readonly Kind[] = ["i8", "u32", "i64", "decimal", "timestamp", "string", "enum"];

const texts = [
  "",
  "a",
  "A",
  "ab",
  "aB",
  "abc",
  "b",
  "é",
  "5",
  "a*",
  "abcd",
  "aBcX",
  "[a",
  "a\\",
  "\u{1F600}",
];
const patterns = [
  ...["", "*", "a*", "A*", "ab", "*b", "*B*", "a?", "?", "[a-b]*", "[^a]*", "é*", "5*", "a\\*"],
  ...["ab*c", "abcdefgh*", "[a", "**", "[]a]*", "a[b", "\\", "a\\", "\u{1F600}*", "*?b", "ABCD*"],
];
const labels = ["low", "mid", "high"];

function specOf(kind: Kind): fc.Arbitrary<ColumnSpec> {
  const base = { ...plain, kind, labels: kind === "enum" ? labels : [] };
  const scale = kind === "decimal" ? fc.constantFrom(0, 2, 6) : fc.constant(0);
  const isText = kind === "string" || kind === "bytes";
  const limit = isText ? fc.constantFrom(1, 3, 8, 24) : fc.constant(0);
  return fc.record({ scale, limit }).map((sizes) => ({ ...base, ...sizes }));
}

/** A table with a key `id` and columns `c0`, `c1`, … */
export const arbitraryTable: fc.Arbitrary<AnyTable> = arbitraryTableNamed("model");

export function arbitraryTableNamed(name: string): fc.Arbitrary<AnyTable> {
  return fc
    .tuple(
      fc.constantFrom(...keyKinds).chain(specOf),
      fc.boolean(),
      fc.array(
        fc
          .constantFrom(...kinds)
          .chain(specOf)
          .chain((spec) =>
            fc
              .record({ nullable: fc.boolean(), indexed: fc.boolean() })
              .map((flags) => ({ ...spec, ...flags })),
          ),
        { minLength: 1, maxLength: 4 },
      ),
    )
    .map(([key, indexed, specs]) =>
      buildTable(name, [
        ["id", { ...key, primaryKey: true, indexed }],
        ...specs.map((spec, index) => [`c${index}`, spec] as const),
      ]),
    );
}

/** Values that the column can hold, few enough to collide. */
export function arbitraryStored(column: ColumnDefinition): fc.Arbitrary<ModelValue> {
  switch (column.kind) {
    case "bool":
      return fc.boolean();
    case "enum":
      return fc.constantFrom(...column.labels);
    case "string":
      return fc.constantFrom(...texts.filter((text) => Buffer.byteLength(text) <= column.limit));
    case "bytes":
      return fc
        .constantFrom(...texts.filter((text) => Buffer.byteLength(text) <= column.limit))
        .map((text) => new Uint8Array(Buffer.from(text)));
    case "f32":
      return fc.constantFrom(-Infinity, -1.5, 0, Math.fround(0.1), 3, Math.fround(1e30), Infinity);
    case "f64":
      return fc.constantFrom(-Infinity, -1.5, 0, 0.1, 3, 1e300, Infinity);
    case "decimal":
      return fc.constantFrom(-3, 0, 1, 2, ...(column.scale > 0 ? [0.5, 1.25, -0.01] : []));
    case "timestamp":
      return fc.constantFrom(-1, 0, 1, 1_700_000_000_000);
    default: {
      const [min, max] = rangeOf(column.kind);
      return fc.constantFrom(0, 1, 2, 3, narrow(min), narrow(max), narrow(max - 1n));
    }
  }
}

function rangeOf(kind: Kind): readonly [bigint, bigint] {
  const bits = BigInt(kind.slice(1));
  return kind.startsWith("u")
    ? [0n, 2n ** bits - 1n]
    : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

export function isNumeric(column: ColumnDefinition): boolean {
  return !["bool", "enum", "string", "bytes"].includes(column.kind);
}

/** Values to compare with: those the column holds, and those it cannot. */
function arbitraryOperand(column: ColumnDefinition): fc.Arbitrary<ModelValue> {
  const stored = arbitraryStored(column);
  if (column.kind === "string") {
    return fc.oneof(stored, fc.constantFrom<ModelValue>(...texts, 5, "abcdefghijklmnopqrstuvwxyz"));
  }
  if (column.kind === "bytes") return fc.oneof(stored, fc.constantFrom<ModelValue>(...texts));
  if (!isNumeric(column)) return stored;
  const strange: readonly ModelValue[] = [
    ...[1.5, -0.5, -0, 300, -300, 1e10, 1e300, Infinity, -Infinity, 0.1, 0.505],
    ...[2n ** 64n, 2n ** 63n, -(2n ** 63n) - 1n, 2n ** 53n + 1n],
    ...["1", "1.5", "-0", "1e2", "0.0000001", "99999999999999999999", "-1e400", "2.50"],
  ];
  const isSame = (value: ModelValue): boolean => column.kind !== "bytes" || value !== "";
  return fc.oneof(stored.filter(isSame), fc.constantFrom(...strange));
}

/** Rows with distinct keys. */
/** A key has at least one byte. */
function isKey(value: ColumnValue): boolean {
  return value instanceof Uint8Array ? value.length > 0 : value !== "";
}

export function arbitraryRows(table: AnyTable): fc.Arbitrary<readonly ModelRow[]> {
  const columns = Object.fromEntries(
    table.columns.map((column) => {
      const stored: fc.Arbitrary<ColumnValue> = arbitraryStored(column);
      const value = column.position === 0 ? stored.filter(isKey) : stored;
      return [column.name, column.nullable ? fc.option(value, { freq: 3 }) : value];
    }),
  );
  return fc.uniqueArray(fc.record(columns), {
    maxLength: 24,
    selector: (row) => String(row["id"]),
  });
}

function arbitraryClause(table: AnyTable): fc.Arbitrary<ModelClause> {
  return fc.constantFrom(...table.columns).chain((column) => {
    const { name } = column;
    const operand = arbitraryOperand(column);
    const compare = fc.constantFrom("=", "==", "!=", "<>", "<", "<=", ">", ">=");
    const choices: fc.Arbitrary<ModelClause>[] = [
      fc.tuple(compare, fc.constant(name), operand),
      fc.tuple(compare, fc.constant(name), operand),
      fc.tuple(fc.constant("range"), fc.constant(name), operand, operand),
      fc.tuple(fc.constant("in"), fc.constant(name), fc.array(operand, { maxLength: 5 })),
      fc.tuple(fc.constantFrom("null", "notnull"), fc.constant(name)),
    ];
    if (column.kind === "string") {
      const match = fc.constantFrom("match", "notmatch", "match_case", "NOTMATCH_case");
      choices.push(fc.tuple(match, fc.constant(name), fc.constantFrom(...patterns)));
    }
    if (column.kind === "bool" || isNumeric(column)) {
      choices.push(fc.tuple(fc.constantFrom("true", "false"), fc.constant(name)));
    }
    return fc.oneof(...choices);
  });
}

export function arbitraryQuery(table: AnyTable): fc.Arbitrary<ModelQuery> {
  const clause = arbitraryClause(table);
  // Many clauses find nothing, or contradict each other: few are the better test.
  const clauses = fc.oneof(
    { weight: 4, arbitrary: fc.array(clause, { maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array(clause, { maxLength: 4 }) },
  );
  const key = fc
    .tuple(fc.constantFrom("", "-"), fc.constantFrom(...table.columns))
    .map(([sign, { name }]) => sign + name);
  return fc.record(
    {
      compare: clauses,
      or: fc.array(fc.array(clause, { minLength: 1, maxLength: 2 }), { maxLength: 4 }),
      sort: fc.array(key, { maxLength: 2 }),
      desc: fc.boolean(),
      limit: fc.nat(6),
      offset: fc.nat(4),
    },
    { requiredKeys: ["compare"] },
  );
}

export interface ModelCase {
  readonly table: AnyTable;
  readonly rows: readonly ModelRow[];
  readonly query: ModelQuery;
}

/** A table with rows, and a query of it. */
export const arbitraryCase: fc.Arbitrary<ModelCase> = arbitraryTable.chain((table) =>
  fc.record({
    table: fc.constant(table),
    rows: arbitraryRows(table),
    query: arbitraryQuery(table),
  }),
);

/** Whether the query finds the row, apart from its window. */
export function finds(table: AnyTable, query: ModelQuery, row: ModelRow): boolean {
  const all = (clauses: readonly ModelClause[]): boolean =>
    clauses.every((clause) => holds(table, clause, row));
  return all(query.compare) && (query.or === undefined || query.or.some(all));
}

function holds(table: AnyTable, clause: ModelClause, row: ModelRow): boolean {
  const [written, name, ...given] = clause;
  const column = table.find(name) ?? table.key;
  const value = row[column.name] ?? null;
  const operator = written.toLowerCase();
  if (operator === "null") return value === null;
  if (operator === "notnull") return value !== null;
  if (value === null) return false;
  const [first, second] = given;
  const order = (operand: unknown): number => compareValues(column, value, operand);
  switch (operator) {
    case "=":
    case "==":
      return order(first) === 0;
    case "!=":
    case "<>":
      return order(first) !== 0;
    case "<":
      return order(first) < 0;
    case "<=":
      return order(first) <= 0;
    case ">":
      return order(first) > 0;
    case ">=":
      return order(first) >= 0;
    case "range":
      return order(first) >= 0 && order(second) < 0;
    case "in":
      return Array.isArray(first) && first.some((each) => order(each) === 0);
    case "true":
      return Number(value) !== 0;
    case "false":
      return Number(value) === 0;
    case "match":
    case "notmatch":
      return matches(String(value), String(first), true) === (operator === "match");
    case "match_case":
    case "notmatch_case":
      return matches(String(value), String(first), false) === (operator === "match_case");
    default:
      throw new Error(`no such operator: ${operator}`);
  }
}

/** The order of a row's value and an operand, by what they mean. */
function compareValues(column: ColumnDefinition, value: ColumnValue, operand: unknown): number {
  switch (column.kind) {
    case "string":
      return Buffer.compare(Buffer.from(String(value)), Buffer.from(String(operand)));
    case "bytes":
      return Buffer.compare(bytesOf(value), bytesOf(operand));
    case "enum":
      return column.labels.indexOf(String(value)) - column.labels.indexOf(String(operand));
    case "bool":
      return Number(value) - Number(operand);
    case "f32":
    case "f64":
      return compareFloats(column.kind, Number(value), operand);
    default:
      return compareNumbers(value, operand);
  }
}

function compareFloats(kind: "f32" | "f64", value: number, operand: unknown): number {
  const wide = Number(operand);
  const isFinite = Number.isFinite(wide);
  const near = kind === "f32" && Number.isFinite(Math.fround(wide)) ? Math.fround(wide) : wide;
  // Digits that are too large for a float are still finite.
  if (!isFinite && typeof operand !== "number" && !Number.isFinite(value)) {
    if (Math.sign(value) === Math.sign(wide)) return Math.sign(value);
  }
  return value < near ? -1 : value > near ? 1 : 0;
}

function compareNumbers(a: unknown, b: unknown): number {
  if (typeof b === "number" && !Number.isFinite(b)) return b > 0 ? -1 : 1;
  const [x, xScale] = fractionOf(String(a));
  const [y, yScale] = fractionOf(String(b));
  const [left, right] = [x * 10n ** BigInt(yScale), y * 10n ** BigInt(xScale)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Decimal text as an integer and a power of ten to divide it by. */
function fractionOf(text: string): readonly [digits: bigint, scale: number] {
  const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const scale = fraction.length - Number(exponent);
  const digits = BigInt(`${whole === "-" ? "-0" : whole}${fraction}`);
  return scale >= 0 ? [digits, scale] : [digits * 10n ** BigInt(-scale), 0];
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(value instanceof Uint8Array ? value : Buffer.from(String(value)));
}

/** The pattern as a regular expression over code points. */
function matches(value: string, pattern: string, fold: boolean): boolean {
  const lower = (text: string): string =>
    fold ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
  const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/gu, "\\$&");
  const points = [...lower(pattern)];
  let source = "";
  for (let at = 0; at < points.length; at++) {
    const point = points[at] ?? "";
    if (point === "*") source += ".*";
    else if (point === "?") source += ".";
    else if (point === "\\" && at + 1 < points.length) source += literal(points[++at] ?? "");
    else if (point === "[") {
      const negated = points[at + 1] === "^";
      const from = at + (negated ? 2 : 1);
      const close = points.indexOf("]", from + 1);
      if (close < 0) {
        source += "\\[";
        continue;
      }
      const inside = points.slice(from, close);
      const isRange = inside.length === 3 && inside[1] === "-";
      const members = isRange
        ? `${literal(inside[0] ?? "")}-${literal(inside[2] ?? "")}`
        : inside.map(literal).join("");
      source += `[${negated ? "^" : ""}${members}]`;
      at = close;
    } else source += literal(point);
  }
  return new RegExp(`^${source}$`, "su").test(lower(value));
}

/** The order of two rows: the sort columns, nulls last ascending, then the key. */
export function compareRows(table: AnyTable, query: ModelQuery, a: ModelRow, b: ModelRow): number {
  const keys = [...(query.sort ?? []), table.key.name];
  for (const key of keys) {
    const descending = key.startsWith("-");
    const column = table.find(descending ? key.slice(1) : key) ?? table.key;
    const [x, y] = [a[column.name] ?? null, b[column.name] ?? null];
    const order =
      x === null || y === null
        ? Number(x === null) - Number(y === null)
        : compareValues(column, x, y);
    if (order !== 0) return descending !== (query.desc ?? false) ? -order : order;
  }
  return 0;
}

/** All rows that the query finds, in order, before the window. */
export function matchingRows({ table, rows, query }: ModelCase): readonly ModelRow[] {
  return rows
    .filter((row) => finds(table, query, row))
    .sort((a, b) => compareRows(table, query, a, b));
}

export function windowOf(query: ModelQuery, rows: readonly ModelRow[]): readonly ModelRow[] {
  const from = query.offset ?? 0;
  const limit = query.limit ?? 0;
  return rows.slice(from, limit === 0 ? undefined : from + limit);
}
