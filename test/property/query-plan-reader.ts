/**
 * Reads plan bytes by the letter of docs/internals/query.md and runs them over rows in memory, one
 * clause at a time. It stands in for the engine where the question is whether a plan means what its
 * query means.
 */
import { expect } from "bun:test";
import type { ColumnDefinition, ColumnValue } from "../../src/schema/column.ts";
import type { AnyTable } from "../../src/schema/table.ts";
import type { ModelRow } from "./query-model.ts";

interface ReadOperand {
  readonly position: "at" | "above" | "belowAll";
  readonly value: number | bigint | Buffer;
}

interface ReadClause {
  readonly operator: string;
  readonly flags: number;
  readonly column: ColumnDefinition;
  readonly operands: readonly ReadOperand[];
}

export interface ReadPlan {
  readonly key: ColumnDefinition;
  readonly arms: readonly { readonly kind: string; readonly clauses: readonly ReadClause[] }[];
  readonly residual: readonly ReadClause[];
  readonly groups: readonly (readonly ReadClause[])[];
  readonly sorts: readonly { readonly column: ColumnDefinition; readonly descending: boolean }[];
  readonly countOnly: boolean;
  readonly walk: boolean;
  readonly keyDescending: boolean;
  readonly offset: number;
  readonly limit: number;
}

const armKinds = ["", "scan", "key", "index"];
const operators = ["", "equal", "differ", "between", "member", "null", "notNull", "like", "unlike"];
const positions = ["at", "above", "belowAll"] as const;

export function readPlan(bytes: Uint8Array, table: AnyTable): ReadPlan {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number): number => view.getUint16(at, true);
  const u32 = (at: number): number => view.getUint32(at, true);
  const column = (position: number): ColumnDefinition => {
    const found = table.columns[position];
    if (found === undefined) throw new Error(`no column ${position}`);
    return found;
  };
  expect(Buffer.from(bytes.subarray(0, 4)).toString()).toBe("AEQP");
  expect([u16(4), u32(8), u32(12), u16(16)]).toEqual([
    2,
    bytes.length,
    table.imageSize,
    table.columns.length,
  ]);
  const [armCount, groupCount, sortCount] = [u16(18), u16(20), u16(22)];
  const [clauseCount, residualCount, operandCount, textSize] = [u32(24), u32(28), u32(32), u32(36)];
  const groupsAt = 80 + armCount * 8;
  const sortsAt = groupsAt + groupCount * 8;
  const clausesAt = sortsAt + sortCount * 8 + u16(64) * 24 + u16(66) * 8 + (u16(68) + u16(70)) * 16;
  const operandsAt = clausesAt + clauseCount * 16;
  const textAt = operandsAt + operandCount * 16;
  expect(textAt + textSize).toBe(bytes.length);

  const operand = (index: number, of: ColumnDefinition): ReadOperand => {
    const at = operandsAt + index * 16;
    const position = positions[view.getUint8(at)] ?? "at";
    if (of.kind === "string" || of.kind === "bytes") {
      const start = textAt + Number(view.getBigUint64(at + 8, true));
      expect(start + u32(at + 4)).toBeLessThanOrEqual(bytes.length);
      return { position, value: Buffer.from(bytes.slice(start, start + u32(at + 4))) };
    }
    expect(u32(at + 4)).toBe(0);
    if (of.kind === "f32" || of.kind === "f64") {
      return { position, value: view.getFloat64(at + 8, true) };
    }
    const isUnsigned = ["bool", "enum", "u8", "u16", "u32", "u64"].includes(of.kind);
    const value = isUnsigned ? view.getBigUint64(at + 8, true) : view.getBigInt64(at + 8, true);
    return { position, value };
  };
  const clauses = Array.from({ length: clauseCount }, (_, index): ReadClause => {
    const at = clausesAt + index * 16;
    const of = column(u16(at + 2));
    const [first, count] = [u32(at + 4), u32(at + 8)];
    return {
      operator: operators[view.getUint8(at)] ?? "",
      flags: view.getUint8(at + 1),
      column: of,
      operands: Array.from({ length: count }, (_, offset) => operand(first + offset, of)),
    };
  });
  let taken = 0;
  const take = (count: number): readonly ReadClause[] => clauses.slice(taken, (taken += count));
  const arms = Array.from({ length: armCount }, (_, index) => {
    const at = 80 + index * 8;
    const kind = armKinds[view.getUint8(at)] ?? "";
    const own = take(u32(at + 4));
    checkArm(kind, column(u16(at + 2)), own);
    return { kind, column: column(u16(at + 2)), clauses: own };
  });
  const residual = take(residualCount);
  const groups = Array.from({ length: groupCount }, (_, index) => take(u32(groupsAt + index * 8)));
  expect(taken).toBe(clauseCount);
  const sorts = Array.from({ length: sortCount }, (_, index) => {
    const at = sortsAt + index * 8;
    return { column: column(u16(at)), descending: u16(at + 2) === 1 };
  });
  const flags = u16(6);
  if ((flags & 2) !== 0) {
    expect(arms.length).toBe(1);
    expect(arms[0]?.kind).not.toBe("scan");
    expect(arms[0]?.column).toBe(sorts[0]?.column);
  }
  return {
    key: table.key,
    arms,
    residual,
    groups,
    sorts,
    countOnly: (flags & 1) !== 0,
    walk: (flags & 2) !== 0,
    keyDescending: (flags & 4) !== 0,
    offset: Number(view.getBigUint64(40, true)),
    limit: Number(view.getBigUint64(48, true)),
  };
}

/** An arm has what its kind takes. */
function checkArm(kind: string, column: ColumnDefinition, clauses: readonly ReadClause[]): void {
  const allowed: Readonly<Record<string, readonly string[]>> = {
    scan: [],
    key: ["equal", "member"],
    index: ["equal", "member", "between", "null", "notNull"],
  };
  for (const clause of clauses) {
    expect(clause.column).toBe(column);
    expect(allowed[kind]).toContain(clause.operator);
  }
  if (kind === "key" || kind === "scan") expect(column.position).toBe(0);
  if (kind === "index") expect(column.indexed).toBeTrue();
}

/** The rows of the plan before its window, in its order; without sorts in any order. */
export function runPlan(plan: ReadPlan, rows: readonly ModelRow[]): readonly ModelRow[] {
  const all = (clauses: readonly ReadClause[], row: ModelRow): boolean =>
    clauses.every((clause) => clauseHolds(clause, row));
  const found = rows.filter(
    (row) =>
      plan.arms.some(
        ({ kind, clauses }) =>
          kind === "scan" || clauses.some((clause) => clauseHolds(clause, row)),
      ) &&
      all(plan.residual, row) &&
      (plan.groups.length === 0 || plan.groups.some((group) => all(group, row))),
  );
  return found.sort((a, b) => compareByPlan(plan, a, b));
}

function compareByPlan(plan: ReadPlan, a: ModelRow, b: ModelRow): number {
  if (plan.sorts.length === 0) return 0;
  const ties = { column: plan.key, descending: plan.keyDescending };
  for (const { column, descending } of [...plan.sorts, ties]) {
    const [x, y] = [storedOf(column, a), storedOf(column, b)];
    const order =
      x === null || y === null ? Number(x === null) - Number(y === null) : compareStored(x, y);
    if (order !== 0) return descending ? -order : order;
  }
  return 0;
}

function clauseHolds({ operator, flags, column, operands }: ReadClause, row: ModelRow): boolean {
  const value = storedOf(column, row);
  if (operator === "null") return value === null;
  if (value === null) return false;
  const [first, second] = operands;
  const order = (operand: ReadOperand | undefined): number => {
    if (operand === undefined) throw new Error("an operand is missing");
    return compareOperand(value, operand);
  };
  switch (operator) {
    case "notNull":
      return true;
    case "equal":
      return order(first) === 0;
    case "differ":
      return order(first) !== 0;
    case "member":
      return operands.some((operand) => order(operand) === 0);
    case "between": {
      const low = (flags & 1) === 0 ? 1 : order(first);
      const high = (flags & 2) === 0 ? -1 : order((flags & 1) === 0 ? first : second);
      return (
        (low > 0 || (low === 0 && (flags & 4) !== 0)) &&
        (high < 0 || (high === 0 && (flags & 8) !== 0))
      );
    }
    case "like":
    case "unlike":
      return (
        matches(String(row[column.name]), String(first?.value), (flags & 16) !== 0) ===
        (operator === "like")
      );
    default:
      throw new Error(`no such operator: ${operator}`);
  }
}

function compareOperand(value: number | bigint | Buffer, operand: ReadOperand): number {
  if (operand.position === "belowAll") return 1;
  const order = compareStored(value, operand.value);
  return operand.position === "above" && order === 0 ? -1 : order;
}

function compareStored(a: number | bigint | Buffer, b: number | bigint | Buffer): number {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A row's value as an image holds it. */
function storedOf(column: ColumnDefinition, row: ModelRow): number | bigint | Buffer | null {
  const value: ColumnValue = row[column.name] ?? null;
  if (value === null) return null;
  switch (column.kind) {
    case "string":
      return Buffer.from(String(value));
    case "bytes":
      return Buffer.from(value instanceof Uint8Array ? value : []);
    case "enum":
      return BigInt(column.labels.indexOf(String(value)));
    case "bool":
      return BigInt(Number(value));
    case "f32":
    case "f64":
      return Number(value);
    case "decimal":
      return BigInt(Math.round(Number(value) * 10 ** column.scale));
    default:
      return BigInt(Number.isSafeInteger(value) ? Number(value) : String(value));
  }
}

/** Patterns, by backtracking over code points. */
function matches(value: string, pattern: string, fold: boolean): boolean {
  const lower = (text: string): string[] => [
    ...(fold ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text),
  ];
  const match = (text: readonly string[], glob: readonly string[]): boolean => {
    const [head, ...rest] = glob;
    if (head === undefined) return text.length === 0;
    if (head === "*") return match(text, rest) || (text.length > 0 && match(text.slice(1), glob));
    const [point, ...more] = text;
    if (point === undefined) return false;
    if (head === "?") return match(more, rest);
    if (head === "\\" && rest.length > 0) return rest[0] === point && match(more, rest.slice(1));
    const close = head === "[" ? glob.indexOf("]", glob[1] === "^" ? 3 : 2) : -1;
    if (close < 0) return head === point && match(more, rest);
    const negated = glob[1] === "^";
    const members = glob.slice(negated ? 2 : 1, close);
    const isRange = members.length === 3 && members[1] === "-";
    const [low = "", , high = ""] = members;
    const inside = isRange ? low <= point && point <= high : members.includes(point);
    return inside !== negated && match(more, glob.slice(close + 1));
  };
  return match(lower(value), lower(pattern));
}
