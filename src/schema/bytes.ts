/**
 * Schema bytes (docs/internals/row-image.md, law 6): what the engine, the log and checkpoints know
 * of a table. Equal declarations give equal bytes. Decoding trusts the offsets that are stored, not
 * the layout rule of this version.
 */
import { AerostoreError } from "../errors.ts";
import { type ColumnDefinition, type ColumnSpec, type Kind, kindCodes } from "./column.ts";
import { type DefaultJson, defaultFromJson, defaultToJson } from "./default.ts";
import { columnAlignment, columnSize, imageSizeMax, nullMaskSize } from "./layout.ts";
import { type AnyTable, buildTable, TableDefinition } from "./table.ts";

const magic = 0x5352_4541;
const version = 2;
const headerSize = 64;
const recordSize = 16;
const indexSize = 24;
const indexColumnsOffset = 4;
const flagPrimaryKey = 1;
const flagNullable = 2;
const indexFlagUnique = 1;

/** The text part: what the engine never reads. Absent fields are empty. */
interface TextJson {
  readonly columns: readonly ColumnJson[];
}

interface ColumnJson {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly labels?: readonly string[];
  readonly default?: DefaultJson;
}

/** The schema bytes of a table. */
export function encodeSchema(table: AnyTable): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(table.name);
  const text = new TextEncoder().encode(JSON.stringify(textOf(table)));
  const indexed = table.columns.filter((column) => column.indexed);
  const indexesOffset = headerSize + table.columns.length * recordSize;
  const nameOffset = indexesOffset + indexed.length * indexSize;
  const textOffset = nameOffset + name.length;
  const bytes = new Uint8Array(textOffset + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint16(4, version, true);
  view.setUint16(6, table.columns.length, true);
  view.setUint32(8, table.imageSize, true);
  view.setUint32(12, headerSize, true);
  view.setUint16(16, indexed.length, true);
  view.setUint32(20, indexesOffset, true);
  view.setUint32(24, nameOffset, true);
  view.setUint32(28, name.length, true);
  view.setUint32(32, textOffset, true);
  view.setUint32(36, text.length, true);
  for (const column of table.columns) {
    const at = headerSize + column.position * recordSize;
    view.setUint8(at, kindCodes[column.kind]);
    view.setUint8(at + 1, flagsOf(column));
    view.setUint8(at + 2, column.scale);
    view.setUint32(at + 4, column.offset, true);
    view.setUint32(at + 8, column.size, true);
    view.setUint32(at + 12, column.kind === "enum" ? column.labels.length : column.limit, true);
  }
  for (const [number, column] of indexed.entries()) {
    const at = indexesOffset + number * indexSize;
    view.setUint8(at, indexKindCodes.column);
    view.setUint8(at + 1, column.unique ? indexFlagUnique : 0);
    view.setUint8(at + 2, 1);
    view.setUint16(at + indexColumnsOffset, column.position, true);
  }
  bytes.set(name, nameOffset);
  bytes.set(text, textOffset);
  return bytes;
}

/**
 * The table that schema bytes describe. **Throws** `SEGMENT_CORRUPT` when they are not a schema of
 * this version or break a law of the row image.
 */
export function decodeSchema(bytes: Uint8Array): TableDefinition {
  try {
    return decode(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AerostoreError("SEGMENT_CORRUPT", `reading a table's stored schema: ${reason}`, {
      cause: error,
    });
  }
}

function decode(bytes: Uint8Array): TableDefinition {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  check(view.byteLength >= headerSize && view.getUint32(0, true) === magic, "no schema magic");
  check(view.getUint16(4, true) === version, `schema version is not ${version}`);
  const count = view.getUint16(6, true);
  const imageSize = view.getUint32(8, true);
  const indexesOffset = headerSize + count * recordSize;
  const nameOffset = indexesOffset + view.getUint16(16, true) * indexSize;
  const textOffset = nameOffset + view.getUint32(28, true);
  const textSize = view.getUint32(36, true);
  check(imageSize % 8 === 0 && imageSize <= imageSizeMax, "wrong image size");
  check(view.getUint32(12, true) === headerSize, "columns are elsewhere");
  check(view.getUint32(20, true) === indexesOffset, "indexes are elsewhere");
  check(view.getUint32(24, true) === nameOffset, "the name is elsewhere");
  check(view.getUint32(32, true) === textOffset, "text is elsewhere");
  check(textOffset + textSize === view.byteLength, "text does not end with the bytes");
  const name = new TextDecoder("utf-8", { fatal: true }).decode(
    bytes.subarray(nameOffset, textOffset),
  );
  const indexes = readIndexes(view, indexesOffset, nameOffset);
  const text = parseText(bytes.subarray(textOffset, textOffset + textSize));
  check(text.columns.length === count, "the text names another number of columns");

  const columns = text.columns.map((json, position): ColumnDefinition => {
    const at = headerSize + position * recordSize;
    const kind = kindOf(view.getUint8(at));
    const flags = view.getUint8(at + 1);
    const limit = view.getUint32(at + 12, true);
    const labels = json.labels ?? [];
    check(labels.length === (kind === "enum" ? limit : 0), `labels of "${json.name}"`);
    const spec: ColumnSpec = {
      kind,
      scale: view.getUint8(at + 2),
      limit: kind === "enum" ? 0 : limit,
      labels,
      primaryKey: (flags & flagPrimaryKey) !== 0,
      nullable: (flags & flagNullable) !== 0,
      indexed: indexes.has(position),
      unique: indexes.get(position) === true,
      default: json.default === undefined ? undefined : defaultFromJson({ kind }, json.default),
      aliases: json.aliases ?? [],
    };
    const offset = view.getUint32(at + 4, true);
    const size = view.getUint32(at + 8, true);
    check(size === columnSize(spec), `size of "${json.name}"`);
    check(offset >= nullMaskSize && offset + size <= imageSize, `offset of "${json.name}"`);
    check(offset % columnAlignment(spec) === 0, `alignment of "${json.name}"`);
    return { ...spec, name: json.name, position, offset, size };
  });
  // Names, limits and defaults obey the same rules as a declaration.
  const declared = buildTable(
    name,
    columns.map((column) => [column.name, column]),
  );
  check(declared.key.name === columns[0]?.name, "column 0 is not the primary key");
  const canonical = columns.map((column, position) => ({
    ...column,
    default: declared.columns[position]?.default,
  }));
  return new TableDefinition(name, canonical, imageSize);
}

/** Whether the index of each indexed column is unique, by the column's position. */
function readIndexes(view: DataView, start: number, end: number): ReadonlyMap<number, boolean> {
  const indexes = new Map<number, boolean>();
  for (let at = start; at < end; at += indexSize) {
    check(view.getUint8(at) === indexKindCodes.column, "an index of an unknown kind");
    check(view.getUint8(at + 2) === 1, "an index of several columns");
    const position = view.getUint16(at + indexColumnsOffset, true);
    check(!indexes.has(position), "two indexes of one column");
    indexes.set(position, (view.getUint8(at + 1) & indexFlagUnique) !== 0);
  }
  return indexes;
}

function textOf(table: AnyTable): TextJson {
  return {
    columns: table.columns.map((column): ColumnJson => ({
      name: column.name,
      ...(column.aliases.length === 0 ? {} : { aliases: column.aliases }),
      ...(column.labels.length === 0 ? {} : { labels: column.labels }),
      ...(column.default === undefined ? {} : { default: defaultToJson(column, column.default) }),
    })),
  };
}

function parseText(bytes: Uint8Array): TextJson {
  const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  check(isTextJson(json), "the text is not a table description");
  return json;
}

function isTextJson(json: unknown): json is TextJson {
  if (!isRecord(json)) return false;
  return Array.isArray(json["columns"]) && json["columns"].every(isColumnJson);
}

function isColumnJson(json: unknown): json is ColumnJson {
  if (!isRecord(json) || typeof json["name"] !== "string") return false;
  const given = json["default"];
  return (
    isStringsOrAbsent(json["aliases"]) &&
    isStringsOrAbsent(json["labels"]) &&
    (given === undefined || ["string", "number", "boolean"].includes(typeof given))
  );
}

function isStringsOrAbsent(json: unknown): boolean {
  return json === undefined || (Array.isArray(json) && json.every((x) => typeof x === "string"));
}

function isRecord(json: unknown): json is Record<string, unknown> {
  return typeof json === "object" && json !== null;
}

function flagsOf(column: ColumnDefinition): number {
  return (column.primaryKey ? flagPrimaryKey : 0) | (column.nullable ? flagNullable : 0);
}

/** Of `IndexKind` in the engine. */
const indexKindCodes = { column: 1, geo: 2 };

const kindsByCode: ReadonlyMap<number, Kind> = new Map(
  entriesOf(kindCodes).map(([kind, code]) => [code, kind]),
);

function entriesOf<K extends string, V>(record: Readonly<Record<K, V>>): [K, V][] {
  const entries: [K, V][] = [];
  for (const key in record) entries.push([key, record[key]]);
  return entries;
}

function kindOf(code: number): Kind {
  const kind = kindsByCode.get(code);
  if (kind === undefined) throw new RangeError(`unknown column kind ${code}`);
  return kind;
}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new RangeError(what);
}
