/**
 * The history of one database as this session has it: where it is, and whether a position is in it.
 */
import { AerostoreError } from "../errors.ts";
import { PositionReason } from "../ffi/constants.gen.ts";
import { numbers, words } from "../session/session.ts";
import type { Session } from "../session/session.ts";
import { databaseDigits, formatPosition, parsePosition } from "./position.ts";
import type { Position } from "./position.ts";

/**
 * Why a position is of no more use. `diverged`: what followed on it was lost by a crash and never
 * was; `dropped`: the log does not go back so far any more; `values`: the log has what followed,
 * but not with values that stand alone; `forgotten`: so many restarts ago that nothing is known;
 * `database`: it is another database's.
 */
export type LostReason = "diverged" | "dropped" | "values" | "forgotten" | "database";

interface Now {
  /** The first that is not decided. */
  readonly csn: number;
  readonly durableCsn: number;
  readonly logBytes: number;
}

const reasonWords: Readonly<Record<LostReason, string>> = {
  diverged: "what was seen there was not on disk when the database crashed, and never was",
  dropped: "the log does not go back so far any more",
  values: "what follows was logged before anybody needed its values",
  forgotten: "it is older than the restarts that are remembered",
  database: "it is another database's",
};

export class Timeline {
  readonly #session: Session;
  readonly #database: string;
  #number: number | undefined;

  constructor(session: Session, databaseId: string) {
    this.#session = session;
    this.#database = databaseId.slice(0, databaseDigits);
  }

  now(): Now {
    const { calls, handle, f64 } = this.#session;
    this.#session.run({ attempted: "reading the position" }, () =>
      calls.aerostore_position_read(handle),
    );
    this.#number = f64[numbers.count] ?? 0;
    return {
      csn: f64[numbers.csn] ?? 0,
      durableCsn: f64[numbers.durableCsn] ?? 0,
      logBytes: f64[numbers.examined] ?? 0,
    };
  }

  /** The position below which everything has a CSN below `csn`. */
  positionOf(csn: number): Position {
    if (this.#number === undefined) this.now();
    return formatPosition({ database: this.#database, timeline: this.#number ?? 0, csn });
  }

  /** The first CSN that the log still has. */
  oldest(): number {
    const { calls, handle, f64 } = this.#session;
    this.#session.run({ attempted: "looking for the oldest change" }, () =>
      calls.aerostore_position_oldest(handle),
    );
    return f64[numbers.csn] ?? 0;
  }

  /** The CSN of a position in this history. **Throws** `INVALID_VALUE`, `POSITION_LOST`. */
  check(position: string): number {
    const { database, timeline, csn } = parsePosition(position);
    if (database !== this.#database) throw this.#lost(position, "database", undefined);
    const { calls, handle, u32, f64 } = this.#session;
    this.#session.run({ attempted: "checking a position" }, () =>
      calls.aerostore_position_check(handle, timeline, csn),
    );
    const reason = u32[words.cause] ?? 0;
    if (reason === PositionReason.none) return csn;
    const common = f64[numbers.csn] ?? 0;
    const lastCommon = common === 0 ? undefined : this.positionOf(common);
    const isForgotten = reason === PositionReason.forgotten;
    throw this.#lost(position, isForgotten ? "forgotten" : "diverged", lastCommon);
  }

  /** The CSN of a position that this history has or comes to. **Throws** as `check`. */
  awaited(position: string): number {
    const { database, timeline, csn } = parsePosition(position);
    this.now();
    const isOwn = database === this.#database && timeline === this.#number;
    return isOwn ? csn : this.check(position);
  }

  /** The error for a place in this history that the log cannot go on from. */
  lost(csn: number, reason: LostReason): AerostoreError {
    return this.#lost(this.positionOf(csn), reason, undefined);
  }

  #lost(position: string, reason: LostReason, lastCommon: Position | undefined): AerostoreError {
    const common = lastCommon === undefined ? "" : `, or go on at ${lastCommon}`;
    const message =
      `following changes from ${position}: the position is lost: ${reasonWords[reason]}; ` +
      `begin again with from: "snapshot"${common}`;
    return new AerostoreError("POSITION_LOST", message, { value: position, reason, lastCommon });
  }
}
