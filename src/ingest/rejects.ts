/** Bad lines: what is wrong with them in words, and the file that they are collected in. */
import { closeSync, openSync, writeSync } from "node:fs";
import { IngestFault } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { getField, nameOf } from "../ffi/struct.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import type { AnyTable } from "../schema/table.ts";
import { describeValue, typeName } from "../schema/value.ts";
import { type Dialect, splitFields } from "./dialect.ts";
import { rejectSize } from "./session.ts";
import { fileError } from "./source.ts";

const { fields } = layouts.IngestReject;

/**
 * Why a line was not taken. `refused`: the line is fine, but the table would not take the row;
 * `none`: the parser gave a reason that this version does not know.
 */
export type RejectCode = keyof typeof IngestFault | "none" | "refused";

/** A line that was not taken. */
export interface IngestReject {
  /** From 1; a row of several lines counts by its first. */
  readonly line: number;
  /**
   * From 1: the field of a delimited line, the byte of a JSON line, the aircraft of a readsb
   * snapshot. `undefined` when the line as a whole is meant.
   */
  readonly column: number | undefined;
  /** The table's column, when one is meant. */
  readonly field: string | undefined;
  readonly code: RejectCode;
  /** One line for people. */
  readonly reason: string;
  /** The line without its end, cut at 1 MiB; empty when it is no longer at hand (`refused`). */
  readonly text: string;
}

/** A reject as the native parser wrote it. */
export interface RawReject {
  readonly line: number;
  readonly column: number;
  readonly code: RejectCode;
  readonly definition: ColumnDefinition | undefined;
  /** The raw line, in the memory given; valid until that is reused. */
  readonly bytes: Uint8Array;
}

/** Reads `Reject` number `index` of `rejects`, whose offsets count from `base` in `input`. */
export function readReject(
  table: AnyTable,
  rejects: DataView,
  index: number,
  input: Uint8Array,
  base: number,
): RawReject {
  const at = index * rejectSize;
  const start = base + getField(rejects, at, fields.offset);
  return {
    line: getField(rejects, at, fields.line),
    column: getField(rejects, at, fields.column),
    code: nameOf(IngestFault, getField(rejects, at, fields.reason)) ?? "none",
    definition: table.columns[getField(rejects, at, fields.field)],
    bytes: input.subarray(start, start + getField(rejects, at, fields.size)),
  };
}

/**
 * What a reason says about a column, and of the text that was given for it, when that is known.
 */
export function reasonText(
  code: RejectCode,
  column: ColumnDefinition | undefined,
  given: string | undefined,
): string {
  const name = column === undefined ? "a column" : `"${column.name}"`;
  const type = column === undefined ? "its type" : typeName(column);
  const value = given === undefined ? "the value" : describeValue(given);
  switch (code) {
    case "missing_column":
      return column === undefined ? "missing columns" : `missing column ${name}`;
    case "extra_column":
      return "unexpected extra columns";
    case "empty_value":
      return `no value for ${name}, which has neither default nor null`;
    case "not_nullable":
      return `${name} cannot be null`;
    case "not_a_number":
      return `${name} (${type}): ${value} is not a number${numberAdvice(given)}`;
    case "out_of_range":
      return `${name} (${type}): ${value} is out of range`;
    case "too_precise":
      return `${name} (${type}): ${value} has too many decimals`;
    case "too_long":
      return `${name} (${type}): ${value} is too long`;
    case "invalid_utf8":
      return `${name} (${type}): invalid UTF-8`;
    case "not_a_bool":
      return (
        `${name} (${type}): ${value} is not one of ` +
        "true, false, t, f, yes, no, y, n, on, off, 1, 0"
      );
    case "unknown_label":
      return `${name} (${type}): ${value} is not one of its labels`;
    case "not_hex":
      return `${name} (${type}): ${value} is not an even number of hexadecimal digits`;
    case "wrong_kind":
      return `${name} (${type}): a JSON value of the wrong kind, ${value}`;
    case "malformed":
      return "malformed line";
    case "line_too_long":
      return "line longer than 1 MiB";
    case "missing_key":
      return `no value for ${name}, the primary key`;
    case "empty_key":
      return `${name}, the primary key, is empty`;
    case "duplicate_field":
      return `${name} is given twice`;
    case "unknown_field":
      return `no column has the name ${value}`;
    case "is_nan":
      return `${name} (${type}): NaN cannot be stored`;
    case "not_a_time":
      return (
        `${name} (${type}): ${value} is not a time; it is a number of milliseconds since 1970 ` +
        "or like 2024-01-02T03:04:05Z"
      );
    case "refused":
      return "the table refused the row";
    case "none":
      return "unreadable line";
  }
}

function numberAdvice(given: string | undefined): string {
  if (given === undefined) return "";
  if (/^"?[-+]?\d{1,3}(?:[,. '\u00a0]\d{3})+(?:[.,]\d+)?"?$/.test(given)) {
    return "; thousands are written without separators";
  }
  return /^"?[-+]?\d+,\d+"?$/.test(given) ? "; with decimalComma a comma is the point" : "";
}

/** What a line with too few or too many fields looks like. */
export function separatorAdvice(
  { separator, quote, escapes }: Dialect,
  line: Uint8Array,
  expected: number,
): string {
  const text = Buffer.from(line.subarray(0, 4096)).toString("utf8");
  const count = splitFields(text, { separator, quote, escapes }).length;
  const words = `; the line has ${count} of ${expected}`;
  if (count > 1 || expected < 2) return words;
  const other = [",", ";", "|", "\t", " "].find(
    (each) => splitFields(text, { separator: each, quote, escapes }).length === expected,
  );
  if (other === undefined) return words;
  return `${words}, but ${expected} with the separator ${JSON.stringify(other)}`;
}

/** What stands at a reject's column, as far as a message wants it; `undefined` when unclear. */
export function excerpt(
  dialect: Dialect | undefined,
  line: Uint8Array,
  column: number,
): string | undefined {
  if (dialect !== undefined) {
    return splitFields(Buffer.from(line.subarray(0, 4096)).toString("utf8"), dialect)[column - 1];
  }
  const rest = Buffer.from(line.subarray(column - 1, column + 99)).toString("utf8");
  return /^(?:"(?:[^"\\]|\\.)*"|[^,}\]\s]*)/.exec(rest)?.[0];
}

/** A reject as one line: `line 3, column 2: "lat" (decimal(6)): "x" is not a number`. */
export function formatReject(reject: IngestReject): string {
  const column = reject.column === undefined ? "" : `, column ${reject.column}`;
  return `line ${reject.line}${column}: ${reject.reason}`;
}

const pendingSizeMax = 64 * 1024;

/**
 * A file of rejects: line, column, reason and the raw line, separated by tabs, so that
 * `cut -f4-` gives back what can be corrected and ingested again.
 */
export class RejectsFile implements Disposable {
  readonly path: string;
  #file: number | undefined;
  #pending: Uint8Array[] = [];
  #pendingSize = 0;

  /** Creates or empties the file. **Throws** `IO_ERROR` or `PERMISSION`. */
  constructor(path: string) {
    this.path = path;
    this.#file = this.#attempt(() => openSync(path, "w", 0o600));
  }

  /** **Throws** `IO_ERROR` when the file cannot be written. Copies `bytes`. */
  write(reject: IngestReject, bytes: Uint8Array): void {
    const head = Buffer.from(`${reject.line}\t${reject.column ?? ""}\t${reject.reason}\t`);
    const entry = Buffer.concat([head, bytes, Buffer.from("\n")]);
    this.#pending.push(entry);
    this.#pendingSize += entry.length;
    if (this.#pendingSize >= pendingSizeMax) this.flush();
  }

  /** **Throws** `IO_ERROR`. */
  flush(): void {
    const file = this.#file;
    if (file === undefined || this.#pendingSize === 0) return;
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingSize = 0;
    this.#attempt(() => {
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    });
  }

  /** Closes without writing what is pending. Idempotent. */
  [Symbol.dispose](): void {
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined) closeSync(file);
  }

  #attempt<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw fileError(`writing rejects to "${this.path}"`, this.path, error);
    }
  }
}
