/**
 * Where columns lie in an image (docs/internals/row-image.md, laws 1 and 2): the null mask, the key
 * right behind it, the rest by falling alignment in declared order, each in the first gap that
 * holds it. Deterministic: the same declaration gives the same bytes in every process.
 */
import { limits } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import type { ColumnSpec, Kind } from "./column.ts";

/** Bytes of the null mask, which every image begins with. */
export const nullMaskSize: number = limits.nullMaskSize;
/** Bytes of `named` and `missing`, which a write record has before its image. */
export const recordHeadSize: number = layouts.RecordHead.size;
export const imageSizeMax: number = limits.imageSizeMax;

const fixedSizes: Readonly<Record<Kind, number>> = {
  bool: 1,
  i8: 1,
  i16: 2,
  i32: 4,
  i64: 8,
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  f32: 4,
  f64: 8,
  decimal: 8,
  timestamp: 8,
  string: 0,
  bytes: 0,
  enum: 2,
};

/** Bytes that a column takes in an image; text has its size word and its limit. */
export function columnSize(spec: Pick<ColumnSpec, "kind" | "limit">): number {
  return spec.kind === "string" || spec.kind === "bytes" ? spec.limit + 2 : fixedSizes[spec.kind];
}

/** Natural alignment; text has that of its size word. */
export function columnAlignment(spec: Pick<ColumnSpec, "kind" | "limit">): number {
  return spec.kind === "string" || spec.kind === "bytes" ? 2 : fixedSizes[spec.kind];
}

/** Offsets of columns within an image, in the order given (the key first), and the image's size. */
export interface ImageLayout {
  readonly offsets: readonly number[];
  readonly imageSize: number;
}

/** Lays out `specs`, of which the first is the key. */
export function layoutImage(specs: readonly Pick<ColumnSpec, "kind" | "limit">[]): ImageLayout {
  const offsets: number[] = new Array<number>(specs.length).fill(0);
  const gaps: { from: number; to: number }[] = [];
  let end = nullMaskSize;

  const place = (spec: Pick<ColumnSpec, "kind" | "limit">): number => {
    const size = columnSize(spec);
    const alignment = columnAlignment(spec);
    for (const gap of gaps) {
      const offset = alignUp(gap.from, alignment);
      if (offset + size > gap.to) continue;
      if (offset > gap.from) gaps.push({ from: gap.from, to: offset });
      gap.from = offset + size;
      return offset;
    }
    const offset = alignUp(end, alignment);
    if (offset > end) gaps.push({ from: end, to: offset });
    end = offset + size;
    return offset;
  };

  const order = specs.map((spec, position) => ({ spec, position }));
  const [key, ...rest] = order;
  // Array.prototype.sort is stable, so equal alignments keep their declared order.
  rest.sort((a, b) => columnAlignment(b.spec) - columnAlignment(a.spec));
  for (const { spec, position } of key === undefined ? [] : [key, ...rest]) {
    offsets[position] = place(spec);
  }
  return { offsets, imageSize: alignUp(end, 8) };
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
