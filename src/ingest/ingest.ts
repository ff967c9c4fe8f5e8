/**
 * Streams a source into a table: bytes into a fixed window, the native parser over it, and one
 * transaction per batch of records. Memory does not depend on the source's length.
 */
import { AerostoreError } from "../errors.ts";
import { recordHeadSize } from "../schema/layout.ts";
import { IngestStop } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { getField } from "../ffi/struct.ts";
import { encodeNewest, type NewestBy } from "../schema/newest.ts";
import { chooseDialect, type Dialect, namesOfColumns } from "./dialect.ts";
import { readable } from "./json-text.ts";
import { IngestInput, openInput } from "./input.ts";
import { readJsonRows } from "./json-rows.ts";
import { checkIngestOptions, type IngestOptions } from "./options.ts";
import { encodePlan, lineSizeMax, type PlanOptions } from "./plan.ts";
import { openRecords, Origins, type ReaderContext, type RecordReader } from "./records.ts";
import {
  excerpt,
  formatReject,
  type IngestReject,
  type RawReject,
  readReject,
  reasonText,
  RejectsFile,
  separatorAdvice,
} from "./rejects.ts";
import {
  type IngestEngine,
  type IngestMemory,
  type IngestSession,
  rejectSize,
  resultSize,
} from "./session.ts";
import type { IngestSource } from "./source.ts";
import type { Window } from "./window.ts";

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
  source: IngestSource | IngestInput,
  options: IngestOptions = {},
): Promise<IngestReport> {
  checkIngestOptions(options);
  const input = source instanceof IngestInput ? source : await openInput(source, options);
  try {
    using rejectsFile =
      options.rejects === undefined ? undefined : new RejectsFile(options.rejects);
    const run = new Run(engine, input, options, rejectsFile);
    const newestBy = encodeNewest(engine.table, run.newestBy);
    const plan = await run.open();
    using session = engine.begin(plan, run.memory, newestBy);
    await run.stream(session);
    rejectsFile?.flush();
    return run.report();
  } finally {
    await input.close();
  }
}

/** One source on its way in. */
class Run {
  readonly memory: IngestMemory;
  readonly window: Window;
  readonly #engine: IngestEngine;
  readonly #input: IngestInput;
  readonly #options: IngestOptions;
  readonly #rejectsFile: RejectsFile | undefined;
  readonly #recordRoom: number;
  readonly #rejectView: DataView;
  readonly #resultView: DataView;
  readonly #lines: BigUint64Array;
  readonly #startedAt = performance.now();
  /** Of delimited text. */
  #dialect: Dialect | undefined;
  /** Of a format of records: where its lines came from. */
  #origins: Origins | undefined;
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

  constructor(
    engine: IngestEngine,
    input: IngestInput,
    options: IngestOptions,
    rejectsFile: RejectsFile | undefined,
  ) {
    this.#engine = engine;
    this.#input = input;
    this.#options = options;
    this.#rejectsFile = rejectsFile;
    const recordSize = recordHeadSize + engine.table.imageSize;
    const roomMax = Math.max(1, Math.floor(recordsSizeMax / recordSize));
    this.#recordRoom = Math.min(options.batch ?? batchDefault, roomMax);
    this.window = input.window;
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

  /**
   * By what rows are newer. Where a format knows the time of a position, and the table has a column
   * for it, a position goes by that.
   */
  get newestBy(): NewestBy | undefined {
    const { newestBy } = this.#options;
    const { table } = this.#engine;
    const stamp = this.#input.records?.positionTime?.(table);
    if (typeof newestBy !== "string" || stamp === undefined) return newestBy;
    const isOther = table.find(newestBy) !== table.find(stamp);
    const places = ["lat", "lon"].filter((name) => table.find(name) !== undefined);
    return isOther ? { [newestBy]: "*", [stamp]: places } : newestBy;
  }

  /** Makes the plan for what the source holds. */
  async open(): Promise<Uint8Array<ArrayBuffer>> {
    const { format } = this.#input;
    const { header } = this.#options;
    if (format === "tsv") return this.#openDelimited("tsv");
    if (format === "csv") return this.#openDelimited("csv");
    if (header === true) {
      throw new TypeError(`a header belongs to tsv or csv input, not to ${format}`);
    }
    const { table } = this.#engine;
    const names = namesOfColumns(table, this.#options.columns);
    const records = this.#input.records;
    if (format === "ndjson") {
      this.#options.onLook?.("one JSON object on a line", true);
      return encodePlan(table, { ...this.#planOptions(), format: "ndjson", names });
    }
    const make = await this.#recordReader(format, names);
    const origins = new Origins();
    this.#origins = origins;
    this.window.chain((inner) =>
      openRecords(inner, origins, (reject, bytes) => this.#refuse(reject, bytes), make),
    );
    const look = records === undefined ? `rows of ${format}` : `${format} records`;
    this.#options.onLook?.(look, this.#options.format !== undefined);
    const round = this.#options.round ?? records !== undefined;
    // A reader of records has given them the names of columns; rows keep their own.
    const own = records === undefined ? { names } : {};
    return encodePlan(table, {
      ...this.#planOptions(),
      ...own,
      format: "ndjson",
      round,
      lineFirst: 1,
    });
  }

  async #openDelimited(format: "tsv" | "csv"): Promise<Uint8Array<ArrayBuffer>> {
    const { window } = this;
    const { comment } = this.#options;
    let lineFirst = this.#input.lineFirst;
    let line = await this.#firstLine();
    while (comment !== undefined && line?.startsWith(comment) === true) {
      await window.takeLine();
      lineFirst += 1;
      line = await this.#firstLine();
    }
    const { table } = this.#engine;
    let options: IngestOptions = this.#options;
    const told = /^sep=([^\r\n\x80-\uffff])$/i.exec(line ?? "")?.[1];
    if (told !== undefined && format === "csv") {
      // Spreadsheets say their separator in a line of its own.
      await window.takeLine();
      lineFirst += 1;
      line = await this.#firstLine();
      options = { ...options, separator: options.separator ?? told };
    }
    const dialect = chooseDialect(table, format, line, options);
    this.#dialect = dialect;
    if (dialect.hasHeader) {
      await window.takeLine();
      lineFirst += 1;
    }
    this.#options.onLook?.(dialect.description, dialect.isUsual);
    const { positions, separator, quote, escapes, ignoresExtra } = dialect;
    return encodePlan(table, {
      ...this.#planOptions(),
      format,
      positions,
      separator,
      quote,
      escapes,
      ignoreExtra: ignoresExtra,
      lineFirst,
    });
  }

  /** The first line that is left, which stays; `undefined` at the end. */
  async #firstLine(): Promise<string | undefined> {
    const bytes = await this.window.peekLine();
    if (this.window.size === 0) return undefined;
    return Buffer.from(bytes)
      .toString("utf8")
      .replace(/^\ufeff/, "")
      .replace(/\r$/, "");
  }

  #planOptions(): Omit<PlanOptions, "format"> {
    const { comment, decimalComma, round, timeUnit } = this.#options;
    return {
      lineFirst: this.#input.lineFirst,
      nulls: this.#options.null ?? [],
      refuseUnknown: this.#options.refuseUnknown ?? false,
      stopAtReject: this.#options.strict ?? false,
      ...(comment === undefined ? {} : { comment }),
      ...(decimalComma === undefined ? {} : { decimalComma }),
      ...(round === undefined ? {} : { round }),
      ...(timeUnit === undefined ? {} : { timeUnit }),
    };
  }

  async #recordReader(
    format: string,
    names: ReadonlyMap<string, string | null>,
  ): Promise<(sink: ReaderContext["sink"]) => RecordReader> {
    const { table } = this.#engine;
    const records = this.#input.records;
    if (records !== undefined) return records.open({ table, names });
    if (format === "json") return (sink) => readJsonRows({ table, names, sink });
    const { openParquet } = await import("./parquet.ts");
    return openParquet();
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
        this.#tellRefused(raw.line);
        this.#refuse(this.#describe(raw), raw.bytes);
      }
      this.#tellRefused(getField(view, 0, fields.line_next));
      this.#rows += recordCount;
      this.#recordCount += recordCount;
      window.skip(getField(view, 0, fields.consumed));
      if (this.#recordCount === this.#recordRoom) this.#commit(session);
      if (stop === IngestStop.input) break;
    }
    window.hasNewLine = false;
  }

  /** Tells what a reader of records has refused before the line of that number. */
  #tellRefused(line: number): void {
    let refused = this.#origins?.takeRefused(line);
    while (refused !== undefined) {
      this.#refuse(refused.reject, refused.bytes);
      refused = this.#origins?.takeRefused(line);
    }
  }

  #commit(session: IngestSession): void {
    const recordCount = this.#recordCount;
    this.#recordCount = 0;
    this.#commitRange(session, 0, recordCount);
    this.#origins?.forget(Number(this.#lines[recordCount - 1] ?? 0n));
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
    const whole = code === "line_too_long" || code === "missing_key";
    const given = whole ? undefined : excerpt(this.#dialect, raw.bytes, raw.column);
    const reason = reasonText(code, raw.definition, given) + this.#advice(raw);
    if (this.#origins !== undefined) {
      const origin = this.#origins.at(raw.line);
      const { line, column } = origin;
      return { line, column, field, code, reason, text: readable(origin.text, lineSizeMax) };
    }
    const column = whole ? undefined : raw.column;
    return { line: raw.line, column, field, code, reason, text };
  }

  #advice({ code, bytes, column }: RawReject): string {
    const dialect = this.#dialect;
    if (code === "malformed" && dialect === undefined) {
      if (bytes[0] === 0x5b) return ": a list of rows, whose format is json";
      const found = Buffer.from(bytes.subarray(column - 1, column + 19)).toString("utf8");
      return found === "" ? ": JSON that is cut off" : `: no JSON at ${JSON.stringify(found)}`;
    }
    if (dialect === undefined) {
      const isHalf =
        code === "invalid_utf8" && /\\u[dD][89a-fA-F]/.test(Buffer.from(bytes).toString("latin1"));
      return isHalf ? ": half of a surrogate pair" : "";
    }
    const isCount = code === "missing_column" || code === "extra_column";
    return isCount ? separatorAdvice(dialect, bytes, dialect.positions.length) : "";
  }

  /** The row is no longer at hand: only where it came from. */
  #describeRefusal(record: number, error: AerostoreError): IngestReject {
    const number = Number(this.#lines[record] ?? 0n);
    const origin = this.#origins?.at(number);
    return {
      line: origin?.line ?? number,
      column: origin?.column,
      field: error.column,
      code: "refused",
      reason: error.message,
      text: origin === undefined ? "" : readable(origin.text, lineSizeMax),
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
    this.#rejectsFile?.write(
      reject,
      this.#origins === undefined ? bytes : Buffer.from(reject.text.replace(/\s*\n\s*/g, " ")),
    );
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

/** Whether `reading` settles within one turn of the event loop. */
async function isSoon(reading: Promise<unknown>): Promise<boolean> {
  const turn = new Promise<false>((resolve) => setImmediate(() => resolve(false)));
  const settled = reading.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, turn]);
}
