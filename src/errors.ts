/** The one error class of Aerostore and its codes. */

/** Every code, each with whether running the same transaction again may succeed. */
const retryableByCode = {
  SERIALIZATION_FAILURE: true,
  DUPLICATE_KEY: false,
  UNKNOWN_TABLE: false,
  UNKNOWN_FIELD: false,
  INVALID_VALUE: false,
  PARSE_ERROR: false,
  SEGMENT_FULL: false,
  SNAPSHOT_TOO_OLD: true,
  LOCK_TIMEOUT: true,
  SCHEMA_MISMATCH: false,
  LAYOUT_MISMATCH: false,
  WAL_CORRUPT: false,
  CHECKPOINT_CORRUPT: false,
  SEGMENT_CORRUPT: false,
  LOG_POISONED: false,
  TOO_MANY_SESSIONS: false,
  PERMISSION: false,
  CLOSED: false,
  ABI_MISMATCH: false,
  POSITION_LOST: false,
  IO_ERROR: false,
  READ_ONLY: false,
} as const;

/** What went wrong, for programs. */
export type ErrorCode = keyof typeof retryableByCode;

/** Where it went wrong and with what; only what is known is set. */
export interface ErrorDetails {
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly key?: string | number | bigint | boolean | undefined;
  readonly value?: unknown;
  /** Line of an input file, from 1. */
  readonly line?: number | undefined;
  /** Position in a query or a line, in characters from 0. */
  readonly position?: number | undefined;
  /** Byte offset in a file or in the segment. */
  readonly offset?: number | undefined;
  readonly path?: string | undefined;
  /** What would have been accepted at `position`. */
  readonly expected?: string | undefined;
  /** Why a position was lost: `diverged`, `dropped`, `values`, `forgotten`, `database`. */
  readonly reason?: string | undefined;
  /** Of a position that was lost: the last place that both histories have, if that is known. */
  readonly lastCommon?: string | undefined;
  readonly cause?: unknown;
}

const detailNames = [
  ...(["table", "column", "key", "value", "line"] as const),
  ...(["position", "offset", "path", "expected"] as const),
  ...(["reason", "lastCommon"] as const),
];

/**
 * Every failure that is not a mistake in the types of arguments (those are `TypeError` and
 * `RangeError`). The message says what was attempted, on what, what was found, and what to do.
 */
export class AerostoreError extends Error {
  override readonly name = "AerostoreError";
  readonly code: ErrorCode;
  declare readonly table: string | undefined;
  declare readonly column: string | undefined;
  declare readonly key: string | number | bigint | boolean | undefined;
  declare readonly value: unknown;
  declare readonly line: number | undefined;
  declare readonly position: number | undefined;
  declare readonly offset: number | undefined;
  declare readonly path: string | undefined;
  declare readonly expected: string | undefined;
  declare readonly reason: string | undefined;
  declare readonly lastCommon: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    // A property that is not known is not there either: Bun prints all of an uncaught error.
    const known = detailNames.filter((name) => details[name] !== undefined);
    Object.assign(this, Object.fromEntries(known.map((name) => [name, details[name]])));
  }

  /** What JSON shows: code, message, whether to try again, and what is known of where. */
  toJSON(): Readonly<Record<string, unknown>> {
    const known = detailNames.filter((name) => this[name] !== undefined);
    const details = Object.fromEntries(known.map((name) => [name, plainJson(this[name])]));
    return { code: this.code, message: this.message, retryable: this.retryable, ...details };
  }

  /** Whether running the same transaction again may succeed. */
  get retryable(): boolean {
    return retryableByCode[this.code];
  }
}

/** Numbers while they are safe, digits beyond: JSON has no wider ones. */
function plainJson(value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** Whether `text` is one of the codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(retryableByCode, text);
}
