/**
 * The part of a source that is in memory: a fixed buffer, shared with the native parser, in which
 * bytes wait from when they are read until their lines are consumed.
 */
import type { ChunkReader } from "./source.ts";
import { lineSizeMax } from "./plan.ts";

/** Read at a time: small enough to stay in the cache until it is parsed. */
const readSize = 256 * 1024;
/** Room for the longest line and one read more. */
const capacity = lineSizeMax + 4 * readSize;

const newline = 0x0a;

/** The memory of a window that was closed: streams come one after the other. */
let kept: ArrayBuffer | undefined;

function takeMemory(): ArrayBuffer {
  const memory = kept ?? new ArrayBuffer(capacity);
  kept = undefined;
  return memory;
}

/** Bytes `start` to `start + size` of `memory` are unconsumed. */
export class Window {
  /** The window's until it is closed. */
  readonly buffer: ArrayBuffer = takeMemory();
  readonly memory: Uint8Array = new Uint8Array(this.buffer);
  /** Read in all, from the innermost reader's point of view. */
  bytesRead = 0;
  /** There may be line ends among bytes that no one has looked at. */
  hasNewLine = false;
  #isClosed = false;
  #reader: ChunkReader | undefined;
  #start = 0;
  #end = 0;

  get start(): number {
    return this.#start;
  }

  get size(): number {
    return this.#end - this.#start;
  }

  /** The unconsumed bytes; valid until the next `fill`. */
  get bytes(): Uint8Array {
    return this.memory.subarray(this.#start, this.#end);
  }

  get live(): boolean {
    return this.#reader?.live ?? false;
  }

  get totalBytes(): number | undefined {
    return this.#reader?.totalBytes;
  }

  attach(reader: ChunkReader): void {
    this.#reader = reader;
  }

  /** Hands what has been read to the maker of another reader, and starts over with that. */
  replace(make: (taken: Uint8Array) => ChunkReader): void {
    const taken = this.bytes.slice();
    this.#start = 0;
    this.#end = 0;
    this.hasNewLine = false;
    this.bytesRead = 0;
    this.#reader = make(taken);
  }

  /** Puts a reader before the present one, which will give again what has been read. */
  chain(make: (inner: ChunkReader) => ChunkReader): void {
    const inner = this.#reader;
    if (inner === undefined) return;
    this.replace((taken) => make(prepend(taken, inner)));
  }

  /** Consumes bytes. */
  skip(size: number): void {
    this.#start = Math.min(this.#end, this.#start + size);
  }

  /** Reads once; false at the end of the source. There is always room for a longest line. */
  fill(): boolean | Promise<boolean> {
    if (this.#reader === undefined) return false;
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    } else if (capacity - this.#end < readSize) {
      this.memory.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    const target = this.memory.subarray(this.#end, Math.min(capacity, this.#end + readSize));
    const reading = this.#reader.read(target);
    if (typeof reading === "number") return this.#filled(reading);
    return reading.then((size) => this.#filled(size));
  }

  /**
   * Reads until `decide` has an answer about the unconsumed bytes; `ended` tells it that there are
   * no more, or that there is no room for more.
   */
  async peek<T>(decide: (bytes: Uint8Array, ended: boolean) => T | undefined): Promise<T> {
    while (true) {
      const answer = decide(this.bytes, false);
      if (answer !== undefined) return answer;
      const ended = this.size > lineSizeMax || !(await this.fill());
      const last = ended ? decide(this.bytes, true) : undefined;
      if (last !== undefined) return last;
      if (ended) throw new Error("a decision about a source was left open at its end");
    }
  }

  /** The first line without its end, unconsumed, at most 1 MiB of it. */
  async peekLine(): Promise<Uint8Array> {
    return this.peek((bytes, ended) => {
      const end = bytes.indexOf(newline);
      if (end < 0) return ended || bytes.length > lineSizeMax ? bytes : undefined;
      return bytes.subarray(0, end);
    });
  }

  /**
   * Consumes the first line and gives its text without the end; `undefined` when there is nothing.
   * A line over the limit is cut.
   */
  async takeLine(): Promise<string | undefined> {
    let end = this.bytes.indexOf(newline);
    while (end < 0 && this.size <= lineSizeMax && (await this.fill())) {
      end = this.bytes.indexOf(newline);
    }
    if (this.size === 0) return undefined;
    const size = end < 0 ? this.size : end;
    const text = Buffer.from(this.bytes.subarray(0, size)).toString("utf8");
    this.skip(size + 1);
    return text.endsWith("\r") ? text.slice(0, -1) : text;
  }

  /** Idempotent. The memory belongs to the next window afterwards. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.close();
    kept = this.buffer;
  }

  #filled(size: number): boolean {
    if (this.memory.subarray(this.#end, this.#end + size).includes(newline)) this.hasNewLine = true;
    this.#end += size;
    this.bytesRead += size;
    return size > 0;
  }
}

/** `reader` with bytes before its own. */
function prepend(bytes: Uint8Array, reader: ChunkReader): ChunkReader {
  let rest = bytes;
  return {
    totalBytes: reader.totalBytes,
    live: reader.live,
    read: (target) => {
      if (rest.length === 0) return reader.read(target);
      const piece = rest.subarray(0, target.length);
      target.set(piece);
      rest = rest.subarray(piece.length);
      return piece.length;
    },
    close: () => reader.close(),
  };
}
