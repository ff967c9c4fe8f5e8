/**
 * Verification from above: every table read over one snapshot in every way there is, and all ways
 * compared. Each row is found by its key, and each index has the rows of the table, in its order.
 */
import { AerostoreError } from "./errors.ts";
import { Status } from "./ffi/abi.gen.ts";
import { accessAll } from "./query/access.ts";
import { encodePlan } from "./query/encode.ts";
import type { ColumnDefinition } from "./schema/column.ts";
import type { AnyTable } from "./schema/table.ts";
import { describeValue, readValue } from "./schema/value.ts";
import type { TableBinding } from "./catalog.ts";
import type { Scope } from "./scope.ts";
import type { PlannedSearch } from "./search.ts";
import { inputAt, outputAt, words } from "./session.ts";

export interface CheckReport {
  readonly ok: boolean;
  /** What is wrong and where, one sentence each. */
  readonly problems: readonly string[];
  readonly tables: number;
  readonly rows: number;
  readonly elapsedMs: number;
}

/** Problems of one table that are told. */
const problemsMax = 20;

/** Checks all tables. `scope` is a read-only transaction. Reads a row twice, and per index. */
export function checkTables(scope: Scope): CheckReport {
  const startedAt = performance.now();
  const problems: string[] = [];
  const { catalog } = scope.handle;
  const tables = catalog.list();
  let rows = 0;
  for (const table of tables) {
    const found: string[] = [];
    try {
      rows += checkTable(scope, catalog.bind(table), found);
    } catch (error) {
      if (!(error instanceof AerostoreError)) throw error;
      found.push(`${table.name}: ${error.message}`);
    }
    problems.push(...found.slice(0, problemsMax));
    if (found.length > problemsMax) {
      problems.push(`${table.name}: ${found.length - problemsMax} more problems`);
    }
  }
  const elapsedMs = performance.now() - startedAt;
  return { ok: problems.length === 0, problems, tables: tables.length, rows, elapsedMs };
}

/** What a way of reading found, whatever its order. */
interface Tally {
  count: number;
  /** Sum of the hashes of all images. */
  sum: bigint;
}

function checkTable(scope: Scope, binding: TableBinding, problems: string[]): number {
  const { searches } = scope.handle;
  const all = searches.plan(binding, "", false);
  const byScan = tally(scope, binding, all);
  const byKey = checkKeys(scope, binding, all, problems);
  const { name, columns } = binding.definition;
  compare(`${name}: by primary key`, byKey, byScan, problems);
  for (const column of columns.filter(({ indexed }) => indexed)) {
    const walk = planWalk(binding, column, all, byScan.count);
    compare(`${name}: the index on ${column.name}`, tally(scope, binding, walk), byScan, problems);
    checkOrder(scope, binding, column, walk, problems);
  }
  return byScan.count;
}

function compare(what: string, found: Tally, expected: Tally, problems: string[]): void {
  if (found.count !== expected.count) {
    problems.push(`${what} has ${found.count} rows, the table ${expected.count}`);
  } else if (found.sum !== expected.sum) {
    problems.push(`${what} has other rows than the table`);
  }
}

function tally(scope: Scope, binding: TableBinding, planned: PlannedSearch): Tally {
  const { imageSize } = binding.definition;
  const sum: Tally = { count: 0, sum: 0n };
  for (const chunk of scope.handle.searches.chunks(binding, planned, scope.use())) {
    const { memory, at, rowCount } = chunk;
    for (let row = 0; row < rowCount; row++) {
      const from = at + row * imageSize;
      add(sum, memory.u8.subarray(from, from + imageSize));
    }
  }
  return sum;
}

function add(sum: Tally, image: Uint8Array): void {
  sum.count++;
  sum.sum = BigInt.asUintN(64, sum.sum + Bun.hash.wyhash(image));
}

/** Looks every row up by its key. */
function checkKeys(
  scope: Scope,
  binding: TableBinding,
  all: PlannedSearch,
  problems: string[],
): Tally {
  const { session, searches } = scope.handle;
  const { calls, handle, memory, u32 } = session;
  const { imageSize, key, name } = binding.definition;
  const sum: Tally = { count: 0, sum: 0n };
  const tx = scope.use();
  for (const chunk of searches.chunks(binding, all, tx)) {
    // The first chunk lies in the output, where the rows that are looked up come, too.
    const size = chunk.rowCount * imageSize;
    const images = new Uint8Array(chunk.memory.buffer.slice(chunk.at, chunk.at + size));
    for (let from = 0; from < size; from += imageSize) {
      const keyAt = from + key.offset;
      memory.u8.set(images.subarray(keyAt, keyAt + key.size), inputAt);
      const status = calls.aerostore_row_get(handle, tx, binding.id);
      if (status !== Status.ok) throw session.error(status, { attempted: "checking", table: name });
      if (u32[words.found] !== 1) {
        const value = readValue(memory, inputAt, key);
        problems.push(`${name}: the row ${describeValue(value)} is not found by its key`);
        continue;
      }
      add(sum, memory.u8.subarray(outputAt, outputAt + imageSize));
    }
  }
  return sum;
}

/** The plan that walks the whole index of a column. */
function planWalk(
  binding: TableBinding,
  column: ColumnDefinition,
  all: PlannedSearch,
  rows: number,
): PlannedSearch {
  const plan = {
    ...all.plan,
    route: { kind: "arms", arms: [accessAll(column, rows)] },
    walk: true,
    order: [{ column, descending: false }],
    table: binding.definition,
  } as const;
  return { ...all, plan, encoded: encodePlan(plan) };
}

function checkOrder(
  scope: Scope,
  binding: TableBinding,
  column: ColumnDefinition,
  walk: PlannedSearch,
  problems: string[],
): void {
  const { definition } = binding;
  let last: bigint | number | string | undefined;
  let nulls = false;
  for (const { memory, at, rowCount } of scope.handle.searches.chunks(binding, walk, scope.use())) {
    for (let row = 0; row < rowCount; row++) {
      const image = at + row * definition.imageSize;
      if (isNull(memory.u32, image, column)) {
        nulls = true;
        continue;
      }
      const rank = rankOf(definition, column, readValue(memory, image + column.offset, column));
      if (nulls || (last !== undefined && rank < last)) {
        problems.push(`${definition.name}: the index on ${column.name} is out of order`);
        return;
      }
      last = rank;
    }
  }
}

function isNull(
  u32: Uint32Array,
  image: number,
  { nullable, position }: ColumnDefinition,
): boolean {
  if (!nullable) return false;
  const bit = position - 1;
  return ((u32[(image >> 2) + (bit >> 5)] ?? 0) & (1 << (bit & 31))) !== 0;
}

/** Something that compares like the column: text by byte, labels as declared. */
function rankOf(
  table: AnyTable,
  column: ColumnDefinition,
  value: unknown,
): bigint | number | string {
  if (column.kind === "enum") return column.labels.indexOf(String(value));
  if (typeof value === "string") return Buffer.from(value, "utf8").toString("latin1");
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "number" || typeof value === "bigint") return value;
  throw new TypeError(`${table.name}.${column.name} has no order`);
}
