/**
 * Schema bytes (docs/internals/row-image.md, law 6): what the engine, the log and checkpoints know
 * of a table. Equal declarations give equal bytes. Decoding trusts the offsets that are stored, not
 * the layout rule of this version.
 */
import { AerostoreError } from "../errors.ts";
import { ColumnKind, IndexKind, schemaFormat } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { getField, nameOf, type NumberField, putField } from "../ffi/struct.ts";
import type { ColumnDefinition, ColumnSpec, Kind } from "./column.ts";
import { type DefaultJson, defaultFromJson, defaultToJson } from "./default.ts";
import { columnAlignment, columnSize, imageSizeMax, nullMaskSize } from "./layout.ts";
import { type AnyTable, buildTable, TableDefinition } from "./table.ts";

const header = layouts.SchemaHeader.fields;
const headerSize = layouts.SchemaHeader.size;
const columnFields = layouts.ColumnRecord.fields;
const columnRecordSize = layouts.ColumnRecord.size;
const indexFields = layouts.IndexRecord.fields;
const indexSize = layouts.IndexRecord.size;
const indexColumnsOffset = indexFields.columns.offset;

/** The text part: what the engine never reads. Absent fields are empty. */
interface TextJson {
  readonly columns: readonly ColumnJson[];
  /** Names of the geo indexes, in the order of their records. */
  readonly geo?: readonly string[];
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
  const indexesOffset = headerSize + table.columns.length * columnRecordSize;
  const indexCount = indexed.length + table.geo.length;
  const nameOffset = indexesOffset + indexCount * indexSize;
  const textOffset = nameOffset + name.length;
  const bytes = new Uint8Array(textOffset + text.length);
  const view = new DataView(bytes.buffer);
  putField(view, 0, header.magic, schemaFormat.magic);
  putField(view, 0, header.version, schemaFormat.version);
  putField(view, 0, header.column_count, table.columns.length);
  putField(view, 0, header.image_size, table.imageSize);
  putField(view, 0, header.columns_offset, headerSize);
  putField(view, 0, header.index_count, indexCount);
  putField(view, 0, header.indexes_offset, indexesOffset);
  putField(view, 0, header.name_offset, nameOffset);
  putField(view, 0, header.name_size, name.length);
  putField(view, 0, header.text_offset, textOffset);
  putField(view, 0, header.text_size, text.length);
  for (const column of table.columns) {
    const at = headerSize + column.position * columnRecordSize;
    const limit = column.kind === "enum" ? column.labels.length : column.limit;
    putField(view, at, columnFields.kind, ColumnKind[column.kind]);
    putField(view, at, columnFields.flags, flagsOf(column));
    putField(view, at, columnFields.scale, column.scale);
    putField(view, at, columnFields.offset, column.offset);
    putField(view, at, columnFields.size, column.size);
    putField(view, at, columnFields.limit, limit);
  }
  for (const [number, column] of indexed.entries()) {
    const at = indexesOffset + number * indexSize;
    putField(view, at, indexFields.kind, IndexKind.column);
    putField(view, at, indexFields.flags, column.unique ? schemaFormat.indexFlagUnique : 0);
    putField(view, at, indexFields.column_count, 1);
    view.setUint16(at + indexColumnsOffset, column.position, true);
  }
  for (const [number, { latitude, longitude }] of table.geo.entries()) {
    const at = indexesOffset + (indexed.length + number) * indexSize;
    putField(view, at, indexFields.kind, IndexKind.geo);
    putField(view, at, indexFields.column_count, 2);
    view.setUint16(at + indexColumnsOffset, latitude.position, true);
    view.setUint16(at + indexColumnsOffset + 2, longitude.position, true);
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
  const { magic, version, flagNullable, flagPrimaryKey } = schemaFormat;
  check(view.byteLength >= headerSize, "the header is cut");
  const head = (field: NumberField): number => getField(view, 0, field);
  check(head(header.magic) === magic, "no schema magic");
  check(head(header.version) === version, `schema version is not ${version}`);
  const count = head(header.column_count);
  const imageSize = head(header.image_size);
  const indexesOffset = headerSize + count * columnRecordSize;
  const nameOffset = indexesOffset + head(header.index_count) * indexSize;
  const textOffset = nameOffset + head(header.name_size);
  const textSize = head(header.text_size);
  check(imageSize % 8 === 0 && imageSize <= imageSizeMax, "wrong image size");
  check(head(header.columns_offset) === headerSize, "columns are elsewhere");
  check(head(header.indexes_offset) === indexesOffset, "indexes are elsewhere");
  check(head(header.name_offset) === nameOffset, "the name is elsewhere");
  check(head(header.text_offset) === textOffset, "text is elsewhere");
  check(textOffset + textSize === view.byteLength, "text does not end with the bytes");
  const name = new TextDecoder("utf-8", { fatal: true }).decode(
    bytes.subarray(nameOffset, textOffset),
  );
  const indexes = readIndexes(view, indexesOffset, nameOffset);
  const text = parseText(bytes.subarray(textOffset, textOffset + textSize));
  check(text.columns.length === count, "the text names another number of columns");

  const columns = text.columns.map((json, position): ColumnDefinition => {
    const at = headerSize + position * columnRecordSize;
    const kind = kindOf(getField(view, at, columnFields.kind));
    const flags = getField(view, at, columnFields.flags);
    const limit = getField(view, at, columnFields.limit);
    const labels = json.labels ?? [];
    check(labels.length === (kind === "enum" ? limit : 0), `labels of "${json.name}"`);
    const spec: ColumnSpec = {
      kind,
      scale: getField(view, at, columnFields.scale),
      limit: kind === "enum" ? 0 : limit,
      labels,
      primaryKey: (flags & flagPrimaryKey) !== 0,
      nullable: (flags & flagNullable) !== 0,
      indexed: indexes.columns.has(position),
      unique: indexes.columns.get(position) === true,
      default: json.default === undefined ? undefined : defaultFromJson({ kind }, json.default),
      aliases: json.aliases ?? [],
    };
    const offset = getField(view, at, columnFields.offset);
    const size = getField(view, at, columnFields.size);
    check(size === columnSize(spec), `size of "${json.name}"`);
    check(offset >= nullMaskSize && offset + size <= imageSize, `offset of "${json.name}"`);
    check(offset % columnAlignment(spec) === 0, `alignment of "${json.name}"`);
    return { ...spec, name: json.name, position, offset, size };
  });
  // Names, limits and defaults obey the same rules as a declaration.
  const declared = buildTable(
    name,
    columns.map((column) => [column.name, column]),
    { geo: geoOptions(text.geo ?? [], indexes.geo, columns) },
  );
  check(declared.key.name === columns[0]?.name, "column 0 is not the primary key");
  const canonical = columns.map((column, position) => ({
    ...column,
    default: declared.columns[position]?.default,
  }));
  const geo = declared.geo.map(({ name: index, latitude, longitude }) => {
    const places = [latitude, longitude].map(({ position }) => canonical[position]);
    const [lat = latitude, lon = longitude] = places;
    return { name: index, latitude: lat, longitude: lon };
  });
  return new TableDefinition(name, canonical, imageSize, geo);
}

function geoOptions(
  names: readonly string[],
  pairs: readonly (readonly [latitude: number, longitude: number])[],
  columns: readonly ColumnDefinition[],
): Record<string, readonly [string, string]> {
  check(names.length === pairs.length, "the text names another number of geo indexes");
  check(new Set(names).size === names.length, "two geo indexes have one name");
  return Object.fromEntries(
    names.map((name, index) => {
      const [latitude, longitude] = (pairs[index] ?? []).map((each) => columns[each]?.name);
      check(latitude !== undefined && longitude !== undefined, `columns of "${name}"`);
      return [name, [latitude, longitude] as const];
    }),
  );
}

interface StoredIndexes {
  /** Whether the index of each indexed column is unique, by the column's position. */
  readonly columns: ReadonlyMap<number, boolean>;
  /** Positions of the columns of each geo index. */
  readonly geo: readonly (readonly [latitude: number, longitude: number])[];
}

function readIndexes(view: DataView, start: number, end: number): StoredIndexes {
  const columns = new Map<number, boolean>();
  const geo: (readonly [number, number])[] = [];
  for (let at = start; at < end; at += indexSize) {
    const kind = getField(view, at, indexFields.kind);
    const count = getField(view, at, indexFields.column_count);
    const first = view.getUint16(at + indexColumnsOffset, true);
    const flags = getField(view, at, indexFields.flags);
    if (kind === IndexKind.geo) {
      check(count === 2 && flags === 0, "a geo index has two columns and is not unique");
      geo.push([first, view.getUint16(at + indexColumnsOffset + 2, true)]);
      continue;
    }
    check(kind === IndexKind.column, "an index of an unknown kind");
    check(count === 1, "an index of several columns");
    check(!columns.has(first), "two indexes of one column");
    columns.set(first, (flags & schemaFormat.indexFlagUnique) !== 0);
  }
  return { columns, geo };
}

function textOf(table: AnyTable): TextJson {
  return {
    ...(table.geo.length === 0 ? {} : { geo: table.geo.map(({ name }) => name) }),
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
  if (!isStringsOrAbsent(json["geo"])) return false;
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
  const { flagNullable, flagPrimaryKey } = schemaFormat;
  return (column.primaryKey ? flagPrimaryKey : 0) | (column.nullable ? flagNullable : 0);
}

function kindOf(code: number): Kind {
  const kind = nameOf(ColumnKind, code);
  if (kind === undefined) throw new RangeError(`unknown column kind ${code}`);
  return kind;
}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new RangeError(what);
}
