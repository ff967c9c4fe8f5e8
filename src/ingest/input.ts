/** A source that has been opened and looked at: what it holds, before a table is known for it. */
import { AerostoreError } from "../errors.ts";
import { compressionOf, openCompressed } from "./compression.ts";
import { detectFormat, type IngestFormat, recordFormat, type RecordFormat } from "./formats.ts";
import { checkIngestOptions, type IngestOptions } from "./options.ts";
import { type IngestSource, openSource } from "./source.ts";
import { Window } from "./window.ts";

/** From `openInput`; one `ingest` uses it up. */
export class IngestInput {
  readonly window: Window;
  readonly format: IngestFormat;
  /** Of the first line that is left. */
  readonly lineFirst: number;

  constructor(window: Window, format: IngestFormat, lineFirst: number) {
    this.window = window;
    this.format = format;
    this.lineFirst = lineFirst;
  }

  /** What reads its records, when they are no lines. */
  get records(): RecordFormat | undefined {
    return recordFormat(this.format);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.window.close();
  }
}

/**
 * Opens `source`, decompresses it, passes over the lines to skip, and finds out its format.
 *
 * **Throws** `IO_ERROR` and `PERMISSION` for files, `PARSE_ERROR` for UTF-16, `TypeError` and
 * `RangeError` for options. The caller closes the input, or hands it to `ingest`.
 */
export async function openInput(
  source: IngestSource,
  options: IngestOptions = {},
): Promise<IngestInput> {
  checkIngestOptions(options);
  const reader = await openSource(source);
  const window = new Window();
  window.attach(reader);
  try {
    const head = await window.peek((bytes, ended) =>
      ended || bytes.length >= 4 ? bytes : undefined,
    );
    const compression = compressionOf(head);
    if (compression !== undefined) {
      window.replace((taken) => openCompressed(compression, taken, reader));
    }
    await refuseUtf16(window);
    const skip = options.skip ?? 0;
    for (let line = 0; line < skip; line += 1) await window.takeLine();
    const name = options.name ?? nameOf(source);
    const format =
      options.format ??
      (await window.peek((bytes, ended) => {
        const rest = afterComments(bytes, options.comment, ended);
        return rest === undefined ? undefined : detectFormat(name, rest, ended);
      }));
    return new IngestInput(window, format, skip + 1);
  } catch (error) {
    await window.close();
    throw error;
  }
}

/** What follows the comments at the start; `undefined` when their end has not come. */
function afterComments(
  bytes: Uint8Array,
  comment: string | undefined,
  ended: boolean,
): Uint8Array | undefined {
  if (comment === undefined) return bytes;
  const mark = Buffer.from(comment);
  let rest = bytes;
  while (true) {
    if (rest.length < mark.length) return ended ? rest : undefined;
    if (!Buffer.from(rest.subarray(0, mark.length)).equals(mark)) return rest;
    const end = rest.indexOf(0x0a);
    if (end < 0) return ended ? rest.subarray(rest.length) : undefined;
    rest = rest.subarray(end + 1);
  }
}

/** Bytes that are half zeros are text in a wider encoding. */
async function refuseUtf16(window: Window): Promise<void> {
  const head = await window.peek((bytes, ended) =>
    ended || bytes.length >= 4 ? bytes : undefined,
  );
  const [a, b, c, d] = head;
  const isMarked = (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff);
  const isWide =
    head.length >= 4 && ((a === 0 && c === 0 && b !== 0) || (b === 0 && d === 0 && a !== 0));
  if (!isMarked && !isWide) return;
  throw new AerostoreError(
    "PARSE_ERROR",
    "reading the input: it is UTF-16 text; convert it to UTF-8, as " +
      "`iconv -f UTF-16 -t UTF-8` does, or save it as UTF-8",
  );
}

function nameOf(source: IngestSource): string | undefined {
  if (!(source instanceof Blob) || !("name" in source)) return undefined;
  return typeof source.name === "string" ? source.name : undefined;
}
