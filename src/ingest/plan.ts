/**
 * The plan bytes that the native parser works by (docs/internals/ingest.md): which field of a line
 * goes to which column, enum labels, and the write record that every line starts from.
 */
import { IngestFormat, ingestFormat } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { putField } from "../ffi/struct.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import { recordHeadSize } from "../schema/layout.ts";
import { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { writeValue } from "../schema/value.ts";

/** Line formats of the native parser. */
export type LineFormat = keyof typeof IngestFormat;

/** A line longer than this is a reject. */
export const lineSizeMax: number = ingestFormat.lineSizeMax;

const header = layouts.IngestPlan.fields;
const headerSize = layouts.IngestPlan.size;
const nameFields = layouts.IngestName.fields;
const nameSize = layouts.IngestName.size;
const labelFields = layouts.IngestLabel.fields;
const labelSize = layouts.IngestLabel.size;
const { positionSize, positionIgnored } = ingestFormat;

export interface PlanOptions {
  readonly format: LineFormat;
  /** Columns of a delimited line, by position; `undefined` ignores one. Not for `ndjson`. */
  readonly positions?: readonly (ColumnDefinition | undefined)[];
  /** Number of the first line that the parser will see. Default 1. */
  readonly lineFirst?: number;
  /** TSV text has backslash escapes. Default true. */
  readonly escapes?: boolean;
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
  const names = delimited ? [] : sortWords(namesOf(table));
  const labels = table.columns.flatMap((column) => sortWords(labelsOf(column)));
  const template = encodeTemplate(table);
  const texts = [...names, ...labels].map((word) => word.text);
  const textSize = texts.reduce((size, text) => size + text.length, 0);

  const templateOffset = headerSize;
  const positionsOffset = templateOffset + template.length;
  const namesOffset = positionsOffset + positions.length * positionSize;
  const labelsOffset = namesOffset + names.length * nameSize;
  const textOffset = labelsOffset + labels.length * labelSize;
  const bytes = new Uint8Array(textOffset + textSize);
  const view = new DataView(bytes.buffer);
  putField(view, 0, header.magic, ingestFormat.magic);
  putField(view, 0, header.version, ingestFormat.version);
  putField(view, 0, header.format, IngestFormat[options.format]);
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

function namesOf(table: AnyTable): Word[] {
  return table.columns.flatMap((column) =>
    [column.name, ...column.aliases].map((name) => wordOf(name, column, 0)),
  );
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
  const { flagEscapes, flagRefuseUnknown, flagStopAtReject } = ingestFormat;
  return (
    (options.format === "tsv" && options.escapes !== false ? flagEscapes : 0) |
    (options.refuseUnknown === true ? flagRefuseUnknown : 0) |
    (options.stopAtReject === true ? flagStopAtReject : 0)
  );
}
