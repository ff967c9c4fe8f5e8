/**
 * How delimited text is read: its separator and quotes, whether its first line names the columns,
 * and which field goes to which column. The rest of what callers say is taken from a look at the
 * first line.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import { nearestName } from "../schema/nearest.ts";
import type { AnyTable } from "../schema/table.ts";
import type { FormatOptions } from "./options.ts";

/** How fields stand in a line. */
export interface Marks {
  readonly separator: string;
  /** "" when fields have no quotes. */
  readonly quote: string;
  /** A backslash escapes. */
  readonly escapes: boolean;
}

export interface Dialect extends Marks {
  /** By field; `undefined` ignores one. */
  readonly positions: readonly (ColumnDefinition | undefined)[];
  /** Fields after the last position are ignored. */
  readonly ignoresExtra: boolean;
  /** The first line is the header. */
  readonly hasHeader: boolean;
  /** In a few words, for people. */
  readonly description: string;
  /** It is that of the format, a header was asked for if there is one, and no field is ignored. */
  readonly isUsual: boolean;
}

/** Separators that are looked for, in the order of preference. */
const separators = [",", ";", "|", "\t"] as const;
const separatorNames: Readonly<Record<string, string>> = {
  ",": "comma",
  ";": "semicolon",
  "|": "bar",
  "\t": "tab",
  " ": "space",
};

/**
 * The dialect of `tsv` or `csv` text whose first line is `line`; `undefined` when it has none.
 *
 * **Throws** `UNKNOWN_FIELD` for a name that is no column, `PARSE_ERROR` when a column is named
 * twice, the key is not named, or a quote of the header is not closed.
 */
export function chooseDialect(
  table: AnyTable,
  format: "tsv" | "csv",
  line: string | undefined,
  options: FormatOptions,
): Dialect {
  const map = readColumns(table, options.columns);
  const marks = chooseMarks(table, format, line ?? "", options, map);
  const wanted = options.header ?? (map?.hasNames === true ? true : undefined);
  const fields = line === undefined ? undefined : splitFields(line, marks);
  const hasHeader = fields !== undefined && (wanted ?? looksLikeHeader(table, fields));
  const ignores = options.ignoreUnknown === true || options.header === undefined;
  const isUsual = marks.separator === (format === "tsv" ? "\t" : ",") && map === undefined;
  if (hasHeader) {
    if (line !== undefined && isOpenQuote(line, marks)) {
      throw new AerostoreError("PARSE_ERROR", "the header has a quote that is not closed", {
        line: (options.skip ?? 0) + 1,
      });
    }
    const positions = headerColumns(table, fields, map, ignores);
    const ignored = positions.filter((column) => column === undefined).length;
    return {
      ...marks,
      positions,
      ignoresExtra: options.ignoreUnknown === true,
      hasHeader,
      description: describe(marks, "header", fields.length, ignored),
      isUsual: isUsual && options.header === true && ignored === 0,
    };
  }
  const positions = map === undefined ? table.columns : plainColumns(table, map, fields ?? []);
  const ignored = positions.filter((column) => column === undefined).length;
  return {
    ...marks,
    positions,
    ignoresExtra: options.ignoreUnknown === true || map?.hasNumbers === true,
    hasHeader,
    description: describe(marks, "no header", fields?.length ?? 0, ignored),
    isUsual,
  };
}

function describe(marks: Marks, header: string, count: number, ignored: number): string {
  const name = separatorNames[marks.separator] ?? JSON.stringify(marks.separator);
  const columns = `${count} ${count === 1 ? "column" : "columns"}`;
  const rest = ignored === 0 ? "" : `, ${ignored} not in the table (ignored)`;
  return `${name}-separated, ${header}, ${columns}${rest}`;
}

/** What `columns` says. */
interface ColumnMap {
  /** By name, or number from 1; `undefined` is to be ignored. */
  readonly byName: ReadonlyMap<string, ColumnDefinition | undefined>;
  /** By position, when it is a list. */
  readonly list: readonly (ColumnDefinition | undefined)[] | undefined;
  readonly hasNames: boolean;
  readonly hasNumbers: boolean;
}

function readColumns(table: AnyTable, columns: FormatOptions["columns"]): ColumnMap | undefined {
  if (columns === undefined) return undefined;
  const target = (name: string): ColumnDefinition | undefined =>
    name === "-" ? undefined : findColumn(table, name, "columns");
  const entries = columnEntries(columns);
  const { list } = entries;
  if (list !== undefined) {
    const positions = list.map(target);
    return { byName: new Map(), list: positions, hasNames: false, hasNumbers: false };
  }
  const byName = new Map(entries.map.map(([name, to]) => [name, target(to)]));
  const isNumber = (name: string): boolean => /^[1-9][0-9]*$/.test(name);
  return {
    byName,
    list: undefined,
    hasNames: [...byName.keys()].some((name) => !isNumber(name)),
    hasNumbers: [...byName.keys()].some(isNumber),
  };
}

/** The pairs of a column map, or the names of a list. **Throws** `TypeError`. */
export function columnEntries(columns: NonNullable<FormatOptions["columns"]>): {
  list: readonly string[] | undefined;
  map: readonly (readonly [name: string, column: string])[];
} {
  if (typeof columns === "string") {
    const parts = columns.split(",").map((part) => part.trim());
    if (parts.every((part) => !part.includes("="))) return { list: parts, map: [] };
    const map = parts.map((part): [string, string] => {
      const equals = part.lastIndexOf("=");
      if (equals < 1 || equals === part.length - 1) {
        throw new TypeError(`columns is like "a=symbol,b=-" or "symbol,-,bid"; not "${part}"`);
      }
      return [part.slice(0, equals).trim(), part.slice(equals + 1).trim()];
    });
    return { list: undefined, map };
  }
  if (isList(columns)) return { list: columns, map: [] };
  return { list: undefined, map: Object.entries(columns) };
}

function isList(columns: object): columns is readonly string[] {
  return Array.isArray(columns);
}

/** Columns by names of the source, for formats whose records name their fields. */
export function namesOfColumns(
  table: AnyTable,
  columns: FormatOptions["columns"],
): Map<string, string | null> {
  if (columns === undefined) return new Map();
  const { list, map } = columnEntries(columns);
  if (list !== undefined) throw new TypeError("columns by position are for tsv and csv");
  return new Map(
    map.map(([name, to]) => [name, to === "-" ? null : findColumn(table, to, "columns").name]),
  );
}

function chooseMarks(
  table: AnyTable,
  format: "tsv" | "csv",
  line: string,
  options: FormatOptions,
  map: ColumnMap | undefined,
): Marks {
  const plain = format === "tsv" ? "" : '"';
  const quote = options.quote === "none" ? "" : (options.quote ?? plain);
  const escapes = (options.escape ?? (format === "tsv" ? "backslash" : "none")) === "backslash";
  const marks = (separator: string): Marks => ({ separator, quote, escapes });
  if (options.separator !== undefined) return marks(options.separator);
  if (format === "tsv") return marks("\t");
  const looks = separators.map((separator) => ({
    separator,
    fields: splitFields(line, marks(separator)),
  }));
  const count = map?.list?.length ?? table.columns.length;
  const best =
    looks.find(({ fields }) => looksLikeHeader(table, fields)) ??
    looks.find(({ fields }) => fields.length === count) ??
    looks.toSorted((a, b) => b.fields.length - a.fields.length)[0];
  return marks(best === undefined || best.fields.length < 2 ? "," : best.separator);
}

/** Whether fields name columns, the key among them: then a first line is a header. */
export function looksLikeHeader(table: AnyTable, fields: readonly string[]): boolean {
  const columns = resolveNames(table, fields).filter((column) => column !== undefined);
  if (!columns.includes(table.key)) return false;
  return columns.length >= Math.min(2, fields.length);
}

/** The columns that names mean: exactly, else without case, spaces and dashes. */
function resolveNames(
  table: AnyTable,
  fields: readonly string[],
): (ColumnDefinition | undefined)[] {
  const exact = fields.map((field) => table.find(field.trim()));
  const taken = new Set(exact);
  const loose = new Map([...table.names()].map((name) => [looseName(name), table.find(name)]));
  return exact.map((column, index) => {
    if (column !== undefined) return column;
    const other = loose.get(looseName(fields[index] ?? ""));
    if (other === undefined || taken.has(other)) return undefined;
    taken.add(other);
    return other;
  });
}

/** A name without what header lines write otherwise: case, spaces, dashes and points. */
export function looseName(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[\s\-.]+/g, "_");
}

function headerColumns(
  table: AnyTable,
  fields: readonly string[],
  map: ColumnMap | undefined,
  ignores: boolean,
): (ColumnDefinition | undefined)[] {
  const used = new Set<string>();
  const resolved = map?.list === undefined ? resolveNames(table, fields) : [];
  const positions = fields.map((given, index) => {
    if (map?.list !== undefined) return map.list[index];
    const name = given.trim();
    for (const each of [name, String(index + 1)]) {
      if (map === undefined || !map.byName.has(each)) continue;
      used.add(each);
      return map.byName.get(each);
    }
    const column = resolved[index];
    if (column !== undefined || ignores) return column;
    return findColumn(
      table,
      name,
      "the header",
      "; ignoreUnknown (--ignore-unknown) passes over it",
    );
  });
  const unused = [...(map?.byName.keys() ?? [])].find((name) => !used.has(name));
  if (unused !== undefined) {
    throw new AerostoreError(
      "UNKNOWN_FIELD",
      `columns names ${JSON.stringify(unused)}, which the header does not have; ` +
        `it has ${fields.map((field) => field.trim()).join(", ")}`,
      { table: table.name, column: unused },
    );
  }
  checkOnce(table, positions, fields);
  return positions;
}

/** Without a header: columns by number, or by position. */
function plainColumns(
  table: AnyTable,
  map: ColumnMap,
  fields: readonly string[],
): readonly (ColumnDefinition | undefined)[] {
  if (map.list !== undefined) {
    checkOnce(
      table,
      map.list,
      map.list.map((column) => column?.name ?? "-"),
    );
    return map.list;
  }
  const last = Math.max(0, ...[...map.byName.keys()].map(Number));
  const positions = Array.from({ length: Math.max(last, 1) }, (_, index) =>
    map.byName.get(String(index + 1)),
  );
  checkOnce(table, positions, fields);
  return positions;
}

function checkOnce(
  table: AnyTable,
  positions: readonly (ColumnDefinition | undefined)[],
  fields: readonly string[],
): void {
  const seen = new Map<ColumnDefinition, string>();
  for (const [index, column] of positions.entries()) {
    if (column === undefined) continue;
    const name = (fields[index] ?? column.name).trim();
    const other = seen.get(column);
    if (other !== undefined) {
      const names =
        other === name ? `"${name}"` : `"${other}" and "${name}", which are one column,`;
      throw new AerostoreError("PARSE_ERROR", `the header names ${names} twice`, {
        table: table.name,
        column: column.name,
        line: 1,
      });
    }
    seen.set(column, name);
  }
  if (seen.has(table.key)) return;
  throw new AerostoreError(
    "PARSE_ERROR",
    `the header does not name "${table.key.name}", the primary key of ${table.name}`,
    { table: table.name, column: table.key.name, line: 1 },
  );
}

/** The column of this name or alias. **Throws** `UNKNOWN_FIELD`; `where` says who named it. */
export function findColumn(
  table: AnyTable,
  name: string,
  where: string,
  advice = "",
): ColumnDefinition {
  const column = table.find(name);
  if (column !== undefined) return column;
  const nearest = nearestName(name, table.names());
  const known = table.columns.map((each) => each.name).join(", ");
  const hint = nearest === undefined ? `; it has ${known}` : `; did you mean "${nearest}"?`;
  throw new AerostoreError(
    "UNKNOWN_FIELD",
    `${where} names ${JSON.stringify(name)}, which is no column of ${table.name}${hint}${advice}`,
    { table: table.name, column: name },
  );
}

/** The fields of a line, quotes and doubled quotes taken away. */
export function splitFields(line: string, marks: Marks): string[] {
  const { separator, quote } = marks;
  if (quote === "") return line.split(separator);
  const fields: string[] = [];
  let at = 0;
  while (at <= line.length) {
    if (line[at] !== quote) {
      const end = line.indexOf(separator, at);
      const stop = end < 0 ? line.length : end;
      fields.push(line.slice(at, stop));
      at = stop + 1;
      continue;
    }
    const close = closingQuote(line, at, marks);
    const stop = close < 0 ? line.length : close;
    fields.push(line.slice(at + 1, stop).replaceAll(quote + quote, quote));
    const end = line.indexOf(separator, stop);
    at = (end < 0 ? line.length : end) + 1;
  }
  return fields;
}

/** The place of the quote that closes the one at `at`; -1 when there is none. */
function closingQuote(line: string, at: number, { quote, escapes }: Marks): number {
  for (let index = at + 1; index < line.length; index += 1) {
    if (escapes && line[index] === "\\") index += 1;
    else if (line[index] === quote && line[index + 1] === quote) index += 1;
    else if (line[index] === quote) return index;
  }
  return -1;
}

function isOpenQuote(line: string, marks: Marks): boolean {
  const { separator, quote } = marks;
  if (quote === "") return false;
  let at = 0;
  while (at <= line.length) {
    let from = at;
    if (line[at] === quote) {
      from = closingQuote(line, at, marks) + 1;
      if (from === 0 || (from < line.length && line[from] !== separator)) return true;
    }
    const end = line.indexOf(separator, from);
    if (end < 0) return false;
    at = end + 1;
  }
  return false;
}
