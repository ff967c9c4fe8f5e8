/** Bytes from a socket to a reader that takes them at its own pace. */

/** The sender is paused while so much waits. */
const sizeMax = 1 << 20;

const lineFeed = 0x0a;

/**
 * The bytes up to the last line feed. A line that the connection cut is dropped: half a number
 * looks like a number.
 */
export async function* wholeLines(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  let rest = new Uint8Array(0);
  for await (const bytes of source) {
    const joined = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const end = joined.lastIndexOf(lineFeed) + 1;
    rest = new Uint8Array(joined.subarray(end));
    if (end > 0) yield joined.subarray(0, end);
    else if (rest.length > lineSizeMax) rest = new Uint8Array(0);
  }
}

/** Longer than any line of a stream. */
const lineSizeMax = 64 << 10;

/** One reader, one writer. The writer is asked to stop while the queue is full. */
export class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #waiting: Uint8Array[] = [];
  #size = 0;
  #isEnded = false;
  #wake: (() => void) | undefined;
  /** Why it ended. */
  reason = "the stream ended";
  /** Called when there is room again. */
  onRoom: (() => void) | undefined;

  /** Takes over `bytes`; false when the writer must wait for `onRoom`. */
  push(bytes: Uint8Array): boolean {
    this.#waiting.push(bytes);
    this.#size += bytes.length;
    this.#wake?.();
    return this.#size < sizeMax;
  }

  end(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.reason = reason;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        const wasFull = this.#size >= sizeMax;
        this.#size -= bytes.length;
        if (wasFull && this.#size < sizeMax) this.onRoom?.();
        yield bytes;
        continue;
      }
      if (this.#isEnded) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
  }
}
