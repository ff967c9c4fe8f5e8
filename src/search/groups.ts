/**
 * Groups as the engine gives them: from records to objects, and what is asked of the groups
 * themselves, which are few beside their rows: `having`, order and window.
 */
import { AerostoreError } from "../errors.ts";
import { parseError } from "../query/parse/lexer.ts";
import type { ResolvedAggregation, ResolvedKey, ResolvedSelect } from "../query/plan/aggregate.ts";
import type { Values } from "../query/plan/bound-cardinality.ts";
import { countOf } from "../query/plan/planner.ts";
import type { Clause, Operand } from "../query/query.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import { formatScaled } from "../schema/decimal.ts";
import type { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { readValue } from "../schema/value.ts";

/** A value of a group; a cell is its corner in the south-west, `[lat, lon]` in degrees. */
export type GroupValue = ColumnValue | readonly [number, number];

/** Values of a group by name. */
export type Group = Readonly<Record<string, GroupValue>>;

/** The group whose record begins at byte `at`. */
export function readGroup(
  table: AnyTable,
  aggregation: ResolvedAggregation,
  memory: Memory,
  at: number,
): Group {
  const group: Record<string, GroupValue> = {};
  const nulls = memory.u32[at >> 2] ?? 0;
  for (const [index, key] of aggregation.keys.entries()) {
    const isNull = ((nulls >>> index) & 1) === 1;
    group[key.as] = isNull ? null : keyValue(table, key, memory, at + key.word * 8);
  }
  for (const select of aggregation.selects) {
    group[select.as] = selectValue(table, select, memory, at + select.offset);
  }
  return group;
}

function keyValue(table: AnyTable, key: ResolvedKey, memory: Memory, at: number): GroupValue {
  const column = columnAt(table, key.column.position);
  switch (key.kind) {
    case "column":
      return readValue(memory, at, column);
    case "bucket":
      return readValue(memory, at, wideOf(column));
    case "cell": {
      const [lat, lon] = [memory.i64[at >> 3] ?? 0n, memory.i64[(at >> 3) + 1] ?? 0n];
      return [degreesOf(lat, key.degrees), degreesOf(lon, key.degrees)];
    }
  }
}

/** Without what multiplying adds behind the last digit. */
function degreesOf(cell: bigint, degrees: number): number {
  return Number((Number(cell) * degrees).toPrecision(15));
}

/** The same column with all bits of a word. */
function wideOf(column: ColumnDefinition): ColumnDefinition {
  switch (column.kind) {
    case "f32":
      return { ...column, kind: "f64" };
    case "i8":
    case "i16":
    case "i32":
    case "u8":
    case "u16":
    case "u32":
      return { ...column, kind: "i64" };
    default:
      return column;
  }
}

function selectValue(
  table: AnyTable,
  select: ResolvedSelect,
  memory: Memory,
  at: number,
): GroupValue {
  const count = Number(memory.u64[at >> 3] ?? 0n);
  const column = columnAt(table, select.column.position);
  switch (select.function) {
    case "count":
    case "distinct":
      return count;
    case "sum":
      return isFloat(column) ? (memory.f64[(at >> 3) + 1] ?? 0) : sumOf(column, memory, at);
    case "avg": {
      if (count === 0) return null;
      if (isFloat(column)) return (memory.f64[(at >> 3) + 1] ?? 0) / count;
      return ratio(wideSum(memory, at), BigInt(count) * 10n ** BigInt(column.scale));
    }
    case "min":
    case "max":
    case "quantile":
      return count === 0 ? null : readValue(memory, at + 8, column);
  }
}

function columnAt(table: AnyTable, position: number): ColumnDefinition {
  return table.columns[position] ?? table.key;
}

function isFloat({ kind }: ColumnDefinition): boolean {
  return kind === "f32" || kind === "f64";
}

/** The 128 bits behind the number of values. */
function wideSum(memory: Memory, at: number): bigint {
  return ((memory.i64[(at >> 3) + 2] ?? 0n) << 64n) | (memory.u64[(at >> 3) + 1] ?? 0n);
}

/** Decimals of up to 15 digits are numbers, longer ones text; integers are numbers while safe. */
function sumOf(column: ColumnDefinition, memory: Memory, at: number): number | bigint | string {
  const sum = wideSum(memory, at);
  if (column.kind === "decimal") {
    const digits = formatScaled(sum, column.scale);
    const isShort = sum < 10n ** 15n && sum > -(10n ** 15n);
    return isShort || column.reads === "number" ? Number(digits) : digits;
  }
  if (column.reads === "bigint") return sum;
  const number = Number(sum);
  return Number.isSafeInteger(number) || column.reads === "number" ? number : sum;
}

/** The number nearest to `dividend / divisor`, which is above 0; ties to even. */
export function ratio(dividend: bigint, divisor: bigint): number {
  const magnitude = dividend < 0n ? -dividend : dividend;
  if (magnitude === 0n) return 0;
  const bits = (value: bigint): number => value.toString(2).length;
  // 64 bits or more of the quotient, the last one set where there is a rest: it is rounded once.
  const shift = Math.max(0, 64 + bits(divisor) - bits(magnitude));
  const scaled = magnitude << BigInt(shift);
  const quotient = scaled / divisor;
  const sticky = quotient * divisor === scaled ? quotient : quotient | 1n;
  const number = Number(sticky) / 2 ** shift;
  return dividend < 0n ? -number : number;
}

/** The groups that `having` keeps, in order and within the window. */
export function arrange(
  groups: readonly Group[],
  aggregation: ResolvedAggregation,
  values: Values,
): readonly Group[] {
  const { of, keys } = aggregation;
  const compare = comparer(aggregation);
  const kept = groups.filter((group) =>
    of.having.every((clause) => holds(group, clause, values, compare)),
  );
  const order = of.sort.map(({ column, descending }) => ({
    name: column.text,
    descending: descending !== of.reverse,
  }));
  // Without an order of their own, and at a tie, groups are in the order of their keys.
  for (const { as } of keys) order.push({ name: as, descending: of.reverse });
  kept.sort((a, b) => {
    for (const { name, descending } of order) {
      const compared = compare(name, a[name] ?? null, b[name] ?? null);
      if (compared !== 0) return descending ? -compared : compared;
    }
    return 0;
  });
  const limit = countOf(of.limit, values);
  const offset = countOf(of.offset, values);
  return kept.slice(offset, limit === 0 ? undefined : offset + limit);
}

/** Compares values of one name. */
type Compare = (name: string, a: GroupValue, b: GroupValue) => number;

/** Values of enums are in the order of their declaration, all others in their own. */
function comparer({ keys, selects }: ResolvedAggregation): Compare {
  const labels = new Map<string, readonly string[]>();
  for (const key of keys) if (key.column.kind === "enum") labels.set(key.as, key.column.labels);
  for (const select of selects) {
    const isLabel = select.function === "min" || select.function === "max";
    if (isLabel && select.column.kind === "enum") labels.set(select.as, select.column.labels);
  }
  return (name, a, b) => {
    const known = labels.get(name);
    if (known === undefined || typeof a !== "string" || typeof b !== "string") {
      return compareValues(a, b);
    }
    return known.indexOf(a) - known.indexOf(b);
  };
}

/** Null is after all others. */
function compareValues(a: GroupValue, b: GroupValue): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  if (Array.isArray(a) && Array.isArray(b)) return a[0] - b[0] || a[1] - b[1];
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (typeof a === "string" && typeof b === "string") {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  const [left, right] = [Number(a), Number(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function holds(group: Group, clause: Clause, values: Values, compare: Compare): boolean {
  const value = group[clause.column.text] ?? null;
  if (clause.kind === "null") return (value === null) === clause.expected;
  if (value === null) return false;
  const order = (operand: Operand): number =>
    compare(clause.column.text, value, asked(value, operand, values));
  switch (clause.kind) {
    case "compare":
      return isOrder(clause.operator, order(clause.value));
    case "range":
      return order(clause.low) >= 0 && order(clause.high) < 0;
    case "in":
      return clause.values.some((each) => order(each) === 0);
    case "truth":
      return (Number(value) !== 0) === clause.expected;
    case "match": {
      const { position } = clause.column;
      throw parseError("groups are not matched with patterns", position, "= < > in range null");
    }
  }
}

function isOrder(operator: string, order: number): boolean {
  switch (operator) {
    case "=":
      return order === 0;
    case "!=":
      return order !== 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    default:
      return order >= 0;
  }
}

/** What a value is compared with, in its type. */
function asked(value: GroupValue, operand: Operand, values: Values): GroupValue {
  const given = operand.kind === "value" ? operand.value : values[operand.name];
  if (typeof value === "string" && typeof given === "string") return given;
  if (typeof value === "number" || typeof value === "bigint") {
    const number = typeof given === "bigint" ? given : Number(given);
    if (given !== undefined && given !== "" && !Number.isNaN(Number(number))) return number;
  }
  if (typeof value === "boolean") return String(given) === "true" || String(given) === "1";
  throw new AerostoreError(
    "INVALID_VALUE",
    `-having compares ${typeof value === "object" ? "a cell" : String(value)} with ` +
      `${String(given)}, which has another type`,
    { value: given },
  );
}
