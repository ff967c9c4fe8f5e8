/**
 * Positions: places in the history of one database, as text that programs keep. A position names
 * the database, the timeline and a CSN: everything below it was seen. Within one timeline positions
 * are ordered as texts.
 */
import { AerostoreError } from "../errors.ts";
import { describeValue } from "../schema/value.ts";

/** A place in a database's history. Kept across restarts; ordered within one timeline. */
export type Position = string & { readonly __brand: "Position" };

export interface PositionParts {
  /** The first eight digits of the database's id. */
  readonly database: string;
  readonly timeline: number;
  /** Everything below was seen. */
  readonly csn: number;
}

/** Digits of the database's id in a position. */
export const databaseDigits = 8;
const pattern = /^([0-9a-f]{8})\.([0-9a-f]{8})\.([0-9a-f]{12})$/;

export function formatPosition({ database, timeline, csn }: PositionParts): Position {
  const [t, c] = [timeline.toString(16).padStart(8, "0"), csn.toString(16).padStart(12, "0")];
  return `${database}.${t}.${c}` as Position;
}

/** **Throws** `INVALID_VALUE` for a text that is no position. */
export function parsePosition(text: string): PositionParts {
  const [, database, timeline = "", csn = ""] = pattern.exec(text) ?? [];
  if (database === undefined) {
    throw new AerostoreError(
      "INVALID_VALUE",
      `${describeValue(text)} is not a position: one is DATABASE.TIMELINE.CSN, as ` +
        "change.position and db.position() give it; was it cut short?",
      { value: text },
    );
  }
  return { database, timeline: Number.parseInt(timeline, 16), csn: Number.parseInt(csn, 16) };
}
