/** Bodies in and out: limits, media types, compression. */
import { HttpProblem } from "./problem.ts";

/** How rows are written. */
export type RowMedia = "json" | "ndjson" | "csv" | "tsv";

const rowTypes: Readonly<Record<RowMedia, string>> = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  csv: "text/csv; charset=utf-8",
  tsv: "text/tab-separated-values; charset=utf-8",
};

const mediaByType: ReadonlyMap<string, RowMedia> = new Map([
  ["application/json", "json"],
  ["application/x-ndjson", "ndjson"],
  ["application/ndjson", "ndjson"],
  ["application/jsonl", "ndjson"],
  ["text/csv", "csv"],
  ["text/tab-separated-values", "tsv"],
  ["application/*", "json"],
  ["text/*", "csv"],
  ["*/*", "json"],
]);

export function typeOf(media: RowMedia): string {
  return rowTypes[media];
}

/** The media type that a header names, without its parameters. */
export function mediaType(header: string | null): string {
  return (header ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** The format that the caller likes best. **Throws** `HttpProblem` 406 when there is none. */
export function chooseMedia(request: Request): RowMedia {
  const accept = request.headers.get("accept");
  if (accept === null || accept.trim() === "") return "json";
  const wanted = accept
    .split(",")
    .map((part) => ({ media: mediaByType.get(mediaType(part)), weight: weightOf(part) }))
    .filter(({ media, weight }) => media !== undefined && weight > 0)
    .sort((a, b) => b.weight - a.weight);
  const media = wanted[0]?.media;
  if (media !== undefined) return media;
  throw new HttpProblem(
    406,
    "NOT_ACCEPTABLE",
    `rows are written as ${Object.values(rowTypes).join(", ")}, not as ${accept}`,
  );
}

function weightOf(part: string): number {
  const [, weight] = /;\s*q=([\d.]+)/i.exec(part) ?? [];
  return weight === undefined ? 1 : Number(weight);
}

/** The whole body. **Throws** `HttpProblem` 413 as soon as it is longer than `bytesMax`. */
export async function readBody(request: Request, bytesMax: number): Promise<Uint8Array> {
  checkLength(request, bytesMax);
  const parts: Uint8Array[] = [];
  for await (const part of limitBody(request, bytesMax)) parts.push(part);
  return Buffer.concat(parts);
}

/** The body as it comes; ends with `HttpProblem` 413 when it is longer than `bytesMax`. */
export async function* limitBody(
  request: Request,
  bytesMax: number,
): AsyncGenerator<Uint8Array, void> {
  checkLength(request, bytesMax);
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > bytesMax) throw tooLarge(bytesMax);
    yield part;
  }
}

function checkLength(request: Request, bytesMax: number): void {
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) throw tooLarge(bytesMax);
}

function tooLarge(bytesMax: number): HttpProblem {
  return new HttpProblem(413, "TOO_LARGE", `a request has at most ${bytesMax} bytes`);
}

/** The body as JSON. **Throws** `HttpProblem` 400 for text that is none, 413. */
export async function readJson(request: Request, bytesMax: number): Promise<unknown> {
  const text = new TextDecoder().decode(await readBody(request, bytesMax));
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HttpProblem(400, "PARSE_ERROR", `the body is no JSON: ${reason}`);
  }
}

/** Shorter answers are not worth it. */
const compressedMin = 1_024;
const encodings: readonly (readonly [name: string, format: Bun.CompressionFormat])[] = [
  ["zstd", "zstd"],
  ["gzip", "gzip"],
];

/** The answer, compressed where the caller takes it and it is long enough. */
export function compress(request: Request, response: Response): Response {
  const type = mediaType(response.headers.get("content-type"));
  if (response.body === null || type === "text/event-stream") return response;
  const length = response.headers.get("content-length");
  if (length !== null && Number(length) < compressedMin) return response;
  const accepted = request.headers.get("accept-encoding") ?? "";
  const chosen = encodings.find(([name]) => new RegExp(`\\b${name}\\b(?!;\\s*q=0)`).test(accepted));
  if (chosen === undefined) return response;
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  headers.set("content-encoding", chosen[0]);
  headers.append("vary", "Accept-Encoding");
  const body = response.body.pipeThrough(new CompressionStream(chosen[1]));
  return new Response(body, { status: response.status, headers });
}

/** A finished text, with its length, so that short ones are not compressed. */
export function textResponse(
  text: string,
  type: string,
  init: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): Response {
  const headers = {
    ...init.headers,
    "content-type": type,
    "content-length": String(Buffer.byteLength(text)),
  };
  return new Response(text, { status: init.status ?? 200, headers });
}

export function jsonResponse(value: unknown, status = 200): Response {
  return textResponse(JSON.stringify(value), "application/json", { status });
}
