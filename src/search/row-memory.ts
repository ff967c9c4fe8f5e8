/**
 * Memory for the rows of results. Small results share blocks, which live as long as one of their
 * results does; a view over every result's own buffer would cost more than its rows.
 */
import type { RowChunk } from "./result.ts";
import { Memory } from "../schema/memory.ts";

const blockSize = 64 << 10;
/** Copies up to this size go word by word; a native call pays off beyond. */
const loopSizeMax = 256;

export class RowArena {
  #block = Memory.allocate(blockSize);
  #end = 0;

  /** A copy of `rowCount` images of `stride` bytes, a multiple of 8, from `source`. */
  copy(source: Memory, from: number, rowCount: number, stride: number): RowChunk {
    const size = rowCount * stride;
    if (size > blockSize / 4) {
      const memory = Memory.allocate(size);
      memory.u8.set(source.u8.subarray(from, from + size));
      return { memory, at: 0, rowCount };
    }
    if (this.#end + size > blockSize) {
      this.#block = Memory.allocate(blockSize);
      this.#end = 0;
    }
    const memory = this.#block;
    const at = this.#end;
    this.#end = at + size;
    if (size > loopSizeMax) {
      memory.u8.set(source.u8.subarray(from, from + size), at);
    } else {
      // As u32: a double could be changed by being copied, if its bytes look like a NaN.
      const [target, origin] = [memory.u32, source.u32];
      const words = size >> 2;
      for (let word = 0; word < words; word++) {
        target[(at >> 2) + word] = origin[(from >> 2) + word] ?? 0;
      }
    }
    return { memory, at, rowCount };
  }
}
