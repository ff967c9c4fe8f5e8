/** Memory for many write records of one table, with the encoder that writes into it. */
import { generateEncoder } from "../schema/encode.ts";
import type { RowEncoder } from "../schema/encode.ts";
import { recordHeadSize } from "../schema/layout.ts";
import { Memory } from "../schema/memory.ts";
import type { AnyTable } from "../schema/table.ts";

/** Records so large that more of them would be written are written in smaller batches. */
const recordsSizeMax = 32 << 20;

export interface RecordBuffer {
  readonly memory: Memory;
  readonly encoder: RowEncoder;
  /** Bytes from one record to the next. */
  readonly stride: number;
  /** Records that fit. */
  readonly room: number;
}

/** Lends a buffer at a time and keeps the last one given back, since most uses are alike. */
export class RecordPool {
  readonly #table: AnyTable;
  #kept: RecordBuffer | undefined;

  constructor(table: AnyTable) {
    this.#table = table;
  }

  /** How many of `count` records are written at once. */
  roomFor(count: number): number {
    const stride = recordHeadSize + this.#table.imageSize;
    return Math.max(1, Math.min(count, Math.floor(recordsSizeMax / stride)));
  }

  /** A buffer for at least `room` records, which nobody else uses until it is given back. */
  take(room: number): RecordBuffer {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined && kept.room >= room) return kept;
    const stride = recordHeadSize + this.#table.imageSize;
    const memory = Memory.allocate(room * stride);
    return { memory, encoder: generateEncoder(this.#table, memory), stride, room };
  }

  give(buffer: RecordBuffer): void {
    this.#kept = buffer;
  }
}
