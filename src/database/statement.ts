/**
 * Statements on what a search finds: reading it, changing it, deleting it. Changes find their rows
 * first, then write, so that no change is found again.
 */
import { writeRecords } from "./upsert-many.ts";
import type { TableBinding } from "../session/catalog.ts";
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { assignedValue, resolveAssignments } from "../query/resolve/assign.ts";
import type { Parameters } from "../query/plan/encode.ts";
import type { Assignment } from "../query/query.ts";
import type { PlannerColumn } from "../query/resolve/planner-table.ts";
import type { ColumnValue } from "../schema/column.ts";
import { recordHeadSize } from "../schema/layout.ts";
import { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";
import { isBytes } from "../schema/plain-value.ts";
import { describeValue, isScalar, readValue } from "../schema/value.ts";
import type { Scope } from "./scope.ts";
import type { ReadySearch } from "../search/plan-cache.ts";
import { inputAt } from "../session/session.ts";

/** Records of an update that are written at once. */
const updateBatch = 1_024;

/** Runs a planned query that changes rows, with its parameters; how many rows they were. */
export function executeChange(
  scope: Scope,
  binding: TableBinding,
  ready: ReadySearch,
  parameters: Parameters,
): number {
  const { action } = ready.planned.query;
  if (action.kind === "delete") return deleteFound(scope, binding, ready);
  const assignments = action.kind === "update" ? action.assignments : [];
  return updateFound(scope, binding, ready, patchOf(binding, assignments, parameters));
}

/** Deletes the rows of a search in one transaction; how many they were. */
export function deleteFound(scope: Scope, binding: TableBinding, ready: ReadySearch): number {
  scope.useToWrite();
  const { session } = scope.handle;
  const { calls, handle, memory } = session;
  const { size } = binding.definition.key;
  return scope.atomically((inner) => {
    const { keys, count } = findKeys(inner, binding, ready);
    const tx = inner.use();
    for (let index = 0; index < count; index++) {
      memory.u8.set(keys.subarray(index * size, (index + 1) * size), inputAt);
      const status = calls.aerostore_row_delete(handle, tx, binding.id);
      if (status === Status.ok) continue;
      const subject = { attempted: "deleting what was found", table: binding.definition.name };
      session.settle(status, subject, () => calls.aerostore_row_delete(handle, tx, binding.id));
    }
    return count;
  });
}

/** Changes columns of the rows of a search in one transaction; how many rows they were. */
export function updateFound(
  scope: Scope,
  binding: TableBinding,
  ready: ReadySearch,
  patch: object,
): number {
  const { key } = binding.definition;
  const keyAt = recordHeadSize + key.offset;
  // Before anything is looked for: a wrong patch is refused even if nothing is found, and a getter
  // of it has run.
  const template = encodePatch(binding, patch);
  scope.useToWrite();
  return scope.atomically((inner) => {
    const { keys, count } = findKeys(inner, binding, ready);
    const room = Math.min(count, binding.records.roomFor(updateBatch));
    const buffer = binding.records.take(room);
    const { memory, stride } = buffer;
    try {
      for (let from = 0; from < count; from += room) {
        const rows = Math.min(room, count - from);
        for (let row = 0; row < rows; row++) {
          const at = (from + row) * key.size;
          memory.u8.set(template, row * stride);
          memory.u8.set(keys.subarray(at, at + key.size), row * stride + keyAt);
        }
        const records = memory.u8.subarray(0, rows * stride);
        writeRecords(inner, binding, records, rows, undefined);
      }
    } finally {
      binding.records.give(buffer);
    }
    return count;
  });
}

/** The write record of a patch, for a key of zeros, which any column can hold. */
function encodePatch({ definition, records }: TableBinding, patch: object): Uint8Array {
  const { key } = definition;
  const buffer = records.take(1);
  try {
    buffer.encoder.patch(readValue(Memory.allocate(key.size), 0, key), patch, 0);
    return new Uint8Array(buffer.memory.buffer.slice(0, buffer.stride));
  } finally {
    records.give(buffer);
  }
}

/** The keys of the rows that a search finds, one after the other as they lie in images. */
function findKeys(
  scope: Scope,
  binding: TableBinding,
  ready: ReadySearch,
): { readonly keys: Uint8Array; readonly count: number } {
  const { definition } = binding;
  const { offset, size } = definition.key;
  let keys = new Uint8Array(1_024 * size);
  let count = 0;
  const { searches } = scope.handle;
  const chunks = searches.chunks(binding, ready, scope.use());
  for (const { memory, at, rowCount } of chunks) {
    const needed = (count + rowCount) * size;
    if (needed > keys.length) {
      const larger = new Uint8Array(Math.max(needed, keys.length * 2));
      larger.set(keys);
      keys = larger;
    }
    for (let row = 0; row < rowCount; row++) {
      const from = at + row * definition.imageSize + offset;
      keys.set(memory.u8.subarray(from, from + size), count * size);
      count++;
    }
  }
  return { keys, count };
}

/** What a query's `-update` sets. */
function patchOf(
  { definition }: TableBinding,
  assignments: readonly Assignment[],
  parameters: Parameters,
): Record<string, ColumnValue> {
  const patch: Record<string, ColumnValue> = {};
  for (const each of resolveAssignments(definition, assignments)) {
    patch[each.column.name] =
      each.kind === "value"
        ? each.value
        : assignedParameter(definition, each.column, each.name, parameters[each.name]);
  }
  return patch;
}

function assignedParameter(
  definition: AnyTable,
  column: PlannerColumn,
  name: string,
  value: unknown,
): ColumnValue {
  if (value === null) return null;
  if (isScalar(value) || isBytes(value)) {
    return assignedValue(definition, column, value);
  }
  throw new AerostoreError(
    "INVALID_VALUE",
    `$${name} for ${definition.name}.${column.name} cannot be ${describeValue(value)}`,
    { table: definition.name, column: column.name, value },
  );
}
