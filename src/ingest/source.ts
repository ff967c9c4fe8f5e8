/**
 * Where bytes come from. Everything that can be ingested becomes a `ChunkReader`, which fills
 * memory that the caller owns, so a source of any length needs no more than the caller's buffer.
 */
import { type FileHandle, open } from "node:fs/promises";
import { AerostoreError } from "../errors.ts";

/** Text, bytes, a file (`Bun.file(path)`, `Bun.stdin`) or any other blob, or a stream of bytes. */
export type IngestSource =
  string | Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** Bytes on demand. */
export interface ChunkReader {
  /** Of the whole source, when known beforehand. */
  readonly totalBytes: number | undefined;
  /** Bytes arrive when they happen: what has been read should not wait for more. */
  readonly live: boolean;
  /** Fills `target` from its start, at least 4 bytes large; the number of bytes, 0 at the end. */
  read(target: Uint8Array): number | Promise<number>;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * A reader over `source`. **Throws** `IO_ERROR` or `PERMISSION` for a file that cannot be opened,
 * `TypeError` for what is no source.
 */
export async function openSource(source: IngestSource): Promise<ChunkReader> {
  if (typeof source === "string") return new TextReader(source);
  if (source instanceof Uint8Array) return new BytesReader(source);
  if (source instanceof ArrayBuffer) return new BytesReader(new Uint8Array(source));
  if (source instanceof Blob) {
    const path = pathOf(source);
    return path === undefined ? new StreamReader(source.stream()) : openFile(path);
  }
  if (isAsyncIterable(source)) return new StreamReader(source);
  throw new TypeError("a source is text, bytes, a file or a stream of bytes");
}

/** A `File` has a name too, but of no file here. */
function pathOf(blob: Blob): string | undefined {
  if (blob instanceof File) return undefined;
  return "name" in blob && typeof blob.name === "string" ? blob.name : undefined;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

class BytesReader implements ChunkReader {
  readonly totalBytes: number;
  readonly live = false;
  #rest: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.totalBytes = bytes.length;
    this.#rest = bytes;
  }

  read(target: Uint8Array): number {
    const piece = this.#rest.subarray(0, target.length);
    target.set(piece);
    this.#rest = this.#rest.subarray(piece.length);
    return piece.length;
  }

  async close(): Promise<void> {}
}

/** Encodes as it goes: the text is never held twice. */
class TextReader implements ChunkReader {
  readonly totalBytes = undefined;
  readonly live = false;
  readonly #encoder = new TextEncoder();
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(target: Uint8Array): number {
    // A unit of text takes at least one byte, half a pair of surrogates three: so no more of them
    // can fit, and a pair that the slice cuts in two never does.
    const end = this.#at + target.length;
    const { read, written } = this.#encoder.encodeInto(this.#text.slice(this.#at, end), target);
    this.#at += read;
    return written;
  }

  async close(): Promise<void> {}
}

async function openFile(path: string): Promise<ChunkReader> {
  try {
    const handle = await open(path, "r");
    const stat = await handle.stat();
    if (stat.isDirectory()) {
      await handle.close();
      throw new AerostoreError("IO_ERROR", `reading "${path}": it is a directory`, { path });
    }
    return new FileReader(path, handle, stat.isFile() ? stat.size : undefined);
  } catch (error) {
    throw fileError(`reading "${path}"`, path, error);
  }
}

class FileReader implements ChunkReader {
  readonly totalBytes: number | undefined;
  readonly live: boolean;
  readonly #path: string;
  #handle: FileHandle | undefined;

  constructor(path: string, handle: FileHandle, totalBytes: number | undefined) {
    this.#path = path;
    this.#handle = handle;
    this.totalBytes = totalBytes;
    this.live = totalBytes === undefined;
  }

  async read(target: Uint8Array): Promise<number> {
    if (this.#handle === undefined) return 0;
    try {
      const { bytesRead } = await this.#handle.read(target, 0, target.length, null);
      return bytesRead;
    } catch (error) {
      throw fileError(`reading "${this.#path}"`, this.#path, error);
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

/** Pieces of any size, cut to the caller's. */
export class StreamReader implements ChunkReader {
  readonly totalBytes = undefined;
  readonly live: boolean;
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  #waiting = false;

  constructor(stream: AsyncIterable<Uint8Array>, live = true) {
    this.#pieces = stream[Symbol.asyncIterator]();
    this.live = live;
  }

  read(target: Uint8Array): number | Promise<number> {
    return this.#rest.length > 0 ? this.#take(target) : this.#next(target);
  }

  async #next(target: Uint8Array): Promise<number> {
    while (this.#rest.length === 0) {
      this.#waiting = true;
      const piece = await this.#pieces.next().finally(() => {
        this.#waiting = false;
      });
      if (piece.done === true) return 0;
      if (!(piece.value instanceof Uint8Array)) {
        throw new TypeError("a stream to ingest gives Uint8Arrays");
      }
      this.#rest = piece.value;
    }
    return this.#take(target);
  }

  #take(target: Uint8Array): number {
    const piece = this.#rest.subarray(0, target.length);
    target.set(piece);
    this.#rest = this.#rest.subarray(piece.length);
    return piece.length;
  }

  async close(): Promise<void> {
    this.#rest = new Uint8Array(0);
    const returned = this.#pieces.return?.();
    // Behind a piece that may never come: nobody waits for that.
    if (this.#waiting) returned?.catch(() => undefined);
    else await returned;
  }
}

/** An error of the file system as ours. */
export function fileError(attempt: string, path: string, error: unknown): AerostoreError {
  if (error instanceof AerostoreError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file or directory",
    EISDIR: "it is a directory",
    ENOTDIR: "a part of the path is not a directory",
    EACCES: "permission denied",
    EPERM: "permission denied",
    EROFS: "the file system is read-only",
    ENOSPC: "no space is left on the device",
  };
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  const reason = reasons[code] ?? (error instanceof Error ? error.message : String(error));
  return new AerostoreError(denied ? "PERMISSION" : "IO_ERROR", `${attempt}: ${reason}`, {
    path,
    cause: error,
  });
}
