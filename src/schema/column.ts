/**
 * How a column is declared: `t.decimal(6).index()`. A `ColumnBuilder` is immutable; each modifier
 * returns a new one. What is declared here is checked as a whole by `defineTable`.
 */
import type { ColumnKind } from "../ffi/constants.gen.ts";

/** Storage kinds (docs/internals/row-image.md). */
export type Kind = keyof typeof ColumnKind;

/** A value as rows give it. 64-bit integers are numbers while safe, bigints beyond. */
export type ColumnValue = string | number | bigint | boolean | null | Uint8Array;

/** What a row has to say about a column: the key always, an optional column if it likes. */
export type ColumnRole = "key" | "required" | "optional";

/** A column as declared, before it has a place in an image. */
export interface ColumnSpec {
  readonly kind: Kind;
  /** Digits behind the point of a decimal, else 0. */
  readonly scale: number;
  /** Most bytes of string and bytes, else 0. */
  readonly limit: number;
  readonly labels: readonly string[];
  readonly primaryKey: boolean;
  readonly nullable: boolean;
  readonly indexed: boolean;
  readonly unique: boolean;
  readonly default: ColumnValue | undefined;
  readonly aliases: readonly string[];
  /**
   * What rows read by this declaration give where a value has several forms: numbers, also where
   * they are only near, or bigints. Not stored: another declaration may read otherwise.
   */
  readonly reads?: "number" | "bigint" | undefined;
  /** Decimals with too many digits are rounded on writing by this declaration; not stored. */
  readonly isRounded?: boolean | undefined;
}

/** A column in its place. */
export interface ColumnDefinition extends ColumnSpec {
  readonly name: string;
  /** 0 is the key; column *i* owns bit *i - 1* of every column mask. */
  readonly position: number;
  /** Bytes from the start of the image. */
  readonly offset: number;
  /** Bytes in the image. */
  readonly size: number;
}

/** What codecs need to know of a table. A `TableDefinition` is one. */
export interface ImageTable {
  readonly name: string;
  /** The key first. */
  readonly columns: readonly ColumnDefinition[];
  readonly key: ColumnDefinition;
  readonly imageSize: number;
}

/**
 * A column being declared. `Read` is what rows give, `Write` what they take, `Role` whether an
 * insert must name it.
 */
export class ColumnBuilder<out Read, out Write, out Role extends ColumnRole> {
  declare readonly $read: Read;
  declare readonly $write: Write;
  declare readonly $role: Role;
  readonly spec: ColumnSpec;

  constructor(spec: ColumnSpec) {
    this.spec = spec;
  }

  /** Makes this the primary key: exactly one column of a table is. */
  primaryKey(): ColumnBuilder<Read, Write, "key"> {
    return new ColumnBuilder({ ...this.spec, primaryKey: true });
  }

  /** Keeps an index on the column. */
  index(): ColumnBuilder<Read, Write, Role> {
    return new ColumnBuilder({ ...this.spec, indexed: true });
  }

  /** Refuses a second row with the same value (nulls never clash); keeps an index. */
  unique(): ColumnBuilder<Read, Write, Role> {
    return new ColumnBuilder({ ...this.spec, indexed: true, unique: true });
  }

  /** Allows null, which is also what an insert stores when it does not name the column. */
  nullable(): ColumnBuilder<Read | null, Write | null, "optional"> {
    return new ColumnBuilder({ ...this.spec, nullable: true });
  }

  /** What an insert stores when it does not name the column. Checked by `defineTable`. */
  default(value: Write & ColumnValue): ColumnBuilder<Read, Write, "optional"> {
    return new ColumnBuilder({ ...this.spec, default: value });
  }

  /**
   * 64-bit integers read as numbers; this declaration writes safe ones only. One beyond, which
   * another declaration wrote, reads as the nearest number. **Throws** `TypeError` for other kinds.
   */
  number(): ColumnBuilder<Exclude<Read, bigint>, Write, Role> {
    this.#expect("number()", "i64", "u64");
    return new ColumnBuilder({ ...this.spec, reads: "number" });
  }

  /** 64-bit integers read as bigints. **Throws** `TypeError` for other kinds. */
  bigint(): ColumnBuilder<Exclude<Read, number>, Write, Role> {
    this.#expect("bigint()", "i64", "u64");
    return new ColumnBuilder({ ...this.spec, reads: "bigint" });
  }

  /**
   * A decimal reads as a number whatever its length: the nearest one beyond 15 digits, where it
   * otherwise reads as text. **Throws** `TypeError` for other kinds.
   */
  asNumber(): ColumnBuilder<Exclude<Read, string>, Write, Role> {
    this.#expect("asNumber()", "decimal");
    return new ColumnBuilder({ ...this.spec, reads: "number" });
  }

  /**
   * Writing a decimal with more digits than the scale rounds it to the nearest, ties to even, where
   * it otherwise is `INVALID_VALUE`. **Throws** `TypeError` for other kinds.
   */
  rounded(): ColumnBuilder<Read, Write, Role> {
    this.#expect("rounded()", "decimal");
    return new ColumnBuilder({ ...this.spec, isRounded: true });
  }

  #expect(method: string, ...kinds: readonly Kind[]): void {
    const { kind } = this.spec;
    if (kinds.includes(kind)) return;
    throw new TypeError(`${method} is for ${kinds.join(" and ")} columns, not for ${kind}`);
  }

  /** Other names for the column, in searches and ingest. */
  alias(...names: readonly string[]): ColumnBuilder<Read, Write, Role> {
    return new ColumnBuilder({ ...this.spec, aliases: [...this.spec.aliases, ...names] });
  }
}

/** Any declared column. */
export type AnyColumn = ColumnBuilder<unknown, unknown, ColumnRole>;

export type NumberColumn = ColumnBuilder<number, number, "required">;
export type WideColumn = ColumnBuilder<number | bigint, number | bigint, "required">;

/** The column types, `t.i32()` and so on. */
export interface ColumnTypes {
  bool(): ColumnBuilder<boolean, boolean, "required">;
  i8(): NumberColumn;
  i16(): NumberColumn;
  i32(): NumberColumn;
  /** Numbers while safe, bigints beyond. */
  i64(): WideColumn;
  u8(): NumberColumn;
  u16(): NumberColumn;
  u32(): NumberColumn;
  /** Numbers while safe, bigints beyond. */
  u64(): WideColumn;
  /** Rounded to the nearest 32-bit float. NaN is refused. */
  f32(): NumberColumn;
  /** NaN is refused; -0 is stored as 0. */
  f64(): NumberColumn;
  /**
   * Exact, `scale` (0 to 15) digits after the point; takes numbers and digit strings. Reads as a
   * number up to 15 digits in all, which is what a number holds, and as digits beyond.
   */
  decimal(scale: number): ColumnBuilder<number | string, number | string, "required">;
  /** Milliseconds since 1970, a safe integer; takes a `Date`, too. */
  timestamp(): ColumnBuilder<number, number | Date, "required">;
  /** At most `bytesMax` bytes of UTF-8: 1 to 8,192, as a key or indexed 255. */
  string(bytesMax: number): ColumnBuilder<string, string, "required">;
  /** At most `bytesMax` bytes: 1 to 8,192, as a key or indexed 255. */
  bytes(bytesMax: number): ColumnBuilder<Uint8Array, Uint8Array, "required">;
  /** One of the labels; ordered as declared. */
  enum<const L extends string>(labels: readonly L[]): ColumnBuilder<L, L, "required">;
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

export const t: ColumnTypes = {
  bool: () => new ColumnBuilder({ ...plain, kind: "bool" }),
  i8: () => new ColumnBuilder({ ...plain, kind: "i8" }),
  i16: () => new ColumnBuilder({ ...plain, kind: "i16" }),
  i32: () => new ColumnBuilder({ ...plain, kind: "i32" }),
  i64: () => new ColumnBuilder({ ...plain, kind: "i64" }),
  u8: () => new ColumnBuilder({ ...plain, kind: "u8" }),
  u16: () => new ColumnBuilder({ ...plain, kind: "u16" }),
  u32: () => new ColumnBuilder({ ...plain, kind: "u32" }),
  u64: () => new ColumnBuilder({ ...plain, kind: "u64" }),
  f32: () => new ColumnBuilder({ ...plain, kind: "f32" }),
  f64: () => new ColumnBuilder({ ...plain, kind: "f64" }),
  decimal: (scale) => new ColumnBuilder({ ...plain, kind: "decimal", scale }),
  timestamp: () => new ColumnBuilder({ ...plain, kind: "timestamp" }),
  string: (bytesMax) => new ColumnBuilder({ ...plain, kind: "string", limit: bytesMax }),
  bytes: (bytesMax) => new ColumnBuilder({ ...plain, kind: "bytes", limit: bytesMax }),
  enum: (labels) => new ColumnBuilder({ ...plain, kind: "enum", labels: [...labels] }),
};
