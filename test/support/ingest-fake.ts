/**
 * An ingest engine without a library: parses plain TSV in JavaScript and keeps rows of text in a
 * map. It keeps the contract of `IngestSession`, so that what is around the parser can be tested by
 * itself: windows, batches, rejects, formats. A line is bad when it has the wrong number of fields
 * or an empty key.
 */
import { AerostoreError } from "../../src/errors.ts";
import { IngestFault, IngestStop } from "../../src/ffi/constants.gen.ts";
import {
  type BatchCounts,
  type IngestEngine,
  type IngestMemory,
  type IngestSession,
  rejectSize,
} from "../../src/ingest/session.ts";
import type { AnyTable } from "../../src/schema/table.ts";

/** Text by column name. */
export type FakeRow = Readonly<Record<string, string>>;

export class FakeEngine implements IngestEngine {
  readonly table: AnyTable;
  readonly rows: Map<string, FakeRow> = new Map();
  /** Records of each commit. */
  readonly batches: number[] = [];
  /** Keys that the table refuses. */
  readonly refused: Set<string> = new Set();
  newestBy: Uint8Array | undefined;
  closed = 0;

  constructor(table: AnyTable) {
    this.table = table;
  }

  begin(
    plan: Uint8Array<ArrayBuffer>,
    memory: IngestMemory,
    newestBy: Uint8Array | undefined,
  ): IngestSession {
    this.newestBy = newestBy;
    return new FakeSession(this, plan, memory);
  }
}

class FakeSession implements IngestSession {
  readonly #engine: FakeEngine;
  readonly #memory: IngestMemory;
  readonly #input: Uint8Array;
  readonly #result: DataView;
  readonly #rejects: DataView;
  readonly #lines: BigUint64Array;
  readonly #columns: readonly (string | undefined)[];
  readonly #lineSizeMax: number;
  readonly #stopAtReject: boolean;
  readonly #pending: FakeRow[] = [];
  #line: bigint;
  #skipping = false;

  constructor(engine: FakeEngine, plan: Uint8Array<ArrayBuffer>, memory: IngestMemory) {
    const view = new DataView(plan.buffer);
    this.#engine = engine;
    this.#memory = memory;
    this.#input = new Uint8Array(memory.input);
    this.#result = new DataView(memory.result);
    this.#rejects = new DataView(memory.rejects);
    this.#lines = new BigUint64Array(memory.lines);
    this.#line = view.getBigUint64(8, true);
    this.#lineSizeMax = view.getUint32(16, true);
    this.#stopAtReject = (view.getUint8(7) & 4) !== 0;
    const positions = view.getUint32(32, true);
    this.#columns = Array.from(
      { length: view.getUint32(20, true) },
      (_, index) => engine.table.columns[view.getUint16(positions + index * 2, true)]?.name,
    );
  }

  parse(start: number, size: number, final: boolean, recordCount: number): void {
    const recordSize = 16 + this.#engine.table.imageSize;
    const room = this.#memory.records.byteLength / recordSize;
    const rejectRoom = this.#memory.rejects.byteLength / rejectSize;
    const end = start + size;
    this.#pending.length = recordCount;
    let at = start;
    let records = recordCount;
    let rejects = 0;
    let stop: IngestStop = IngestStop.input;
    const refuse = (from: number, to: number, column: number, reason: number): void => {
      const entry = rejects * rejectSize;
      this.#rejects.setBigUint64(entry, this.#line, true);
      this.#rejects.setUint32(entry + 8, from - start, true);
      this.#rejects.setUint32(entry + 12, to - from, true);
      this.#rejects.setUint32(entry + 16, column, true);
      this.#rejects.setUint16(entry + 20, reason, true);
      this.#rejects.setUint16(entry + 22, reason === IngestFault.empty_key ? 0 : 0xffff, true);
      rejects += 1;
    };
    while (at < end) {
      if (records === room) stop = IngestStop.records;
      else if (rejects === rejectRoom || (this.#stopAtReject && rejects > 0))
        stop = IngestStop.rejects;
      if (stop !== IngestStop.input) break;
      const found = this.#input.subarray(at, end).indexOf(0x0a);
      const ended = found >= 0;
      const stopAt = ended ? at + found : end;
      if (this.#skipping) {
        if (ended) this.#skipping = false;
      } else if (!ended && !final && end - at <= this.#lineSizeMax) {
        break;
      } else if (stopAt - at > this.#lineSizeMax) {
        refuse(at, at + this.#lineSizeMax, 1, IngestFault.line_too_long);
        this.#skipping = !ended;
      } else {
        const text = Buffer.from(this.#input.subarray(at, stopAt))
          .toString()
          .replace(/^\ufeff/, "")
          .replace(/\r$/, "");
        const fields = text.split("\t");
        if (text !== "") {
          if (fields.length !== this.#columns.length) {
            refuse(at, at + Buffer.byteLength(text), fields.length + 1, IngestFault.missing_column);
          } else {
            const row = Object.fromEntries(
              this.#columns.flatMap((name, index) =>
                name === undefined ? [] : [[name, fields[index] ?? ""]],
              ),
            );
            if (row[this.#engine.table.key.name] === "") {
              refuse(at, at + Buffer.byteLength(text), 1, IngestFault.empty_key);
            } else {
              this.#lines[records] = this.#line;
              this.#pending[records] = row;
              records += 1;
            }
          }
        }
      }
      at = ended ? stopAt + 1 : end;
      if (ended || !this.#skipping) this.#line += 1n;
    }
    this.#result.setBigUint64(0, BigInt(at - start), true);
    this.#result.setBigUint64(8, 0n, true);
    this.#result.setBigUint64(16, this.#line, true);
    this.#result.setUint32(24, records - recordCount, true);
    this.#result.setUint32(28, rejects, true);
    this.#result.setUint32(32, stop, true);
  }

  commit(first: number, count: number): BatchCounts {
    const engine = this.#engine;
    const rows = this.#pending.slice(first, first + count);
    const keyOf = (row: FakeRow): string => row[engine.table.key.name] ?? "";
    const bad = rows.map(keyOf).find((key) => engine.refused.has(key));
    if (bad !== undefined) throw new AerostoreError("DUPLICATE_KEY", `refused ${bad}`);
    const counts = { inserted: 0, updated: 0, unchanged: 0, stale: 0 };
    engine.batches.push(count);
    for (const row of rows) {
      const key = keyOf(row);
      if (engine.rows.has(key)) counts.updated += 1;
      else counts.inserted += 1;
      engine.rows.set(key, { ...engine.rows.get(key), ...row });
    }
    return counts;
  }

  [Symbol.dispose](): void {
    this.#engine.closed += 1;
  }
}
