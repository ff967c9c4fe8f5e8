/**
 * Aggregations after they met the table: which columns they are of, what the engine gives of each
 * group, and where in its record. `zig/query/aggregate.zig` writes these records.
 */
import { AerostoreError } from "../../errors.ts";
import { SearchFunction, SearchGroupKeyKind, searchFormat } from "../../ffi/constants.gen.ts";
import { nearestName } from "../../schema/nearest.ts";
import { describeValue, typeName } from "../../schema/value.ts";
import { parseError } from "../parse/lexer.ts";
import type { Aggregation, Function, GroupKey, Name, RawValue, Select } from "../query.ts";
import { placeOf } from "../resolve/bound.ts";
import { halvesOf } from "../resolve/index-key.ts";
import type { PlannerColumn, PlannerTable } from "../resolve/planner-table.ts";
import { findColumn } from "../resolve/term.ts";

/** Halves of a word, the low one first. */
type Halves = readonly [low: number, high: number];

interface ResolvedKeyBase {
  readonly as: string;
  readonly column: PlannerColumn;
  /** In the words of a record. */
  readonly word: number;
}

/** A part of the key of a group. */
export type ResolvedKey = ResolvedKeyBase &
  (
    | { readonly kind: "column" }
    | { readonly kind: "bucket"; readonly size: Halves }
    | {
        readonly kind: "cell";
        readonly second: PlannerColumn;
        readonly degrees: number;
        readonly size: Halves;
      }
  );

export interface ResolvedSelect {
  readonly as: string;
  readonly function: Function;
  readonly column: PlannerColumn;
  /** Whether it counts rows, whatever their values. */
  readonly isOfRows: boolean;
  readonly fraction: number;
  /** Bytes in a record: the number of values, then the value. */
  readonly offset: number;
}

export interface ResolvedAggregation {
  readonly keys: readonly ResolvedKey[];
  readonly selects: readonly ResolvedSelect[];
  readonly recordSize: number;
  /** What is asked of groups once they are there. */
  readonly of: Aggregation;
}

const wordSize = 8;

/**
 * **Throws** `UNKNOWN_FIELD`; `INVALID_VALUE` for a column that has no such value and for a size
 * that is not above 0; `PARSE_ERROR` for two values of one name.
 */
export function resolveAggregation(table: PlannerTable, of: Aggregation): ResolvedAggregation {
  const { groupKeyCountMax, selectCountMax, groupWordsMax } = searchFormat;
  checkCount(of.keys.length, groupKeyCountMax, "parts of a group");
  checkCount(of.selects.length, selectCountMax, "values of a group");
  let word = 1;
  const keys = of.keys.map((key): ResolvedKey => {
    const resolved = resolveKey(table, key, word);
    word += wordsOf(resolved);
    return resolved;
  });
  checkCount(word, groupWordsMax, "words of a group's key");
  let offset = word * wordSize;
  const selects = of.selects.map((select): ResolvedSelect => {
    const resolved = resolveSelect(table, select, offset);
    offset += sizeOf(resolved);
    return resolved;
  });
  const names = new Set<string>();
  for (const { as } of [...keys, ...selects]) {
    if (names.has(as))
      throw parseError(`two values of a group are ${as}`, undefined, "other names");
    names.add(as);
  }
  const asked = [...of.sort.map(({ column }) => column), ...of.having.map(({ column }) => column)];
  for (const name of asked) if (!names.has(name.text)) throw unknownName(table, name, names);
  return { keys, selects, recordSize: offset, of };
}

function checkCount(count: number, most: number, of: string): void {
  if (count > most) throw parseError(`${count} ${of} are too many`, undefined, `at most ${most}`);
}

function unknownName(table: PlannerTable, name: Name, names: ReadonlySet<string>): AerostoreError {
  const near = nearestName(name.text, names);
  const hint = near === undefined ? "" : `; did you mean "${near}"?`;
  return new AerostoreError(
    "UNKNOWN_FIELD",
    `the groups of ${table.name} have no value ${describeValue(name.text)}${hint}`,
    { table: table.name, column: name.text, position: name.position },
  );
}

function resolveKey(table: PlannerTable, key: GroupKey, word: number): ResolvedKey {
  const { as } = key;
  switch (key.kind) {
    case "column":
      return { kind: "column", as, column: findColumn(table, key.column), word };
    case "bucket": {
      const column = findColumn(table, key.column);
      if (!isNumber(column))
        throw refused(table, column, "no buckets; they are of numbers and times");
      return { kind: "bucket", as, column, word, size: bucketSize(table, column, key) };
    }
    case "cell": {
      const names = key.second === undefined ? undefined : [key.column, key.second];
      const [column, second] = names?.map((name) => findColumn(table, name)) ?? [];
      if (column === undefined || second === undefined) {
        throw unknownName(table, key.column, new Set(table.names()));
      }
      for (const each of [column, second]) {
        if (each.kind === "decimal" || isFloat(each)) continue;
        throw refused(table, each, "no degrees; cells are of decimals and floats");
      }
      const degrees = Number(key.size);
      if (!(degrees > 0 && Number.isFinite(degrees))) throw wrongSize(table, column, key);
      return { kind: "cell", as, column, second, degrees, word, size: floatHalves(degrees) };
    }
  }
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** In units of the column: scaled like its values, milliseconds of times. */
function bucketSize(
  table: PlannerTable,
  column: PlannerColumn,
  key: Extract<GroupKey, { kind: "bucket" }>,
): Halves {
  let size: RawValue = key.size;
  const time = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(size));
  if (time !== null && column.kind === "timestamp") {
    size = Number(time[1]) * (unitMs[time[2] ?? ""] ?? 1);
  }
  if (isFloat(column)) {
    const number = Number(size);
    if (number > 0 && Number.isFinite(number)) return floatHalves(number);
    throw wrongSize(table, column, key);
  }
  // A size is compared with the values of a wider column: 300 is a size for a u8, too.
  const wide = column.scale === 0 ? { ...column, kind: "i64" as const } : column;
  const place = placeOf(table, wide, size);
  if (place.kind !== "at" || place.value instanceof Uint8Array || place.value <= 0) {
    throw wrongSize(table, column, key);
  }
  return halvesOf(wide, place.value);
}

function wrongSize(
  table: PlannerTable,
  column: PlannerColumn,
  { size, position }: { readonly size: RawValue; readonly position: number | undefined },
): AerostoreError {
  const unit = column.scale === 0 ? "" : ` with at most ${column.scale} decimals`;
  return new AerostoreError(
    "INVALID_VALUE",
    `a bucket or cell of ${table.name}.${column.name} has the size ${describeValue(size)}; ` +
      `expected a number above 0${unit}`,
    { table: table.name, column: column.name, value: size, position },
  );
}

function resolveSelect(table: PlannerTable, select: Select, offset: number): ResolvedSelect {
  const { as, fraction, position } = select;
  const [key] = table.columns;
  const isOfRows = select.column === undefined;
  const column = isOfRows ? key : findColumn(table, select.column);
  if (column === undefined) throw parseError(`${as} has no column`, position, "a column");
  const needsNumber = ["sum", "avg", "quantile"].includes(select.function);
  if (needsNumber && !isNumber(column)) {
    throw refused(
      table,
      column,
      `no ${select.function}; count, min, max and distinct it has`,
      position,
    );
  }
  return { as, function: select.function, column, isOfRows, fraction, offset };
}

function refused(
  table: PlannerTable,
  column: PlannerColumn,
  what: string,
  position?: number,
): AerostoreError {
  return new AerostoreError(
    "INVALID_VALUE",
    `${table.name}.${column.name} (${typeName(column)}) has ${what}`,
    { table: table.name, column: column.name, position },
  );
}

function isNumber({ kind }: PlannerColumn): boolean {
  return kind !== "string" && kind !== "bytes" && kind !== "bool" && kind !== "enum";
}

function isFloat({ kind }: PlannerColumn): boolean {
  return kind === "f32" || kind === "f64";
}

function floatHalves(value: number): Halves {
  const bits = new Uint32Array(new Float64Array([value]).buffer);
  return [bits[0] ?? 0, bits[1] ?? 0];
}

/** Bytes of a value of the column, up to a whole word. */
function valueSize(column: PlannerColumn): number {
  const isText = column.kind === "string" || column.kind === "bytes";
  return isText ? Math.ceil((column.limit + 2) / wordSize) * wordSize : wordSize;
}

function wordsOf(key: ResolvedKey): number {
  if (key.kind === "cell") return 2;
  return key.kind === "bucket" ? 1 : valueSize(key.column) / wordSize;
}

function sizeOf(select: ResolvedSelect): number {
  switch (select.function) {
    case "count":
    case "distinct":
      return wordSize;
    case "sum":
    case "avg":
      return wordSize * 3;
    case "min":
    case "max":
    case "quantile":
      return wordSize + valueSize(select.column);
  }
}

/** As the engine calls it. */
export function functionCode(select: ResolvedSelect): SearchFunction {
  switch (select.function) {
    case "count":
      return select.isOfRows ? SearchFunction.rows : SearchFunction.count;
    case "sum":
    case "avg":
      return SearchFunction.sum;
    case "min":
      return SearchFunction.min;
    case "max":
      return SearchFunction.max;
    case "distinct":
      return SearchFunction.distinct;
    case "quantile":
      return SearchFunction.quantile;
  }
}

/** As the engine calls it. */
export function keyCode({ kind }: ResolvedKey): SearchGroupKeyKind {
  return SearchGroupKeyKind[kind];
}

/** The bits of a fraction. */
export function fractionHalves({ fraction }: ResolvedSelect): Halves {
  return floatHalves(fraction);
}
