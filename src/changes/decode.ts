/** From the engine's bytes to changes. What was read is copied: the buffer is used again. */
import { ChangeOp } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import type { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { readValue } from "../schema/value.ts";

export type ChangeValues = "changed" | "row" | "keys";

/** One row that a commit wrote. */
export interface ChangeWrite {
  readonly table: string;
  readonly op: "insert" | "update" | "delete";
  readonly key: ColumnValue;
  /** Of an update, with `values: "changed"`: the columns that the commit changed. */
  readonly changed?: Readonly<Record<string, ColumnValue>>;
  /** Of an insert; with `values: "row"` of an update, too: the whole row. */
  readonly row?: Readonly<Record<string, ColumnValue>>;
}

/** A commit as it stands in the buffer. */
export interface DecodedCommit {
  readonly csn: number;
  /** Milliseconds since 1970; NaN while that is not known. */
  readonly time: number;
  readonly writes: readonly ChangeWrite[];
  /** Whether it changed the catalog. */
  readonly isCatalog: boolean;
}

export interface DecodeOptions {
  readonly values: ChangeValues;
  readonly tableOf: (id: number) => AnyTable | undefined;
  /** Whether writes to a table are told. */
  readonly isWanted: (table: string) => boolean;
}

const commit = layouts.ChangeCommit;
const write = layouts.ChangeWrite;

/** The `count` commits in `memory`. */
export function decodeCommits(
  memory: Memory,
  count: number,
  options: DecodeOptions,
): DecodedCommit[] {
  const commits: DecodedCommit[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    const writes: ChangeWrite[] = [];
    let isCatalog = false;
    const writeCount = memory.u32[(at + commit.fields.write_count.offset) >> 2] ?? 0;
    let from = at + commit.size;
    for (let number = 0; number < writeCount; number++) {
      const op = memory.u32[(from + write.fields.op.offset) >> 2] ?? 0;
      const size = memory.u32[(from + write.fields.size.offset) >> 2] ?? 0;
      const table = options.tableOf(memory.u32[(from + write.fields.table.offset) >> 2] ?? 0);
      if (op === ChangeOp.catalog) isCatalog = true;
      else if (table !== undefined && options.isWanted(table.name)) {
        writes.push(decodeWrite(memory, from, table, op, options.values));
      }
      from += write.size + Math.ceil(size / 8) * 8;
    }
    const csn = memory.f64[(at + commit.fields.csn.offset) >> 3] ?? 0;
    const time = memory.f64[(at + commit.fields.time.offset) >> 3] ?? Number.NaN;
    if (writes.length > 0 || isCatalog) commits.push({ csn, time, writes, isCatalog });
    at += memory.u32[(at + commit.fields.size.offset) >> 2] ?? 0;
  }
  return commits;
}

function decodeWrite(
  memory: Memory,
  head: number,
  table: AnyTable,
  operation: number,
  values: ChangeValues,
): ChangeWrite {
  const image = head + write.size;
  const op = opOf(operation);
  const { key } = table;
  const base = { table: table.name, op, key: readValue(memory, image + key.offset, key) };
  if (values === "keys" || op === "delete") return base;
  if (op === "insert" || values === "row") return { ...base, row: decodeRow(memory, image, table) };
  const columns = (head + write.fields.columns.offset) >> 2;
  const changed: Record<string, ColumnValue> = {};
  for (const column of table.columns) {
    if (column.position > 0 && hasBit(memory, columns, column)) {
      changed[column.name] = decodeValue(memory, image, column);
    }
  }
  return { ...base, changed };
}

function opOf(operation: number): ChangeWrite["op"] {
  if (operation === ChangeOp.insert) return "insert";
  return operation === ChangeOp.delete ? "delete" : "update";
}

function decodeRow(memory: Memory, image: number, table: AnyTable): Record<string, ColumnValue> {
  const row: Record<string, ColumnValue> = {};
  for (const column of table.columns) row[column.name] = decodeValue(memory, image, column);
  return row;
}

function decodeValue(memory: Memory, image: number, column: ColumnDefinition): ColumnValue {
  const isNull = column.position > 0 && hasBit(memory, image >> 2, column);
  return isNull ? null : readValue(memory, image + column.offset, column);
}

/** Whether the mask of 64 bits whose lower half is the word `at` has a column's bit. */
function hasBit(memory: Memory, at: number, { position }: ColumnDefinition): boolean {
  const bit = position - 1;
  return (((memory.u32[at + (bit >> 5)] ?? 0) >>> (bit & 31)) & 1) !== 0;
}
