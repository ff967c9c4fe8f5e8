/** `POST /v1/tables/T/rows`: upserts and ingest, answered with the report. */
import { formatNames } from "../ingest/formats.ts";
import type { IngestFormat } from "../ingest/formats.ts";
import { jsonResponse, limitBody, mediaType, readJson } from "./content.ts";
import { tableOf } from "./door.ts";
import type { Door, DoorRequest, Handler } from "./door.ts";
import { acknowledge } from "./one-row.ts";
import { HttpProblem } from "./problem.ts";
import { rowFromJson } from "./values.ts";

const formatByType: ReadonlyMap<string, IngestFormat> = new Map<string, IngestFormat>([
  ["application/x-ndjson", "ndjson"],
  ["application/ndjson", "ndjson"],
  ["application/jsonl", "ndjson"],
  ["text/csv", "csv"],
  ["text/tab-separated-values", "tsv"],
]);
const rejectsShownMax = 20;

export function postRows(door: Door): Handler {
  return async (request) => {
    const type = mediaType(request.headers.get("content-type"));
    const parameters = new URL(request.url).searchParams;
    const format = parameters.get("format") ?? undefined;
    const report =
      type === "application/json" && format === undefined
        ? await upsertJson(door, request, parameters)
        : await ingestBody(door, request, parameters, format ?? formatByType.get(type), type);
    await acknowledge(door, request);
    return jsonResponse(report);
  };
}

async function upsertJson(
  door: Door,
  request: DoorRequest,
  parameters: URLSearchParams,
): Promise<object> {
  const table = tableOf(door, request);
  const body = await readJson(request, door.limits.bodyBytes);
  const rows = (Array.isArray(body) ? body : [body]).map((row: unknown) =>
    rowFromJson(table.definition, row),
  );
  return table.upsertMany(rows, { newestBy: parameters.get("newest") ?? undefined });
}

/** Every other format goes through ingest, as it comes. */
async function ingestBody(
  door: Door,
  request: DoorRequest,
  parameters: URLSearchParams,
  format: string | undefined,
  type: string,
): Promise<object> {
  const known = formatNames().find((each) => each === format);
  if (known === undefined) {
    throw new HttpProblem(
      415,
      "UNSUPPORTED_MEDIA_TYPE",
      `rows come as application/json, ${[...formatByType.keys()].join(", ")}, or with ` +
        `?format=; not as ${format ?? (type === "" ? "a body without Content-Type" : type)}`,
    );
  }
  const table = tableOf(door, request);
  const rejects: object[] = [];
  const report = await table.ingest(limitBody(request, door.limits.bodyBytes), {
    format: known,
    header: headerOf(parameters, known),
    newestBy: parameters.get("newest") ?? undefined,
    strict: parameters.get("strict") === "1",
    onReject: (reject) => {
      if (rejects.length < rejectsShownMax) rejects.push(reject);
    },
  });
  return rejects.length === 0 ? report : { ...report, rejects };
}

/** CSV and TSV have a header here, as the answers of a search do, unless `?header=0`. */
function headerOf(parameters: URLSearchParams, format: IngestFormat): boolean | undefined {
  if (format !== "csv" && format !== "tsv") return undefined;
  return parameters.get("header") !== "0";
}
