/** Lines of text on their way into a table, with the words that Tcl programs know for it. */
import { AerostoreError } from "../errors.ts";
import type { IngestReport } from "../ingest/ingest.ts";
import type { IngestOptions } from "../ingest/options.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import type { AnyTable } from "../schema/table.ts";
import type { Table } from "../database/table.ts";

/** Batches are never larger; a larger number asks for no more than this. */
const batchMax = 1_000_000;

/** The first line of the data: a row, the columns' names, or such names put before the file. */
export type FirstLine = "row" | "header" | "added header";

/**
 * Ingests tab-separated lines, strictly. **Throws** `INVALID_VALUE` at the first bad line; batches
 * before it stay.
 */
export async function ingestTsv(
  table: Table,
  data: Uint8Array,
  batch: number,
  first: FirstLine,
  hasEscapes = true,
): Promise<IngestReport> {
  const { definition } = table;
  const header = first !== "row";
  const options: IngestOptions = {
    batch: Math.min(batch, batchMax),
    strict: true,
    header,
    // Cells that stand for null have been made \N.
    ...(hasEscapes ? {} : { escape: "none", null: ["\\N"] }),
  };
  try {
    return await table.ingestTsv(header ? data : roundDecimals(definition, data), options);
  } catch (error) {
    throw decodeError(definition, error, first === "added header" ? 1 : 0);
  }
}

/** What `ingest_tsv` returns. */
export function metricsOf(report: IngestReport): string {
  const { rows, inserted, updated, unchanged, stale, batches, elapsedMs } = report;
  const changed = updated + unchanged + stale;
  return (
    `rows_seen=${rows} inserted=${inserted} updated=${changed} ` +
    `batches=${batches} elapsed_ms=${elapsedMs}`
  );
}

/**
 * Lines whose decimals are longer than their column's are rounded, half away from zero, as feeds of
 * positions have always been; usually there are none, and nothing is touched.
 */
function roundDecimals(table: AnyTable, data: Uint8Array): Uint8Array {
  const scales = table.columns.map(({ kind, scale }) => (kind === "decimal" ? scale : undefined));
  const least = Math.min(...scales.map((scale) => scale ?? Number.POSITIVE_INFINITY));
  if (!Number.isFinite(least)) return data;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const text = bytes.toString("latin1");
  if (!new RegExp(`\\.[0-9]{${least + 1}}`).test(text)) return data;
  const lines = text.split("\n").map((line) => {
    const fields = line.split("\t");
    return fields
      .map((field, index) => {
        const scale = scales[index];
        return scale === undefined ? field : roundDecimal(field, scale);
      })
      .join("\t");
  });
  return Buffer.from(lines.join("\n"), "latin1");
}

function roundDecimal(text: string, scale: number): string {
  const [, sign, whole = "", kept, next] =
    new RegExp(`^([+-]?)([0-9]*)\\.([0-9]{${scale}})([0-9])[0-9]*\\r?$`).exec(text) ?? [];
  if (sign === undefined || kept === undefined || next === undefined) return text;
  const digits = BigInt(`${whole}${kept}`) + (next >= "5" ? 1n : 0n);
  const padded = digits.toString().padStart(scale + 1, "0");
  const point = padded.length - scale;
  return `${sign}${padded.slice(0, point)}.${padded.slice(point)}`;
}

/** The parser's complaint in the words of the Tcl package. */
function decodeError(table: AnyTable, error: unknown, linesBefore: number): unknown {
  if (!(error instanceof AerostoreError) || error.line === undefined) return error;
  const [, column = "1", reason] = /line \d+(?:, column (\d+))?: ([^]*)$/.exec(error.message) ?? [];
  if (reason === undefined) return error;
  const line = error.line - linesBefore;
  const problem = problemOf(table.find(error.column ?? ""), reason);
  const detail = problem === reason ? "" : ` (${reason})`;
  return new AerostoreError(
    error.code,
    `decode error at line ${line} column ${column}: ${problem}${detail}`,
    { table: table.name, column: error.column, line, cause: error },
  );
}

function problemOf(column: ColumnDefinition | undefined, reason: string): string {
  if (reason.startsWith("missing column")) return "missing column";
  if (reason.startsWith("unexpected extra columns")) return "unexpected extra columns";
  if (reason.endsWith("invalid UTF-8")) return "invalid utf8";
  if (column === undefined) return reason;
  if (reason.endsWith("is too long")) return `${column.name} exceeds fixed-width capacity`;
  if (!/is not a number|is not a time|out of range|too many decimals|no value|NaN/.test(reason))
    return reason;
  return `invalid ${column.kind === "decimal" ? "f64" : column.kind}`;
}
