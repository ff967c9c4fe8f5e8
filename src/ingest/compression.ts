/** Compressed sources: gzip and Zstandard, told by their first bytes. */
import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { AerostoreError } from "../errors.ts";
import { type ChunkReader, StreamReader } from "./source.ts";

interface Compression {
  readonly name: string;
  readonly magic: readonly number[];
  readonly open: () => Transform;
}

const compressions: readonly Compression[] = [
  { name: "gzip", magic: [0x1f, 0x8b], open: () => createGunzip() },
  { name: "zstd", magic: [0x28, 0xb5, 0x2f, 0xfd], open: () => createZstdDecompress() },
];

/** How bytes are compressed, by how they begin. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  return compressions.find(({ magic }) => magic.every((byte, index) => head[index] === byte));
}

/**
 * What `reader`, of which `head` has been read already, holds compressed. Reading **throws**
 * `IO_ERROR` when that is damaged or cut.
 */
export function openCompressed(
  { name, open }: Compression,
  head: Uint8Array,
  reader: ChunkReader,
): ChunkReader {
  async function* compressed(): AsyncGenerator<Uint8Array> {
    yield head;
    const buffer = new Uint8Array(64 * 1024);
    while (true) {
      const size = await reader.read(buffer);
      if (size === 0) return;
      yield buffer.slice(0, size);
    }
  }
  async function* plain(): AsyncGenerator<Uint8Array> {
    const decoder = open();
    // The failure of either end reaches the loop below through `decoder`.
    const copied = pipeline(Readable.from(compressed(), { objectMode: false }), decoder);
    copied.catch(() => undefined);
    try {
      for await (const piece of decoder) {
        if (piece instanceof Uint8Array) yield piece;
      }
    } catch (error) {
      if (error instanceof AerostoreError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new AerostoreError(
        "IO_ERROR",
        `reading ${name} input: it is damaged or cut (${reason})`,
        {
          cause: error,
        },
      );
    } finally {
      decoder.destroy();
    }
  }
  const inner = new StreamReader(plain(), reader.live);
  return {
    totalBytes: undefined,
    live: reader.live,
    read: (target) => inner.read(target),
    close: async () => {
      await inner.close();
      await reader.close();
    },
  };
}
