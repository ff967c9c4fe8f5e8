/**
 * Memory that the engine may be given an address of.
 *
 * `ptr()` of a small typed array dangles: such arrays live in the JavaScript heap and move. Memory
 * of an explicit `ArrayBuffer` stays where it is while the buffer is reachable. So an address is
 * kept only beside its buffer, as here; all else is passed as the view itself, each time.
 */
import { ptr, toArrayBuffer } from "bun:ffi";
import type { Pointer } from "bun:ffi";

/** A view is at most this large. */
const viewSizeMax = 2 ** 32;

/** Bytes at a fixed address; the address is good while this object is reachable. */
export class FixedBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: Pointer;

  /** **Throws** `RangeError` unless `size` is a whole number from 1 to 4 GiB. */
  constructor(size: number) {
    checkSize(size);
    const memory = new ArrayBuffer(size);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
    this.address = ptr(this.bytes);
  }

  get size(): number {
    return this.bytes.byteLength;
  }
}

/**
 * Native memory seen from JavaScript, without a copy. **Memory**: *segment*: the view must not be
 * used once the memory is unmapped. **Throws** `RangeError` for a size outside 1 to 4 GiB.
 */
export function viewNative(address: Pointer, size: number): ArrayBuffer {
  checkSize(size);
  return toArrayBuffer(address, 0, size);
}

function checkSize(size: number): void {
  if (!Number.isInteger(size) || size < 1 || size > viewSizeMax) {
    throw new RangeError(`a buffer has 1 to ${viewSizeMax} bytes, not ${size}`);
  }
}
