/**
 * What each kind of column is, in one table: exhaustive, so a new kind is a row here and a compile
 * error wherever else it is asked for by name.
 */
import type { Kind } from "./column.ts";

/** What the values of a kind are. */
export type KindFamily = "truth" | "integer" | "float" | "decimal" | "time" | "text" | "label";

export interface KindTraits {
  readonly family: KindFamily;
  /** Bytes in an image; 0 for text, which has its limit and a size word. */
  readonly size: number;
  /** Whether values may be below zero, so that keys order by a flipped sign bit. */
  readonly isSigned: boolean;
}

const of = (family: KindFamily, size: number, isSigned: boolean): KindTraits => ({
  family,
  size,
  isSigned,
});

export const kinds: Readonly<Record<Kind, KindTraits>> = {
  bool: of("truth", 1, false),
  i8: of("integer", 1, true),
  i16: of("integer", 2, true),
  i32: of("integer", 4, true),
  i64: of("integer", 8, true),
  u8: of("integer", 1, false),
  u16: of("integer", 2, false),
  u32: of("integer", 4, false),
  u64: of("integer", 8, false),
  f32: of("float", 4, true),
  f64: of("float", 8, true),
  decimal: of("decimal", 8, true),
  timestamp: of("time", 8, true),
  string: of("text", 0, false),
  bytes: of("text", 0, false),
  enum: of("label", 2, false),
};

/** Whether a column of this kind can hold degrees with a fraction. */
export function isDegrees(kind: Kind): boolean {
  const { family } = kinds[kind];
  return family === "float" || family === "decimal";
}
