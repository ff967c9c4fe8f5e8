/**
 * Readers of formats that are no lines: each record becomes one JSON object on a line for the
 * native parser, so that one place decides which values a column takes. Where each line came from
 * is kept until its row is committed.
 */
import type { AnyTable } from "../schema/table.ts";
import { onOneLine, readable } from "./json-text.ts";
import type { IngestReject } from "./rejects.ts";
import type { ChunkReader } from "./source.ts";

/** Where a record came from. */
export interface Origin {
  /** Line of the source, from 1, on which the record or its document begins. */
  readonly line: number;
  /** Number of the record in its document, from 1. */
  readonly column: number | undefined;
  /** As it stood, in latin1. */
  readonly text: string;
}

/** What a reader finds. */
export interface RecordSink {
  /** A record, as a JSON object in latin1. */
  readonly row: (json: string, origin: Origin) => void;
  /** A record or document that cannot be read. */
  readonly refuse: (reason: string, origin: Origin) => void;
}

/** Reads one stream. */
export interface RecordReader {
  /** More bytes of the source; copied if they are kept. */
  readonly push: (bytes: Uint8Array) => void;
  /** Nothing follows. */
  readonly end: () => void | Promise<void>;
}

/** What records are read into. */
export interface ReaderTarget {
  readonly table: AnyTable;
  /** Columns by names of the source, given with `columns`; a name that maps to null is ignored. */
  readonly names: ReadonlyMap<string, string | null>;
}

/** What a reader is made for. */
export interface ReaderContext extends ReaderTarget {
  readonly sink: RecordSink;
}

interface Refused {
  /** Number of the line before it. */
  readonly after: number;
  readonly reject: IngestReject;
  readonly bytes: Uint8Array;
}

/**
 * Origins of the lines that were given to the parser and are not committed, and what was refused
 * between them: rejects are told in the order of the source.
 */
export class Origins {
  #first = 1;
  #origins: Origin[] = [];
  #refused: Refused[] = [];

  /** Keeps a reject until the lines before it have been parsed. */
  refuse(reject: IngestReject, bytes: Uint8Array): void {
    const after = this.#first + this.#origins.length - 1;
    this.#refused.push({ after, reject, bytes });
  }

  /** Takes the first reject that comes before the line of that number. */
  takeRefused(line: number): Refused | undefined {
    const first = this.#refused[0];
    return first !== undefined && first.after < line ? this.#refused.shift() : undefined;
  }

  add(origin: Origin): void {
    this.#origins.push(origin);
  }

  /** Of the line of that number, from 1. */
  at(line: number): Origin {
    return this.#origins[line - this.#first] ?? { line, column: undefined, text: "" };
  }

  /** Drops those of lines up to `line`. */
  forget(line: number): void {
    const count = line - this.#first + 1;
    if (count < this.#origins.length / 2) return;
    this.#origins = this.#origins.slice(count);
    this.#first += count;
  }
}

/**
 * The records of `reader` as lines. What is refused before any of them is told at once, the rest
 * through `origins`.
 */
export function openRecords(
  reader: ChunkReader,
  origins: Origins,
  onReject: (reject: IngestReject, bytes: Uint8Array) => void,
  make: (sink: RecordSink) => RecordReader,
): ChunkReader {
  let lines: string[] = [];
  const records = make({
    row: (json, origin) => {
      lines.push(onOneLine(json));
      origins.add(origin);
    },
    refuse: (reason, { line, column, text }) => {
      const reject: IngestReject = {
        line,
        column,
        field: undefined,
        code: "malformed",
        reason,
        text: readable(text),
      };
      const bytes = Buffer.from(text.slice(0, 1 << 20), "latin1");
      // All lines that were given before have been parsed.
      if (lines.length === 0) onReject(reject, bytes);
      else origins.refuse(reject, bytes);
    },
  });
  const raw = new Uint8Array(64 * 1024);
  let rest: Uint8Array = new Uint8Array(0);
  let ended = false;
  const read = async (target: Uint8Array): Promise<number> => {
    while (rest.length === 0 && !ended) {
      const size = await reader.read(raw);
      ended = size === 0;
      if (ended) await records.end();
      else records.push(raw.subarray(0, size));
      if (lines.length === 0) continue;
      rest = Buffer.from(`${lines.join("\n")}\n`, "latin1");
      lines = [];
    }
    const piece = rest.subarray(0, target.length);
    target.set(piece);
    rest = rest.subarray(piece.length);
    return piece.length;
  };
  return { totalBytes: undefined, live: reader.live, read, close: () => reader.close() };
}
