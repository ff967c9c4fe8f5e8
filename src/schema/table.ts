/**
 * A table as declared: its columns with their places in an image, and the row types inferred from
 * them. `defineTable` checks the declaration; the same class stands for a table that was read from
 * the catalog, where row types are known only at run time.
 */
import { limits } from "../ffi/constants.gen.ts";
import {
  type AnyColumn,
  type ColumnBuilder,
  type ColumnDefinition,
  type ColumnRole,
  type ColumnSpec,
  type ColumnValue,
} from "./column.ts";
import { generateDecoder } from "./decode.ts";
import type { RowDecoder } from "./decode.ts";
import { isDegrees } from "./kinds.ts";
import { columnSize, imageSizeMax, layoutImage } from "./layout.ts";
import { canonicalDefault } from "./default.ts";

/** The columns of a declaration, by name. */
export type Columns = Readonly<Record<string, AnyColumn>>;

type Simplify<T> = { [K in keyof T]: T[K] };
type NamesOf<C extends Columns, Role extends ColumnRole> = {
  [K in keyof C]: C[K] extends ColumnBuilder<unknown, unknown, infer R>
    ? R extends Role
      ? K
      : never
    : never;
}[keyof C];
type ReadOf<B> = B extends ColumnBuilder<infer Read, unknown, ColumnRole> ? Read : never;
type WriteOf<B> = B extends ColumnBuilder<unknown, infer Write, ColumnRole> ? Write : never;

/** What a table's rows, keys and arguments look like. */
export interface TableShape {
  /** A row as read. */
  readonly row: object;
  /** A row to insert: columns with a default or null may be left out. */
  readonly insert: object;
  /** A row to upsert: the key, and whatever is to be changed. */
  readonly upsert: object;
  /** Columns to change; never the key. */
  readonly patch: object;
  readonly key: ColumnValue;
}

/** The shape of a table that is known only at run time. */
export interface DynamicShape extends TableShape {
  readonly row: Record<string, ColumnValue>;
  readonly insert: Record<string, ColumnValue | undefined>;
  readonly upsert: Record<string, ColumnValue | undefined>;
  readonly patch: Record<string, ColumnValue | undefined>;
  readonly key: ColumnValue;
}

/** The shape that follows from declared columns. */
export interface ShapeOf<C extends Columns> extends TableShape {
  readonly row: { -readonly [K in keyof C]: ReadOf<C[K]> };
  readonly insert: Simplify<
    { [K in NamesOf<C, "key" | "required">]: WriteOf<C[K]> } & {
      [K in NamesOf<C, "optional">]?: WriteOf<C[K]>;
    }
  >;
  readonly upsert: Simplify<
    { [K in NamesOf<C, "key">]: WriteOf<C[K]> } & {
      [K in NamesOf<C, "required" | "optional">]?: WriteOf<C[K]>;
    }
  >;
  readonly patch: { [K in NamesOf<C, "required" | "optional">]?: WriteOf<C[K]> };
  readonly key: Extract<WriteOf<C[NamesOf<C, "key">]>, ColumnValue>;
}

/** Columns besides the key, at most. */
export const columnsMax: number = limits.columnCountMax;
export const textLimitMax: number = limits.textLimitMax;
/** Keys and indexed text have to fit the words of an index key. */
export const keyLimitMax: number = limits.keyLimitMax;
export const indexesMax: number = limits.indexCountMax;
export const labelsMax: number = limits.labelCountMax;
export const scaleMax: number = limits.scaleMax;
/** Choices of columns whose decoders are kept; another one is generated again when it comes. */
const decodersMax = 256;
const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

/** What a table has besides its columns. */
export interface TableOptions {
  /**
   * Geo indexes by name: the columns of latitude and longitude, in degrees, both decimal or float.
   * A row with a null coordinate is nowhere.
   */
  readonly geo?: Readonly<Record<string, readonly [latitude: string, longitude: string]>>;
}

/** A geo index of a table. */
export interface GeoDefinition {
  readonly name: string;
  readonly latitude: ColumnDefinition;
  readonly longitude: ColumnDefinition;
}

/** A table's definition. Immutable. Get one from `defineTable`. */
export class TableDefinition<out S extends TableShape = DynamicShape> {
  declare readonly $shape: S;
  declare readonly $row: S["row"];
  declare readonly $insert: S["insert"];
  declare readonly $upsert: S["upsert"];
  declare readonly $patch: S["patch"];
  declare readonly $key: S["key"];
  readonly name: string;
  /** The key first, then the others as declared. */
  readonly columns: readonly ColumnDefinition[];
  readonly key: ColumnDefinition;
  /** Bytes of an image: a multiple of 8. */
  readonly imageSize: number;
  /** Geo indexes, as declared. */
  readonly geo: readonly GeoDefinition[];
  readonly #byName: ReadonlyMap<string, ColumnDefinition>;
  /** By the positions of the columns that are decoded. */
  readonly #decoders = new Map<string, RowDecoder<S["row"]>>();
  #decoder: RowDecoder<S["row"]> | undefined;

  /** For `defineTable` and the catalog: takes checked columns, the key first. */
  constructor(
    name: string,
    columns: readonly ColumnDefinition[],
    imageSize: number,
    geo: readonly GeoDefinition[] = [],
  ) {
    const [key] = columns;
    if (key === undefined) throw new RangeError(`table "${name}" has no columns`);
    this.name = name;
    this.columns = columns;
    this.key = key;
    this.imageSize = imageSize;
    this.geo = geo;
    const byName = new Map<string, ColumnDefinition>();
    for (const column of columns) {
      for (const each of [column.name, ...column.aliases]) byName.set(each, column);
    }
    this.#byName = byName;
  }

  /** The column of this name or alias. */
  find(name: string): ColumnDefinition | undefined {
    return this.#byName.get(name);
  }

  /** @internal Decodes whole rows; generated when first asked for. */
  get decoder(): RowDecoder<S["row"]> {
    this.#decoder ??= generateDecoder<S["row"]>(this);
    return this.#decoder;
  }

  /** @internal Decodes rows of `fields` only, in that order; generated once for each choice. */
  decoderOf(fields: readonly ColumnDefinition[]): RowDecoder<S["row"]> {
    if (fields === this.columns) return this.decoder;
    const choice = fields.map(({ position }) => position).join();
    const known = this.#decoders.get(choice);
    if (known !== undefined) return known;
    const decoder = generateDecoder<S["row"]>(this, fields);
    const [oldest] = this.#decoders.keys();
    if (oldest !== undefined && this.#decoders.size >= decodersMax) this.#decoders.delete(oldest);
    this.#decoders.set(choice, decoder);
    return decoder;
  }

  /** Every name and alias, for "did you mean". */
  names(): IterableIterator<string> {
    return this.#byName.keys();
  }
}

/** Any table's definition. */
export type AnyTable = TableDefinition<TableShape>;

/**
 * Declares a table. Exactly one column is the primary key; it becomes column 0 wherever columns
 * are counted, the others keep their order.
 *
 * **Throws** `TypeError` or `RangeError` when a name, a limit or a combination of modifiers is
 * wrong, `INVALID_VALUE` when a default does not fit its column.
 */
export function defineTable<const C extends Columns>(
  name: string,
  columns: C,
  options: TableOptions = {},
): TableDefinition<ShapeOf<C>> {
  return buildTable(
    name,
    Object.entries(columns).map(([column, { spec }]) => [column, spec]),
    options,
  );
}

/** `defineTable` for columns that are known only at run time. **Throws** what that throws. */
export function buildTable<S extends TableShape>(
  name: string,
  entries: readonly (readonly [name: string, spec: ColumnSpec])[],
  options: TableOptions = {},
): TableDefinition<S> {
  checkName(name, "a table name");
  const keys = entries.filter(([, spec]) => spec.primaryKey);
  if (keys.length !== 1) {
    const found = keys.length === 0 ? "none" : keys.map(([column]) => column).join(", ");
    throw new RangeError(
      `table "${name}": exactly one column must be the primary key, not ${found}`,
    );
  }
  if (entries.length > columnsMax + 1) {
    const others = entries.length - 1;
    throw new RangeError(
      `table "${name}" has ${others} columns besides the key; at most ${columnsMax} are possible`,
    );
  }
  if (entries.filter(([, spec]) => spec.indexed).length > indexesMax) {
    throw new RangeError(`table "${name}": at most ${indexesMax} columns can be indexed`);
  }
  const ordered = [...keys, ...entries.filter(([, spec]) => !spec.primaryKey)];
  const taken = new Map<string, string>();
  for (const [column, spec] of ordered) {
    const where = `column "${name}.${column}"`;
    checkColumn(where, column, spec);
    for (const each of [column, ...spec.aliases]) {
      const owner = taken.get(each);
      if (owner !== undefined) {
        throw new RangeError(`${where}: the name "${each}" is already taken by "${owner}"`);
      }
      taken.set(each, column);
    }
  }

  const layout = layoutImage(ordered.map(([, spec]) => spec));
  if (layout.imageSize > imageSizeMax) {
    throw new RangeError(
      `table "${name}": a row takes ${layout.imageSize} bytes, more than ${imageSizeMax}`,
    );
  }
  const placed = ordered.map(([column, spec], position): ColumnDefinition => {
    const offset = layout.offsets[position] ?? 0;
    const place = { ...spec, name: column, position, offset, size: columnSize(spec) };
    return { ...place, default: canonicalDefault(name, place) };
  });
  const geo = Object.entries(options.geo ?? {}).map(([index, columns]) => {
    if (taken.has(index)) {
      throw new RangeError(`geo index "${name}.${index}": a column has this name`);
    }
    return buildGeo(`geo index "${name}.${index}"`, index, columns, placed);
  });
  const pairs = geo.map(({ latitude, longitude }) => `${latitude.name}, ${longitude.name}`);
  const twice = pairs.find((pair, index) => pairs.indexOf(pair) !== index);
  if (twice !== undefined) throw new RangeError(`table "${name}": two geo indexes of ${twice}`);
  if (geo.length + placed.filter(({ indexed }) => indexed).length > indexesMax) {
    throw new RangeError(`table "${name}": at most ${indexesMax} indexes are possible`);
  }
  return new TableDefinition(name, placed, layout.imageSize, geo);
}

function buildGeo(
  where: string,
  name: string,
  names: readonly [latitude: string, longitude: string],
  columns: readonly ColumnDefinition[],
): GeoDefinition {
  checkName(name, `${where}: its name`);
  if (!Array.isArray(names) || names.length !== 2) {
    throw new TypeError(`${where} is declared as [latitude column, longitude column]`);
  }
  const [latitude, longitude] = names.map((each) => {
    const column = columns.find((one) => one.name === each);
    if (column === undefined) throw new RangeError(`${where}: there is no column "${each}"`);
    if (!isDegrees(column.kind)) {
      throw new TypeError(`${where}: "${each}" is ${column.kind}; use decimal(6) or f64`);
    }
    return column;
  });
  if (latitude === undefined || longitude === undefined || latitude === longitude) {
    throw new RangeError(`${where}: latitude and longitude are two columns`);
  }
  return { name, latitude, longitude };
}

function checkColumn(where: string, column: string, spec: ColumnSpec): void {
  checkName(column, `${where}: a column name`);
  for (const alias of spec.aliases) checkName(alias, `${where}: an alias`);
  if (spec.kind === "string" || spec.kind === "bytes") {
    const keyed = spec.primaryKey || spec.indexed;
    const what = keyed ? `the limit of a key or indexed ${spec.kind}` : "the limit";
    checkInteger(spec.limit, 1, keyed ? keyLimitMax : textLimitMax, `${where}: ${what}`);
  }
  if (spec.kind === "decimal") checkInteger(spec.scale, 0, scaleMax, `${where}: the scale`);
  if (spec.kind === "enum") checkLabels(where, spec.labels);
  if (!spec.primaryKey) return;
  if (spec.nullable) throw new TypeError(`${where}: a primary key cannot be nullable`);
  if (spec.default !== undefined) throw new TypeError(`${where}: a primary key has no default`);
  if (spec.kind === "f32" || spec.kind === "f64") {
    throw new TypeError(`${where}: a ${spec.kind} cannot be a primary key; use decimal or i64`);
  }
}

function checkName(name: string, what: string): void {
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw new RangeError(
      `${what} has a letter or _, then letters, digits and _, at most 63 in all; ` +
        `not ${JSON.stringify(name)}`,
    );
  }
  // A row that leaves the column out would still answer to such a name.
  if (name in Object.prototype) {
    throw new RangeError(`${what} cannot be "${name}": every JavaScript object has that property`);
  }
}

function checkInteger(value: number, min: number, max: number, what: string): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${what} is an integer from ${min} to ${max}, not ${String(value)}`);
  }
}

function checkLabels(where: string, labels: readonly string[]): void {
  if (labels.length === 0 || labels.length > labelsMax) {
    throw new RangeError(`${where}: an enum has 1 to ${labelsMax} labels, not ${labels.length}`);
  }
  for (const label of labels) {
    if (typeof label !== "string" || !label.isWellFormed()) {
      throw new TypeError(`${where}: ${JSON.stringify(label)} is not a well-formed string`);
    }
  }
  if (new Set(labels).size !== labels.length) {
    throw new RangeError(`${where}: an enum's labels must differ`);
  }
}
