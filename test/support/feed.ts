/** A source read into a table of a database of its own: what tests of feeds share. */
import type { IngestReject } from "../../src/ingest/rejects.ts";
import type { IngestOptions, IngestReport } from "../../src/index.ts";
import { openInput } from "../../src/ingest/input.ts";
import { Aircraft, FlightState } from "../../src/flight/index.ts";
import type { ColumnValue } from "../../src/schema/column.ts";
import type { AnyTable } from "../../src/schema/table.ts";
import { TemporaryDatabase } from "./temporary-database.ts";

export type FeedRow = Record<string, ColumnValue>;

export interface Loaded {
  /** By key, in the order of keys. */
  readonly rows: FeedRow[];
  readonly rejects: IngestReject[];
  readonly report: IngestReport;
  /** How the source was read. */
  readonly look: string;
}

/** A database that is emptied for each load. */
export class FeedBench implements Disposable {
  readonly #temporary = new TemporaryDatabase();
  #count = 0;

  /**
   * Loads pieces of one source after the other, as `ingest` without a named table would, or into
   * `table`.
   */
  async load(
    source: string | Uint8Array | readonly Uint8Array[],
    options: IngestOptions = {},
    table?: AnyTable,
  ): Promise<Loaded> {
    const db = await this.#temporary.open({ maxBytes: 64 << 20 });
    try {
      const rejects: IngestReject[] = [];
      let look = "";
      const all: IngestOptions = {
        ...options,
        onReject: (reject) => rejects.push(reject),
        onLook: (text) => {
          look = text;
        },
      };
      const input = await openInput(isPieces(source) ? streamOf(source) : source, all);
      const definition = table ?? input.records?.table ?? FlightState;
      db.createTable(definition);
      const target = db.table(definition.name);
      if (this.#count > 0) target.deleteWhere("-compare {}");
      this.#count += 1;
      const report = await target.ingest(input, all);
      const { inserted, updated, unchanged, stale, rejected } = report;
      if (inserted + updated + unchanged + stale + rejected !== report.rows) {
        throw new Error(`the counts do not add up: ${JSON.stringify(report)}`);
      }
      if (rejected !== rejects.length) throw new Error("rejects were not told");
      const rows = target.search(`-sort ${definition.key.name}`).toArray();
      return { rows, rejects, report, look };
    } finally {
      db.close();
    }
  }

  [Symbol.dispose](): void {
    this.#temporary[Symbol.dispose]();
  }
}

function isPieces(
  source: string | Uint8Array | readonly Uint8Array[],
): source is readonly Uint8Array[] {
  return Array.isArray(source);
}

/** Pieces as a stream gives them. */
export async function* streamOf(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield piece;
}

/** `bytes` in pieces of `size`. */
export function piecesOf(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

/** A file of the corpus. */
export async function corpus(name: string): Promise<Uint8Array> {
  // Formatters read `.json` files, and these are damaged on purpose.
  const stored = name.endsWith(".json") ? `${name}.txt` : name;
  return Bun.file(`${import.meta.dir}/../feeds/corpus/${stored}`).bytes();
}

export { Aircraft, FlightState };
