/** What kind of input this is, told by its name or by how it begins; gzip on the way. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { AerostoreError } from "../errors.ts";
import { type ChunkReader, StreamReader } from "./source.ts";

export type IngestFormat = "tsv" | "csv" | "ndjson" | "readsb";

const formatsByExtension: ReadonlyMap<string, IngestFormat> = new Map([
  ["tsv", "tsv"],
  ["tab", "tsv"],
  ["csv", "csv"],
  ["ndjson", "ndjson"],
  ["jsonl", "ndjson"],
]);

/**
 * The format of a source. An extension decides (`.gz` behind it is passed over), else the first
 * bytes: a JSON object is `readsb` when it has an `aircraft` list, otherwise `ndjson`; a tab in the
 * first line means `tsv`, a comma `csv`, neither `tsv`.
 */
export function detectFormat(name: string | undefined, head: Uint8Array): IngestFormat {
  const extension = /\.([a-z]+)(?:\.gz)?$/i.exec(name ?? "")?.[1]?.toLowerCase() ?? "";
  const known = formatsByExtension.get(extension);
  if (known !== undefined) return known;
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString("latin1");
  if (/^\s*\{/.test(text)) return /"aircraft"\s*:\s*\[/.test(text) ? "readsb" : "ndjson";
  const [line = ""] = text.split("\n", 1);
  return !line.includes("\t") && line.includes(",") ? "csv" : "tsv";
}

/** Whether bytes begin as gzip does. */
export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/**
 * What `reader`, of which `head` has been read already, holds compressed. Reading **throws**
 * `IO_ERROR` when that is not whole gzip.
 */
export function openGzip(head: Uint8Array, reader: ChunkReader): ChunkReader {
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
    const gunzip = createGunzip();
    // The failure of either end reaches the loop below through `gunzip`.
    const copied = pipeline(Readable.from(compressed(), { objectMode: false }), gunzip);
    copied.catch(() => undefined);
    try {
      for await (const piece of gunzip) {
        if (piece instanceof Uint8Array) yield piece;
      }
    } catch (error) {
      if (error instanceof AerostoreError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new AerostoreError("IO_ERROR", `reading gzip input: it is damaged or cut (${reason})`, {
        cause: error,
      });
    } finally {
      gunzip.destroy();
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
