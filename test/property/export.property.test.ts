/** Export and ingest are inverse for every row that can be stored, over all types. */
import { afterAll, expect, test } from "bun:test";
import fc from "fast-check";
import { createLineWriter } from "../../src/ingest/line-writer.ts";
import { t } from "../../src/schema/column.ts";
import { buildTable, defineTable } from "../../src/schema/table.ts";
import type { AnyTable, TableDefinition } from "../../src/schema/table.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";
import { randomStream, streamOf } from "../support/ingest-laws.ts";

const runs = Number(process.env["AEROSTORE_PROPERTY_RUNS"] ?? 100);
const seedText = process.env["AEROSTORE_PROPERTY_SEED"];
const options = { numRuns: runs, ...(seedText === undefined ? {} : { seed: Number(seedText) }) };

const temporary = new TemporaryDatabase();
afterAll(() => temporary[Symbol.dispose]());

test("export: rows are read back as they were, and written again they are unchanged", async () => {
  const db = await temporary.open({ maxBytes: 1 << 30 });
  let number = 0;
  await fc.assert(
    fc.asyncProperty(randomStream, async ({ table: random, rows, format, pieces }) => {
      number += 1;
      const table = rename(random, `t${number}`);
      const copy = rename(random, `u${number}`);
      db.createTable(table);
      db.createTable(copy);
      const from = db.table(table.name);
      from.upsertMany(rows);
      const stored = from.search("-sort c0").toArray();
      const writer = createLineWriter(table.columns, format);
      const size = pieces[0]?.length ?? 1;
      const bytes = Buffer.from(stored.map((row) => `${writer.line(row)}\n`).join(""));
      const cut = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      const to = db.table(copy.name);
      const header = format === "ndjson" ? {} : { header: false };
      const report = await to.ingest(streamOf(cut), { format, ...header, strict: true });
      expect(report.inserted).toBe(stored.length);
      expect(to.search("-sort c0").toArray()).toEqual(stored);
      const again = from.upsertMany(stored);
      expect(again.unchanged).toBe(stored.length);
    }),
    options,
  );
}, 120_000);

/** The same table under another name. */
function rename(table: AnyTable, name: string): TableDefinition {
  return buildTable(
    name,
    table.columns.map((column) => [column.name, column] as const),
  );
}

test("export: a key that is empty is refused by rows and by lines", async () => {
  const db = await temporary.open({ maxBytes: 1 << 30 });
  const keyed = [
    defineTable("keyed_text", { k: t.string(4).primaryKey(), v: t.u8() }),
    defineTable("keyed_label", { k: t.enum(["", "a"]).primaryKey(), v: t.u8() }),
  ];
  for (const definition of keyed) {
    db.createTable(definition);
    const table = db.table(definition.name);
    expect(() => table.upsert({ k: "", v: 1 })).toThrow("a key that is not empty");
    for (const [format, text] of [
      ["tsv", "\t1\n"],
      ["csv", '"",1\n'],
      ["ndjson", '{"k":"","v":1}\n'],
    ] as const) {
      const report = await table.ingest(text, { format });
      expect([format, report.rejected, table.count()]).toEqual([format, 1, 0]);
    }
  }
  db.createTable(defineTable("keyed_bytes", { k: t.bytes(4).primaryKey() }));
  expect(() => db.table("keyed_bytes").insert({ k: new Uint8Array(0) })).toThrow("not empty");
});
