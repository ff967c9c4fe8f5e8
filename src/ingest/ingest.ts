/**
 * Streams a source into a table: bytes into a fixed window, the native parser over it, and one
 * transaction per batch of records. Memory does not depend on the source's length.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import { recordHeadSize } from "../schema/layout.ts";
import { detectFormat, type IngestFormat, isGzip, openGzip } from "./formats.ts";
import { findColumn, parseHeader } from "./header.ts";
import { IngestStop } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { getField } from "../ffi/struct.ts";
import { encodePlan, type LineFormat, lineSizeMax } from "./plan.ts";
import { mapReadsb, openReadsb, originOf } from "./readsb.ts";
import {
  excerpt,
  formatReject,
  type IngestReject,
  type RawReject,
  readReject,
  reasonText,
  RejectsFile,
} from "./rejects.ts";
import {
  type IngestEngine,
  type IngestMemory,
  type IngestSession,
  rejectSize,
  resultSize,
} from "./session.ts";
import { type IngestSource, openSource } from "./source.ts";
import { Window } from "./window.ts";

export interface IngestOptions {
  /** Default: by the name, else by the first bytes. */
  readonly format?: IngestFormat | undefined;
  /** Name of the source, for its format; default that of the file. */
  readonly name?: string | undefined;
  /**
   * Rows per transaction, 1 to 1,000,000. Default 1,024. Rows so large that a batch would take more
   * than 32 MiB are committed in smaller ones.
   */
  readonly batch?: number | undefined;
  /** A row whose value in this column is below the stored one's is dropped and counted `stale`. */
  readonly newestBy?: string | undefined;
  /**
   * Stop at the first bad line, or at a batch with a row that the table refuses; that batch is not
   * committed.
   */
  readonly strict?: boolean | undefined;
  /** The first line names the columns, in any order. For `tsv` and `csv`. */
  readonly header?: boolean | undefined;
  /** A JSON key that is no column makes its line bad. Default: it is ignored. */
  readonly refuseUnknown?: boolean | undefined;
  /** Path of a file for bad lines, created or emptied. */
  readonly rejects?: string | undefined;
  readonly onReject?: ((reject: IngestReject) => void) | undefined;
  /** After each piece of input, at most 256 KiB. */
  readonly onProgress?: ((progress: IngestProgress) => void) | undefined;
}

export interface IngestProgress {
  readonly rows: number;
  readonly rejected: number;
  /** Read so far, after decompression. */
  readonly bytes: number;
  /** Of the source, when known. */
  readonly totalBytes: number | undefined;
  readonly elapsedMs: number;
}

/** `inserted + updated + unchanged + stale + rejected` is `rows`. */
export interface IngestReport {
  readonly rows: number;
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly stale: number;
  readonly rejected: number;
  readonly batches: number;
  /** JSON keys that were no columns. */
  readonly unknownKeys: number;
  readonly elapsedMs: number;
}

const { fields } = layouts.IngestResult;
const batchDefault = 1_024;
const batchMax = 1_000_000;
const recordsSizeMax = 32 << 20;
const rejectRoom = 1_024;
/** The event loop gets a turn at least this often. */
const turnMs = 20;

/**
 * Ingests `source` into the engine's table.
 *
 * **Throws** `INVALID_VALUE` at the first bad line with `strict`, `UNKNOWN_FIELD` and `PARSE_ERROR`
 * for a header or column name, `IO_ERROR` and `PERMISSION` for files, and what a commit throws.
 * Batches committed before stay.
 */
export async function ingest(
  engine: IngestEngine,
  source: IngestSource,
  options: IngestOptions = {},
): Promise<IngestReport> {
  checkBatch(options.batch);
  const newestBy =
    options.newestBy === undefined
      ? undefined
      : findColumn(engine.table, options.newestBy, "newestBy").position;
  using rejectsFile = options.rejects === undefined ? undefined : new RejectsFile(options.rejects);
  const run = new Run(engine, options, rejectsFile);
  try {
    const plan = await run.open(source);
    using session = engine.begin(plan, run.memory, newestBy);
    await run.stream(session);
  } finally {
    await run.window.close();
  }
  rejectsFile?.flush();
  return run.report();
}

function checkBatch(batch: number | undefined): void {
  if (batch === undefined) return;
  if (!Number.isInteger(batch) || batch < 1 || batch > batchMax) {
    throw new RangeError(`batch is a number of rows from 1 to ${batchMax}, not ${batch}`);
  }
}

/** One source on its way in. */
class Run {
  readonly memory: IngestMemory;
  readonly window: Window;
  readonly #engine: IngestEngine;
  readonly #options: IngestOptions;
  readonly #rejectsFile: RejectsFile | undefined;
  readonly #recordRoom: number;
  readonly #rejectView: DataView;
  readonly #resultView: DataView;
  readonly #lines: BigUint64Array;
  readonly #startedAt = performance.now();
  #format: IngestFormat = "tsv";
  #turnAt = performance.now();
  #recordCount = 0;
  #rows = 0;
  #inserted = 0;
  #updated = 0;
  #unchanged = 0;
  #stale = 0;
  #rejected = 0;
  #batches = 0;
  #unknownKeys = 0;

  constructor(engine: IngestEngine, options: IngestOptions, rejectsFile: RejectsFile | undefined) {
    this.#engine = engine;
    this.#options = options;
    this.#rejectsFile = rejectsFile;
    const recordSize = recordHeadSize + engine.table.imageSize;
    const roomMax = Math.max(1, Math.floor(recordsSizeMax / recordSize));
    this.#recordRoom = Math.min(options.batch ?? batchDefault, roomMax);
    this.window = new Window();
    this.memory = {
      input: this.window.buffer,
      records: new ArrayBuffer(this.#recordRoom * recordSize),
      lines: new ArrayBuffer(this.#recordRoom * 8),
      rejects: new ArrayBuffer(rejectRoom * rejectSize),
      result: new ArrayBuffer(resultSize),
    };
    this.#rejectView = new DataView(this.memory.rejects);
    this.#resultView = new DataView(this.memory.result);
    this.#lines = new BigUint64Array(this.memory.lines);
  }

  /** Opens the source, finds out what it is, and makes the plan for it. */
  async open(source: IngestSource): Promise<Uint8Array<ArrayBuffer>> {
    const { table } = this.#engine;
    const { window } = this;
    const reader = await openSource(source);
    window.attach(reader);
    let head = await window.peekLine();
    if (isGzip(head)) {
      window.replace((taken) => openGzip(taken, reader));
      head = await window.peekLine();
    }
    if (head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf) window.skip(3);
    const name = this.#options.name ?? nameOf(source);
    this.#format = this.#options.format ?? detectFormat(name, window.bytes);

    let positions: readonly (ColumnDefinition | undefined)[] = table.columns;
    let lineFirst = 1;
    let format: LineFormat;
    if (this.#format === "readsb") {
      const mapping = mapReadsb(table);
      positions = mapping.positions;
      format = "tsv";
      window.chain((inner) =>
        openReadsb(inner, mapping, (reject) => this.#refuse(reject, Buffer.from(reject.text))),
      );
    } else {
      format = this.#format;
    }
    if (this.#options.header === true) {
      if (this.#format !== "tsv" && this.#format !== "csv") {
        throw new TypeError(`a header belongs to tsv or csv input, not to ${this.#format}`);
      }
      const line = await window.takeLine();
      lineFirst = 2;
      if (line !== undefined) positions = parseHeader(table, line, this.#format);
    }
    return encodePlan(table, {
      format,
      positions,
      lineFirst,
      refuseUnknown: this.#options.refuseUnknown ?? false,
      stopAtReject: this.#options.strict ?? false,
    });
  }

  async stream(session: IngestSession): Promise<void> {
    const { window } = this;
    let ended = false;
    while (!ended) {
      // A line end among the new bytes, or too many bytes without one.
      if (window.hasNewLine || window.size > lineSizeMax) this.#parse(session, false);
      this.#progress();
      const reading = window.fill();
      if (typeof reading === "boolean") {
        ended = !reading;
      } else {
        if (window.live && this.#recordCount > 0 && !(await isSoon(reading))) {
          this.#commit(session);
        }
        ended = !(await reading);
      }
      if (performance.now() - this.#turnAt > turnMs) await this.#giveTurn();
    }
    this.#parse(session, true);
    if (this.#recordCount > 0) this.#commit(session);
    this.#progress();
  }

  report(): IngestReport {
    return {
      rows: this.#rows,
      inserted: this.#inserted,
      updated: this.#updated,
      unchanged: this.#unchanged,
      stale: this.#stale,
      rejected: this.#rejected,
      batches: this.#batches,
      unknownKeys: this.#unknownKeys,
      elapsedMs: performance.now() - this.#startedAt,
    };
  }

  /** Parses what the window holds, committing each full batch. */
  #parse(session: IngestSession, final: boolean): void {
    const { window } = this;
    const view = this.#resultView;
    while (true) {
      const base = window.start;
      session.parse(base, window.size, final, this.#recordCount);
      const recordCount = getField(view, 0, fields.record_count);
      const rejectCount = getField(view, 0, fields.reject_count);
      const stop = getField(view, 0, fields.stop);
      this.#unknownKeys += getField(view, 0, fields.unknown_count);
      for (let index = 0; index < rejectCount; index += 1) {
        const { table } = this.#engine;
        const raw = readReject(table, this.#rejectView, index, window.memory, base);
        this.#refuse(this.#describe(raw), raw.bytes);
      }
      this.#rows += recordCount;
      this.#recordCount += recordCount;
      window.skip(getField(view, 0, fields.consumed));
      if (this.#recordCount === this.#recordRoom) this.#commit(session);
      if (stop === IngestStop.input) break;
    }
    window.hasNewLine = false;
  }

  #commit(session: IngestSession): void {
    const recordCount = this.#recordCount;
    this.#recordCount = 0;
    this.#commitRange(session, 0, recordCount);
  }

  /**
   * One transaction, unless the table refuses a record: then halves, until that record stands
   * alone and is a reject. The order of records is kept.
   */
  #commitRange(session: IngestSession, first: number, count: number): void {
    try {
      const counts = session.commit(first, count);
      this.#batches += 1;
      this.#inserted += counts.inserted;
      this.#updated += counts.updated;
      this.#unchanged += counts.unchanged;
      this.#stale += counts.stale;
    } catch (error) {
      if (!isRefusal(error) || this.#options.strict === true) throw error;
      if (count === 1) {
        this.#rows -= 1; // counted when it was parsed
        this.#refuse(this.#describeRefusal(first, error), new Uint8Array(0));
        return;
      }
      const half = count >> 1;
      this.#commitRange(session, first, half);
      this.#commitRange(session, first + half, count - half);
    }
  }

  #describe(raw: RawReject): IngestReject {
    const text = Buffer.from(raw.bytes).toString("utf8");
    const field = raw.definition?.name;
    const { code } = raw;
    if (this.#format === "readsb") {
      const origin = originOf(text);
      const reason = reasonText(code, raw.definition, undefined);
      return { line: origin.line, column: origin.aircraft, field, code, reason, text: origin.text };
    }
    const whole = code === "line_too_long" || code === "missing_key";
    const column = whole ? undefined : raw.column;
    const given = whole ? undefined : excerpt(this.#format, raw.bytes, raw.column);
    const reason = reasonText(code, raw.definition, given);
    return { line: raw.line, column, field, code, reason, text };
  }

  /** For readsb the line is the row's number: the snapshot is no longer at hand. */
  #describeRefusal(record: number, error: AerostoreError): IngestReject {
    return {
      line: Number(this.#lines[record] ?? 0n),
      column: undefined,
      field: error.column,
      code: "refused",
      reason: error.message,
      text: "",
    };
  }

  #refuse(reject: IngestReject, bytes: Uint8Array): void {
    this.#rows += 1;
    this.#rejected += 1;
    if (this.#options.strict === true) {
      const { table } = this.#engine;
      const message = `ingesting into ${table.name}: ${formatReject(reject)}`;
      throw new AerostoreError("INVALID_VALUE", message, {
        table: table.name,
        column: reject.field,
        line: reject.line,
        value: reject.text,
      });
    }
    const readsb = this.#format === "readsb";
    this.#rejectsFile?.write(reject, readsb ? Buffer.from(reject.text) : bytes);
    this.#options.onReject?.(reject);
  }

  #progress(): void {
    const { onProgress } = this.#options;
    if (onProgress === undefined) return;
    onProgress({
      rows: this.#rows,
      rejected: this.#rejected,
      bytes: this.window.bytesRead,
      totalBytes: this.window.totalBytes,
      elapsedMs: performance.now() - this.#startedAt,
    });
  }

  async #giveTurn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#turnAt = performance.now();
  }
}

/** Whether an error of a commit is the fault of a record in it. */
function isRefusal(error: unknown): error is AerostoreError {
  if (!(error instanceof AerostoreError)) return false;
  return error.code === "INVALID_VALUE" || error.code === "DUPLICATE_KEY";
}

function nameOf(source: IngestSource): string | undefined {
  if (!(source instanceof Blob) || !("name" in source)) return undefined;
  return typeof source.name === "string" ? source.name : undefined;
}

/** Whether `reading` settles within one turn of the event loop. */
async function isSoon(reading: Promise<unknown>): Promise<boolean> {
  const turn = new Promise<false>((resolve) => setImmediate(() => resolve(false)));
  const settled = reading.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, turn]);
}
