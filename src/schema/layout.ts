/**
 * Where columns lie in an image (docs/internals/row-image.md, laws 1 and 2): the null mask, the key
 * right behind it, the rest by falling alignment in declared order, each in the first gap that
 * holds it. Deterministic: the same declaration gives the same bytes in every process.
 */
import { limits } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import type { ColumnSpec } from "./column.ts";
import { kinds } from "./kinds.ts";

/** Bytes of the null mask, which every image begins with. */
export const nullMaskSize: number = limits.nullMaskSize;
/** Bytes of `named` and `missing`, which a write record has before its image. */
export const recordHeadSize: number = layouts.RecordHead.size;
export const imageSizeMax: number = limits.imageSizeMax;

/** Bytes that a column takes in an image; text has its size word and its limit. */
export function columnSize(spec: Pick<ColumnSpec, "kind" | "limit">): number {
  const { family, size } = kinds[spec.kind];
  return family === "text" ? spec.limit + 2 : size;
}

/** Natural alignment; text has that of its size word. */
export function columnAlignment(spec: Pick<ColumnSpec, "kind" | "limit">): number {
  const { family, size } = kinds[spec.kind];
  return family === "text" ? 2 : size;
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
