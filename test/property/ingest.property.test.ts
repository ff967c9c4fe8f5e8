/** Ingest around the parser, on random tables and rows, however their bytes come. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { gzipSync } from "node:zlib";
import { ingest } from "../../src/ingest/ingest.ts";
import { createLineWriter } from "../../src/ingest/line-writer.ts";
import { FakeEngine } from "../support/ingest-fake.ts";
import { randomStream, streamOf } from "../support/ingest-laws.ts";

const runs = Number(process.env["AEROSTORE_PROPERTY_RUNS"] ?? 1_000);
const seedText = process.env["AEROSTORE_PROPERTY_SEED"];
const options = { numRuns: runs, ...(seedText === undefined ? {} : { seed: Number(seedText) }) };

test("ingest: the rows of a stream do not depend on its pieces, nor on compression", async () => {
  await fc.assert(
    fc.asyncProperty(
      randomStream.filter(({ format }) => format === "tsv"),
      fc.integer({ min: 1, max: 9 }),
      async ({ table, rows, header, pieces }, batch) => {
        const whole = Buffer.concat(pieces);
        const keys: unknown[] = [];
        for (const source of [whole, streamOf(pieces), gzipSync(whole)]) {
          const engine = new FakeEngine(table);
          const report = await ingest(engine, source, { format: "tsv", header, batch });
          expect(report.rows).toBe(rows.length);
          expect(report.rejected).toBe(0);
          keys.push([...engine.rows]);
        }
        const writer = createLineWriter(table.columns, "tsv");
        // As a reader without escapes takes it: one byte order mark less at the start.
        const cellsOf = (row: (typeof rows)[number]): string[] =>
          writer
            .line(row)
            .replace(/^\ufeff/, "")
            .split("\t");
        const last = new Map(rows.map((row) => [cellsOf(row)[0], row]));
        const expected = [...last].map(([key, row]) => [
          key,
          Object.fromEntries(table.columns.map(({ name }, index) => [name, cellsOf(row)[index]])),
        ]);
        expect(keys).toEqual([expected, expected, expected]);
      },
    ),
    options,
  );
});
