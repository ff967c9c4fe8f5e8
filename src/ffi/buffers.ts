/**
 * Native memory as JavaScript sees it. The other way, `ptr()` of a small typed array dangles: such
 * arrays live in the JavaScript heap and move. Memory goes to the engine as the view itself, each
 * time.
 */
import { toArrayBuffer } from "bun:ffi";
import type { Pointer } from "bun:ffi";

/** A view is at most this large. */
const viewSizeMax = 2 ** 32;

/**
 * Native memory seen from JavaScript, without a copy. **Memory**: *segment*: the view must not be
 * used once the memory is unmapped. **Throws** `RangeError` for a size outside 1 to 4 GiB.
 */
export function viewNative(address: number, size: number): ArrayBuffer {
  checkSize(size);
  return toArrayBuffer(address as Pointer, 0, size);
}

function checkSize(size: number): void {
  if (!Number.isInteger(size) || size < 1 || size > viewSizeMax) {
    throw new RangeError(`a buffer has 1 to ${viewSizeMax} bytes, not ${size}`);
  }
}
