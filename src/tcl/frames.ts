/**
 * The frames between a Tcl interpreter and its bridge. All numbers are little-endian `u32`.
 *
 *     request   size, id, count, count sizes, then the bytes of the fields: UTF-8
 *     reply     size, id, status (0 ok, 1 error), count, count tags (a byte each), count sizes,
 *               then the bytes of the fields
 *
 * `size` counts what follows it. A field's tag says what its bytes are, so nothing in them is ever
 * looked at to find out, let alone evaluated.
 */
import { AerostoreError } from "../errors.ts";

/** What the bytes of a reply's field are. */
export const tags = { null: 0, ascii: 1, text: 2, bytes: 3 } as const;

const requestHeadSize = 8;
const replyHeadSize = 12;
/** Neither side ever sends more; a larger size is not a frame. */
const frameSizeMax = 2 ** 31 - 1;
const roomMin = 4_096;

/** One request: an operation and its arguments. */
export class Request {
  readonly id: number;
  readonly #fields: readonly Uint8Array[];

  constructor(id: number, fields: readonly Uint8Array[]) {
    this.id = id;
    this.#fields = fields;
  }

  get length(): number {
    return this.#fields.length;
  }

  /** The bytes of a field; empty when it is not there. Valid until the request is dropped. */
  bytes(index: number): Uint8Array {
    return this.#fields[index] ?? new Uint8Array(0);
  }

  /** A field as text. **Throws** `INVALID_VALUE` for half a pair of surrogates. */
  text(index: number): string {
    return decodeText(this.bytes(index));
  }

  /** A field as a whole number. */
  number(index: number): number {
    return Number(this.text(index));
  }

  /** The fields from `index` on, as text. **Throws** like `text`. */
  texts(index: number): string[] {
    return this.#fields.slice(index).map(decodeText);
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new AerostoreError("INVALID_VALUE", "text with half a pair of surrogates", { cause });
  }
}

/** Requests out of a stream of bytes. **Throws** `RangeError` for what is no frame. */
export async function* readRequests(
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Request, void> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  let wanted = 4;
  for await (const piece of input) {
    pieces.push(piece);
    size += piece.length;
    while (size >= wanted) {
      const bytes = pieces.length === 1 ? (pieces[0] ?? piece) : Buffer.concat(pieces);
      const frameSize = viewOf(bytes).getUint32(0, true);
      if (frameSize < requestHeadSize || frameSize > frameSizeMax) {
        throw new RangeError(`${frameSize} is not the size of a frame`);
      }
      wanted = 4 + frameSize;
      pieces = [bytes];
      if (size < wanted) break;
      yield parseRequest(bytes.subarray(4, wanted));
      pieces = size === wanted ? [] : [bytes.subarray(wanted)];
      size -= wanted;
      wanted = 4;
    }
  }
}

function parseRequest(body: Uint8Array): Request {
  const view = viewOf(body);
  const count = view.getUint32(4, true);
  let at = requestHeadSize + count * 4;
  if (at > body.length) throw new RangeError(`a frame of ${body.length} bytes, ${count} fields`);
  const fields: Uint8Array[] = [];
  for (let index = 0; index < count; index++) {
    const end = at + view.getUint32(requestHeadSize + index * 4, true);
    if (end > body.length) throw new RangeError(`field ${index} goes beyond its frame`);
    fields.push(body.subarray(at, end));
    at = end;
  }
  return new Request(view.getUint32(0, true), fields);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The fields of one reply, gathered. */
export class Reply {
  readonly #tags: number[] = [];
  readonly #sizes: number[] = [];
  #data: Buffer = Buffer.allocUnsafe(roomMin);
  #size = 0;

  /** A reply of these texts. */
  static of(...texts: readonly (string | number)[]): Reply {
    const reply = new Reply();
    for (const text of texts) reply.text(String(text));
    return reply;
  }

  text(text: string): void {
    this.#reserve(text.length * 3);
    const written = this.#data.write(text, this.#size, "utf8");
    // As many bytes as units of text: all of them are ASCII.
    this.#add(written === text.length ? tags.ascii : tags.text, written);
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#data.set(bytes, this.#size);
    this.#add(tags.bytes, bytes.length);
  }

  null(): void {
    this.#add(tags.null, 0);
  }

  /** The frame that answers request `id`. */
  encode(id: number, isError: boolean): Uint8Array {
    const count = this.#tags.length;
    const dataAt = 4 + replyHeadSize + count * 5;
    const frame = Buffer.allocUnsafe(dataAt + this.#size);
    frame.writeUInt32LE(frame.length - 4, 0);
    frame.writeUInt32LE(id, 4);
    frame.writeUInt32LE(isError ? 1 : 0, 8);
    frame.writeUInt32LE(count, 12);
    frame.set(this.#tags, 16);
    let at = 16 + count;
    for (const size of this.#sizes) at = frame.writeUInt32LE(size, at);
    frame.set(this.#data.subarray(0, this.#size), dataAt);
    return frame;
  }

  #add(tag: number, size: number): void {
    this.#tags.push(tag);
    this.#sizes.push(size);
    this.#size += size;
  }

  #reserve(size: number): void {
    const needed = this.#size + size;
    if (needed <= this.#data.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#data.length * 2));
    larger.set(this.#data.subarray(0, this.#size));
    this.#data = larger;
  }
}
