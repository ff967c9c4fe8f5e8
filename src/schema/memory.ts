/**
 * Typed views over one buffer, made once and shared by every codec that works on it. Images lie at
 * multiples of 8, so each number of an image is an element of one of these arrays.
 */

/** Views over the whole of one `ArrayBuffer`, whose size is a multiple of 8. */
export class Memory {
  readonly buffer: ArrayBuffer;
  readonly u8: Buffer;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;

  /** Keeps `buffer`, which must be an explicit `ArrayBuffer` if native code is to see it. */
  constructor(buffer: ArrayBuffer) {
    if (buffer.byteLength % 8 !== 0) throw new RangeError("a Memory's size is a multiple of 8");
    this.buffer = buffer;
    this.u8 = Buffer.from(buffer);
    this.i8 = new Int8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i16 = new Int16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.u64 = new BigUint64Array(buffer);
  }

  /** A `Memory` over a new buffer of at least `size` bytes, zeroed. */
  static allocate(size: number): Memory {
    return new Memory(new ArrayBuffer(Math.ceil(size / 8) * 8));
  }
}
