/** Errors as RFC 9457 problem details, with the codes of Aerostore. */
import { AerostoreError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

/** Codes that only the door has. */
export type DoorCode =
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "PRECONDITION_FAILED"
  | "TOO_LARGE"
  | "TOO_MANY_STREAMS"
  | "NOT_ACCEPTABLE"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "INTERNAL";

/** Anything that is known of a problem besides its code and text. */
export type ProblemDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** A request that cannot be answered; `HttpProblem` is thrown by handlers and sent by the door. */
export class HttpProblem extends Error {
  override readonly name = "HttpProblem";
  readonly status: number;
  readonly code: DoorCode | ErrorCode;
  readonly details: ProblemDetails;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: DoorCode | ErrorCode,
    message: string,
    details: ProblemDetails = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.headers = headers;
  }
}

/** Statuses of the codes that are not the server's failure; every other code is 500. */
const statusByCode: Partial<Record<ErrorCode, number>> = {
  UNKNOWN_TABLE: 404,
  UNKNOWN_FIELD: 400,
  INVALID_VALUE: 400,
  PARSE_ERROR: 400,
  DUPLICATE_KEY: 409,
  SERIALIZATION_FAILURE: 409,
  SCHEMA_MISMATCH: 409,
  PERMISSION: 403,
  SEGMENT_FULL: 507,
  SNAPSHOT_TOO_OLD: 503,
  LOCK_TIMEOUT: 503,
  TOO_MANY_SESSIONS: 503,
  LOG_POISONED: 503,
  CLOSED: 503,
  POSITION_LOST: 410,
};

/** The answer for an error of any kind. What is not the caller's to know stays out of it. */
export function problemResponse(error: unknown): Response {
  if (error instanceof HttpProblem) {
    const { status, code, message, details, headers } = error;
    return problem(status, code, message, details, headers);
  }
  if (error instanceof AerostoreError) {
    const { code, message, retryable, table, column, key, position, line, offset } = error;
    const shown = typeof key === "bigint" ? String(key) : key;
    const details = { retryable, table, column, key: shown, position, line, offset };
    return problem(statusByCode[code] ?? 500, code, message, details);
  }
  if (error instanceof TypeError || error instanceof RangeError) {
    return problem(400, "INVALID_VALUE", error.message);
  }
  return problem(500, "INTERNAL", "the server failed; its log says why");
}

function problem(
  status: number,
  code: string,
  detail: string,
  details: ProblemDetails = {},
  headers: Readonly<Record<string, string>> = {},
): Response {
  const body = { type: `urn:aerostore:error:${code}`, title: code, status, detail, code };
  return new Response(JSON.stringify({ ...body, ...details }), {
    status,
    headers: { ...headers, "content-type": "application/problem+json" },
  });
}
