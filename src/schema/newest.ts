/**
 * Which observations are newer: groups of columns, each as old as a stamp says, as the engine reads
 * them (`NewestGroup` in zig/txn/write.zig).
 */
import { AerostoreError } from "../errors.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { putField } from "../ffi/struct.ts";
import type { ColumnDefinition } from "./column.ts";
import { nearestName } from "./nearest.ts";
import type { AnyTable } from "./table.ts";

/**
 * A column by which a whole row is newer or older; or, by the columns that hold stamps, the columns
 * that go by each: `{ updated_at: "*", position_at: ["lat", "lon"] }`. `"*"` is every column that
 * no other stamp has. Of an older observation the columns of that stamp are left as they are, and a
 * row of which nothing is left is stale. Columns of no stamp are always written, and so is a row
 * that does not name the stamp.
 */
export type NewestBy = string | Readonly<Record<string, readonly string[] | "*">>;

const { size: groupSize, fields } = layouts.NewestGroup;

/** The groups as bytes. **Throws** `UNKNOWN_FIELD`, and `TypeError` for a column in two groups. */
export function encodeNewest(
  table: AnyTable,
  newestBy: NewestBy | undefined,
): Uint8Array | undefined {
  if (newestBy === undefined) return undefined;
  const groups = typeof newestBy === "string" ? { [newestBy]: "*" as const } : newestBy;
  const taken = new Map<ColumnDefinition, string>();
  const entries = Object.entries(groups).map(([name, members]) => {
    const stamp = newestColumn(table, name);
    const columns = members === "*" ? [] : members.map((each) => newestColumn(table, each));
    for (const column of new Set([stamp, ...columns])) {
      const other = taken.get(column);
      if (other !== undefined) {
        throw new TypeError(`newestBy: "${column.name}" goes by both "${other}" and "${name}"`);
      }
      taken.set(column, name);
    }
    return { stamp, columns: [stamp, ...columns], rest: members === "*" };
  });
  if (entries.filter(({ rest }) => rest).length > 1) {
    throw new TypeError('newestBy: only one stamp can have "*"');
  }
  const bytes = new Uint8Array(Math.max(1, entries.length) * groupSize);
  const view = new DataView(bytes.buffer);
  const all = (1n << BigInt(table.columns.length - 1)) - 1n;
  const maskOf = (columns: Iterable<ColumnDefinition>): bigint =>
    [...columns].reduce(
      (mask, { position }) => (position === 0 ? mask : mask | (1n << BigInt(position - 1))),
      0n,
    );
  const named = maskOf(taken.keys());
  for (const [index, { stamp, columns, rest }] of entries.entries()) {
    const own = maskOf(columns);
    putField(view, index * groupSize, fields.column, stamp.position);
    const mask = rest ? own | (all & ~named) : own;
    view.setBigUint64(index * groupSize + fields.mask.offset, mask, true);
  }
  return bytes;
}

function newestColumn(table: AnyTable, name: string): ColumnDefinition {
  const column = table.find(name);
  if (column !== undefined) return column;
  const nearest = nearestName(name, table.names());
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
  throw new AerostoreError(
    "UNKNOWN_FIELD",
    `newestBy: ${table.name} has no column "${name}"${hint}`,
    { table: table.name, column: name },
  );
}
