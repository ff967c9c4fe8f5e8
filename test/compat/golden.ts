/** The database whose files stand in this folder, version by version, and what it holds. */
import { defineTable, open as openDatabase, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";

/** A column of every type. */
export const Everything = defineTable("Everything", {
  id: t.string(12).primaryKey(),
  flag: t.bool(),
  tiny: t.i8(),
  small: t.i16(),
  whole: t.i32().index(),
  wide: t.i64(),
  byte: t.u8(),
  port: t.u16().index(),
  count: t.u32(),
  big: t.u64(),
  single: t.f32(),
  double: t.f64(),
  price: t.decimal(2),
  at: t.timestamp(),
  text: t.string(60).nullable().index(),
  blob: t.bytes(32),
  colour: t.enum(["red", "green", "blue"]),
});

/** Created behind the checkpoint. */
export const Late = defineTable("Late", { id: t.i32().primaryKey(), name: t.string(8) });

export async function open(
  directory: string,
  shmPath: string,
  tables: readonly (typeof Everything | typeof Late)[] = [],
): Promise<Database> {
  return openDatabase(directory, { shmPath, maxBytes: 32 << 20, maxSessions: 16, tables });
}

/** All rows, as text that says every value exactly. */
export function contents(db: Database): string[] {
  const line = (row: object): string =>
    Object.values(row)
      .map((value: unknown) => (value instanceof Uint8Array ? value.toHex() : String(value)))
      .join("|");
  return [Everything.name, Late.name].flatMap((name) =>
    db.table(name).search("-sort id").toArray().map(line),
  );
}
