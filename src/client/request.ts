/** One request and its answer. */

export interface Connection {
  /** Ends with a slash. */
  readonly base: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof globalThis.fetch;
}

/** A problem that the server tells of, with its code. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** One of the codes of Aerostore, or of the door. */
  readonly code: string;
  /** Of the answer. */
  readonly status: number;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;

  constructor(status: number, code: string, message: string, retryable: boolean) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryable = retryable;
  }
}

/** Sends a request; the answer if it is one of success. **Throws** `ClientError`. */
export async function send(
  { base, headers, fetch }: Connection,
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  const init: RequestInit = { method, headers: { ...headers } };
  if (signal !== undefined) init.signal = signal;
  if (body !== undefined) {
    init.body = JSON.stringify(body, writeWide);
    init.headers = { ...headers, "content-type": "application/json" };
  }
  const response = await fetch(base + path, init);
  if (response.ok) return response;
  throw await errorOf(response);
}

/** The JSON of an answer; the caller says what it is. */
export async function read<T>(response: Response): Promise<T> {
  const value: T = JSON.parse(await response.text());
  return value;
}

/** 64-bit integers cross as digits, bytes as hex digits. */
function writeWide(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (!(value instanceof Uint8Array)) return value;
  return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function errorOf(response: Response): Promise<ClientError> {
  const problem: unknown = await response.json().catch(() => undefined);
  const known: { code?: unknown; detail?: unknown; retryable?: unknown } =
    typeof problem === "object" && problem !== null ? problem : {};
  const code = typeof known.code === "string" ? known.code : "INTERNAL";
  const detail = typeof known.detail === "string" ? known.detail : `status ${response.status}`;
  const retryable = known.retryable === true || response.status === 503;
  return new ClientError(response.status, code, detail, retryable);
}
