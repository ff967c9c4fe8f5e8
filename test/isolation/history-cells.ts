/** What the processes of the history suite work on, and what they record. */
import { defineTable, t } from "../../src/index.ts";

/** Cells that are there from the beginning, and written most. */
export const hotCount = 24;
export const groupCount = 4;
export const topCount = 3;

export const spreadOf = (id: number): number => id % groupCount;

/** A cell's version is one above the one it replaces; a cell is never deleted. */
export const Cells = defineTable("Cells", {
  id: t.u32().primaryKey(),
  place: t.u32().index(),
  spread: t.u8().index(),
  version: t.u32().index(),
});

/** A committed transaction, as its process recorded it. */
export interface Recorded {
  readonly id: number;
  readonly beganAt: number;
  readonly endedAt: number;
  readonly reads: readonly (readonly [key: number, version: number])[];
  /** Searches for the highest versions: the least one shown, and the keys that it tells more of. */
  readonly tops: readonly (readonly [least: number, keys: readonly number[]])[];
  readonly writes: readonly (readonly [key: number, version: number])[];
}
