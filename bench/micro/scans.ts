/** Transactions that read all of a table: a row must cost the same, however many there are. */
import { defineTable, t } from "aerostore";
import type { Database, Table } from "aerostore";
import { bench, do_not_optimize, group } from "mitata";

const shape = { id: t.u32().primaryKey(), n: t.u32() };
const tables = {
  10_000: defineTable("Scan10000", shape),
  100_000: defineTable("Scan100000", shape),
  1_000_000: defineTable("Scan1000000", shape),
} as const;
const batch = 10_000;

export const scanTables: readonly (typeof tables)[keyof typeof tables][] = Object.values(tables);

function fill(table: Table<(typeof tables)[10_000]["$shape"]>, count: number): void {
  for (let from = table.count(); from < count; from += batch) {
    table.upsertMany(Array.from({ length: batch }, (_, at) => ({ id: from + at, n: at })));
  }
}

export function declareScans(db: Database): void {
  for (const [name, definition] of Object.entries(tables)) {
    const count = Number(name);
    fill(db.table(definition), count);
    group(`${name} rows, read and one of them written`, () => {
      bench("by a search", () =>
        db.transact((tx) => {
          const table = tx.table(definition);
          let sum = 0;
          for (const row of table.search().cursor()) sum += row.n;
          table.update(sum % count, { n: sum & 0xff });
        }),
      );
      bench("by their keys", () =>
        db.transact((tx) => {
          const table = tx.table(definition);
          let sum = 0;
          for (let id = 0; id < count; id++) sum += table.get(id)?.n ?? 0;
          table.update(sum % count, { n: sum & 0xff });
          return do_not_optimize(sum);
        }),
      );
    });
  }
}
