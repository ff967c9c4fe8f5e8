/**
 * The plan bytes that the native parser works by (docs/internals/ingest.md): which field of a line
 * goes to which column, enum labels, and the write record that every line starts from.
 */
import type { ColumnDefinition } from "../schema/column.ts";
import { recordHeadSize } from "../schema/layout.ts";
import { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { writeValue } from "../schema/value.ts";

/** Line formats of the native parser, with their codes. */
const formatCodes = { tsv: 1, csv: 2, ndjson: 3 } as const;

export type LineFormat = keyof typeof formatCodes;

/** A line longer than this is a reject. */
export const lineSizeMax: number = 1 << 20;

/** A position whose text is not wanted. */
const positionIgnored = 0xffff;

const magic = 0x474e_4941;
const version = 1;
const headerSize = 64;
const nameSize = 8;
const labelSize = 12;

const flagEscapes = 1;
const flagRefuseUnknown = 2;
const flagStopAtReject = 4;

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
  const namesOffset = positionsOffset + positions.length * 2;
  const labelsOffset = namesOffset + names.length * nameSize;
  const textOffset = labelsOffset + labels.length * labelSize;
  const bytes = new Uint8Array(textOffset + textSize);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint16(4, version, true);
  view.setUint8(6, formatCodes[options.format]);
  view.setUint8(7, flagsOf(options));
  view.setBigUint64(8, BigInt(options.lineFirst ?? 1), true);
  view.setUint32(16, lineSizeMax, true);
  view.setUint32(20, positions.length, true);
  view.setUint32(24, names.length, true);
  view.setUint32(28, labels.length, true);
  view.setUint32(32, positionsOffset, true);
  view.setUint32(36, namesOffset, true);
  view.setUint32(40, labelsOffset, true);
  view.setUint32(44, textOffset, true);
  view.setUint32(48, textSize, true);
  view.setUint32(52, templateOffset, true);
  view.setUint32(56, template.length, true);

  bytes.set(template, templateOffset);
  for (const [index, column] of positions.entries()) {
    view.setUint16(positionsOffset + index * 2, column?.position ?? positionIgnored, true);
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
    view.setUint16(at, name.column, true);
    view.setUint16(at + 2, name.text.length, true);
    view.setUint32(at + 4, putText(name.text), true);
  }
  for (const [index, label] of labels.entries()) {
    const at = labelsOffset + index * labelSize;
    view.setUint16(at, label.column, true);
    view.setUint16(at + 2, label.value, true);
    view.setUint32(at + 4, label.text.length, true);
    view.setUint32(at + 8, putText(label.text), true);
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
  memory.u64[1] = missing;
  memory.u64[2] = nulls;
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
  return (
    (options.format === "tsv" && options.escapes !== false ? flagEscapes : 0) |
    (options.refuseUnknown === true ? flagRefuseUnknown : 0) |
    (options.stopAtReject === true ? flagStopAtReject : 0)
  );
}
