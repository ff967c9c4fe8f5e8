/**
 * The plan bytes that the native parser works by (docs/internals/ingest.md): which field of a line
 * goes to which column, enum labels, and the write record that every line starts from.
 */
import { IngestFormat, ingestFormat, IngestTimeUnit } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { putField } from "../ffi/struct.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import { recordHeadSize } from "../schema/layout.ts";
import { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { writeValue } from "../schema/value.ts";
import type { LineFormat } from "./formats.ts";
import type { TimeUnit } from "./options.ts";

/** A line longer than this is a reject. */
export const lineSizeMax: number = ingestFormat.lineSizeMax;

const header = layouts.IngestPlan.fields;
const headerSize = layouts.IngestPlan.size;
const nameFields = layouts.IngestName.fields;
const nameSize = layouts.IngestName.size;
const labelFields = layouts.IngestLabel.fields;
const labelSize = layouts.IngestLabel.size;
const textFields = layouts.IngestText.fields;
const textRecordSize = layouts.IngestText.size;
const { positionSize, positionIgnored } = ingestFormat;

export interface PlanOptions {
  readonly format: LineFormat;
  /** Columns of a delimited line, by position; `undefined` ignores one. Not for `ndjson`. */
  readonly positions?: readonly (ColumnDefinition | undefined)[];
  /** Number of the first line that the parser will see. Default 1. */
  readonly lineFirst?: number;
  /** Between fields. Default that of the format. */
  readonly separator?: string;
  /** Around fields; "" for none. Default that of the format. */
  readonly quote?: string;
  /** Text has backslash escapes. Default that of the format. */
  readonly escapes?: boolean;
  /** Further names of columns for `ndjson`; null takes a name away. */
  readonly names?: ReadonlyMap<string, string | null>;
  /** Words that stand for null. */
  readonly nulls?: readonly string[];
  /** A line that begins with it is no row. */
  readonly comment?: string;
  readonly decimalComma?: boolean;
  readonly round?: boolean;
  readonly ignoreExtra?: boolean;
  readonly timeUnit?: TimeUnit;
  /** A JSON key that is no column makes its line a reject. Default false. */
  readonly refuseUnknown?: boolean;
  /** The parser returns after each reject. Default false. */
  readonly stopAtReject?: boolean;
}

interface Word {
  readonly text: Uint8Array;
  readonly column: number;
  readonly value: number;
}

/** The plan for reading lines into `table`. */
export function encodePlan(table: AnyTable, options: PlanOptions): Uint8Array<ArrayBuffer> {
  const delimited = options.format !== "ndjson";
  const positions = delimited ? (options.positions ?? table.columns) : [];
  const names = delimited ? [] : sortWords(namesOf(table, options.names ?? new Map()));
  const labels = table.columns.flatMap((column) => sortWords(labelsOf(column)));
  const template = encodeTemplate(table);
  const texts = [...names, ...labels].map((word) => word.text);
  const nulls = (options.nulls ?? []).map((word) => new TextEncoder().encode(word));
  const comment = new TextEncoder().encode(options.comment ?? "");
  const textSize = [...texts, ...nulls, comment].reduce((size, text) => size + text.length, 0);

  const templateOffset = headerSize;
  const positionsOffset = templateOffset + template.length;
  const namesOffset = positionsOffset + positions.length * positionSize;
  const labelsOffset = namesOffset + names.length * nameSize;
  const nullsOffset = labelsOffset + labels.length * labelSize;
  const textOffset = nullsOffset + nulls.length * textRecordSize;
  const bytes = new Uint8Array(textOffset + textSize);
  const view = new DataView(bytes.buffer);
  putField(view, 0, header.magic, ingestFormat.magic);
  putField(view, 0, header.version, ingestFormat.version);
  const quote = options.quote ?? (options.format === "csv" ? '"' : "");
  const separator = options.separator ?? (options.format === "csv" ? "," : "\t");
  // Of delimited text, the parser's formats are that without and that with quotes.
  const format = !delimited ? "ndjson" : quote === "" ? "tsv" : "csv";
  putField(view, 0, header.format, IngestFormat[format]);
  putField(view, 0, header.flags, flagsOf(options));
  putField(view, 0, header.line_first, options.lineFirst ?? 1);
  putField(view, 0, header.line_size_max, lineSizeMax);
  putField(view, 0, header.position_count, positions.length);
  putField(view, 0, header.name_count, names.length);
  putField(view, 0, header.label_count, labels.length);
  putField(view, 0, header.positions_offset, positionsOffset);
  putField(view, 0, header.names_offset, namesOffset);
  putField(view, 0, header.labels_offset, labelsOffset);
  putField(view, 0, header.text_offset, textOffset);
  putField(view, 0, header.text_size, textSize);
  putField(view, 0, header.template_offset, templateOffset);
  putField(view, 0, header.template_size, template.length);
  putField(view, 0, header.separator, separator.charCodeAt(0));
  // The parser looks at the quote of quoted formats only; it is never the separator.
  const mark = quote === "" ? (separator === '"' ? "'" : '"') : quote;
  putField(view, 0, header.quote, mark.charCodeAt(0));
  putField(view, 0, header.time_unit, IngestTimeUnit[options.timeUnit ?? "exact"]);
  putField(view, 0, header.null_count, nulls.length);
  putField(view, 0, header.nulls_offset, nullsOffset);

  bytes.set(template, templateOffset);
  for (const [index, column] of positions.entries()) {
    const position = column?.position ?? positionIgnored;
    view.setUint16(positionsOffset + index * positionSize, position, true);
  }
  let textAt = 0;
  const putText = (text: Uint8Array): number => {
    const at = textAt;
    bytes.set(text, textOffset + at);
    textAt += text.length;
    return at;
  };
  for (const [index, name] of names.entries()) {
    const at = namesOffset + index * nameSize;
    putField(view, at, nameFields.column, name.column);
    putField(view, at, nameFields.size, name.text.length);
    putField(view, at, nameFields.offset, putText(name.text));
  }
  for (const [index, label] of labels.entries()) {
    const at = labelsOffset + index * labelSize;
    putField(view, at, labelFields.column, label.column);
    putField(view, at, labelFields.value, label.value);
    putField(view, at, labelFields.size, label.text.length);
    putField(view, at, labelFields.offset, putText(label.text));
  }
  for (const [index, word] of nulls.entries()) {
    const at = nullsOffset + index * textRecordSize;
    putField(view, at, textFields.size, word.length);
    putField(view, at, textFields.offset, putText(word));
  }
  putField(view, 0, header.comment_offset, putText(comment));
  putField(view, 0, header.comment_size, comment.length);
  return bytes;
}

/**
 * The write record of a row of which nothing is known: nothing named, the image of defaults and
 * nulls, and in `missing` the columns that have neither.
 */
function encodeTemplate(table: AnyTable): Uint8Array {
  const memory = Memory.allocate(recordHeadSize + table.imageSize);
  let missing = 0n;
  let nulls = 0n;
  for (const column of table.columns.slice(1)) {
    const bit = 1n << BigInt(column.position - 1);
    if (column.default !== undefined && column.default !== null) {
      writeValue(memory, recordHeadSize + column.offset, table.name, column, column.default);
    } else if (column.nullable) {
      nulls |= bit;
    } else {
      missing |= bit;
    }
  }
  memory.u64[layouts.RecordHead.fields.missing.offset >> 3] = missing;
  memory.u64[recordHeadSize >> 3] = nulls;
  return memory.u8;
}

function namesOf(table: AnyTable, given: ReadonlyMap<string, string | null>): Word[] {
  const own = table.columns.flatMap((column) =>
    [column.name, ...column.aliases].flatMap((name) =>
      given.has(name) ? [] : [wordOf(name, column, 0)],
    ),
  );
  const others = [...given].flatMap(([name, to]) => {
    const column = to === null ? undefined : table.find(to);
    return column === undefined ? [] : [wordOf(name, column, 0)];
  });
  return [...own, ...others];
}

function labelsOf(column: ColumnDefinition): Word[] {
  return column.labels.map((label, value) => wordOf(label, column, value));
}

function wordOf(text: string, column: ColumnDefinition, value: number): Word {
  return { text: new TextEncoder().encode(text), column: column.position, value };
}

/** The parser searches words by bytes. */
function sortWords(words: Word[]): Word[] {
  return words.sort((a, b) => Buffer.compare(a.text, b.text));
}

function flagsOf(options: PlanOptions): number {
  const { flagEscapes, flagRefuseUnknown, flagStopAtReject, flagDecimalComma } = ingestFormat;
  const { flagRound, flagIgnoreExtra, flagEmptyNull } = ingestFormat;
  const { format } = options;
  const flags: readonly (readonly [flag: number, isSet: boolean])[] = [
    [flagEscapes, format !== "ndjson" && (options.escapes ?? format === "tsv")],
    [flagRefuseUnknown, options.refuseUnknown ?? false],
    [flagStopAtReject, options.stopAtReject ?? false],
    [flagDecimalComma, options.decimalComma ?? false],
    [flagRound, options.round ?? false],
    [flagIgnoreExtra, options.ignoreExtra ?? false],
    [flagEmptyNull, format === "csv"],
  ];
  return flags.reduce((sum, [flag, isSet]) => (isSet ? sum | flag : sum), 0);
}
