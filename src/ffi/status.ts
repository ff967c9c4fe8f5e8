/** From a status of the engine to the error that users see. */
import { AerostoreError, isErrorCode } from "../errors.ts";
import type { ErrorCode, ErrorDetails } from "../errors.ts";
import { Status } from "./abi.gen.ts";

/** The name of a status, for messages; `status 17` when the engine knows more than this code. */
export function statusName(status: number): string {
  for (const [name, value] of Object.entries(Status)) {
    if (value === status) return name;
  }
  return `status ${status}`;
}

/** What a caller adds to a status: what it was doing, what was found, what helps. */
export interface Attempt extends ErrorDetails {
  /** In the words of the user: `updating FlightState`. */
  readonly attempted: string;
  /** What the engine found, if it said more than its status. */
  readonly found?: string | undefined;
  /** Over the usual advice for the code. */
  readonly advice?: string | undefined;
}

/** Statuses that users know under a wider code. */
const publicCodes: Readonly<Record<string, ErrorCode>> = {
  busy: "LOCK_TIMEOUT",
  exists: "IO_ERROR",
  log_removed: "LOG_POISONED",
  values_lost: "POSITION_LOST",
  missing_value: "INVALID_VALUE",
  no_space: "IO_ERROR",
  not_found: "IO_ERROR",
  not_regular: "PERMISSION",
  numbers_used_up: "SEGMENT_FULL",
  too_many_tables: "SEGMENT_FULL",
  transaction_too_large: "SEGMENT_FULL",
};

/** The error for a status that is not `ok`. One without a public code is a bug in this code. */
export function errorFromStatus(status: number, attempt: Attempt): Error {
  const name = statusName(status);
  const code = publicCodes[name] ?? name.toUpperCase();
  if (!isErrorCode(code)) {
    return new Error(`internal error while ${attempt.attempted}: the engine returned ${name}`);
  }
  const usual = narrowWords[name] ?? usualWords[code];
  const found = attempt.found ?? usual?.[0] ?? name.replaceAll("_", " ");
  const advice = attempt.advice ?? usual?.[1];
  const message = `${attempt.attempted}${subject(attempt)}: ${found}`;
  return new AerostoreError(
    code,
    advice === undefined ? message : `${message}; ${advice}`,
    attempt,
  );
}

/** The part of the message that says on what: table, column, key, value, path, offset. */
function subject(attempt: Attempt): string {
  const parts = [
    attempt.table === undefined ? "" : `table ${attempt.table}`,
    attempt.column === undefined ? "" : `column ${attempt.column}`,
    attempt.key === undefined ? "" : `key ${String(attempt.key)}`,
    attempt.value === undefined ? "" : `value ${String(attempt.value)}`,
    attempt.path ?? "",
    attempt.line === undefined ? "" : `line ${attempt.line}`,
    attempt.offset === undefined ? "" : `offset ${attempt.offset}`,
  ].filter((part) => part !== "");
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

/** Words of a status whose public code is a wider one. */
const narrowWords: Readonly<Record<string, readonly [found: string, advice?: string]>> = {
  too_many_tables: [
    "the database has 256 tables, the most that there can be",
    "keep these rows in a table that exists, or in a database of their own",
  ],
};

/** Per code: what was found, what to do. */
const usualWords: Readonly<Partial<Record<ErrorCode, readonly [found: string, advice?: string]>>> =
  {
    SERIALIZATION_FAILURE: [
      "another transaction changed what this one had read or was writing",
      "run the transaction again",
    ],
    DUPLICATE_KEY: ["a row with this key exists", "use upsert or update to change it"],
    UNKNOWN_TABLE: ["there is no such table", "`aerostore tables` lists them"],
    UNKNOWN_FIELD: ["there is no such column"],
    INVALID_VALUE: ["the value does not fit the column"],
    SEGMENT_FULL: [
      "the shared memory is full",
      "delete rows, raise maxBytes while no session is attached (`aerostore resize`), make " +
        "/dev/shm larger (Docker: --shm-size), or place the segment elsewhere with shmPath",
    ],
    SNAPSHOT_TOO_OLD: [
      "the snapshot was open longer than the limit",
      "open a new one, or raise aerostore.snapshot_age_limit_ms",
    ],
    LOCK_TIMEOUT: ["another transaction holds the row", "run the transaction again"],
    SCHEMA_MISMATCH: ["the stored table has another schema"],
    LAYOUT_MISMATCH: [
      "the segment was made by another version",
      "close all processes that use it; the next one to open rebuilds it from the log",
    ],
    WAL_CORRUPT: ["the log is damaged before its end", "restore the data directory from a backup"],
    CHECKPOINT_CORRUPT: ["the checkpoint is damaged", "restore the data directory from a backup"],
    SEGMENT_CORRUPT: [
      "the shared memory is damaged",
      "close all processes that use it; the next one to open rebuilds it from the log",
    ],
    LOG_POISONED: [
      "a write to the log failed, so nothing more is committed",
      "mend the disk, then open the database again",
    ],
    TOO_MANY_SESSIONS: [
      "every session that the segment has room for is attached",
      "close a handle, or raise maxSessions while none is attached (`aerostore resize --sessions`)",
    ],
    PERMISSION: ["access was refused", "check owner and mode of the file"],
    CLOSED: ["the database is closed", "open it again"],
    POSITION_LOST: ["the position is lost", 'begin again with from: "snapshot"'],
    IO_ERROR: ["the system reported an input or output error", "check the disk"],
  };
