/** `/v1/tables/T/search`, `count`, `explain`: text in the query string, or a body. */
import { chooseMedia, jsonResponse, mediaType, readBody } from "./content.ts";
import { parameterOf, tableOf } from "./door.ts";
import type { Door, DoorRequest, Handler, Query } from "./door.ts";
import { HttpProblem } from "./problem.ts";
import { rowResponse } from "./row-stream.ts";

export function search(door: Door): Handler {
  return async (request) => {
    const media = chooseMedia(request);
    const query = await queryOf(door, request);
    const table = parameterOf(request, "table");
    const view = door.db.begin({ readOnly: true });
    try {
      checkRows(view.table(table).count(query), door.limits.rows);
      return rowResponse({ view, table, query, media, timeMsMax: door.limits.answerMs });
    } catch (error) {
      view.abort();
      throw error;
    }
  };
}

export function count(door: Door): Handler {
  return async (request) => {
    const query = await queryOf(door, request);
    using view = door.db.begin({ readOnly: true });
    return jsonResponse({ count: view.table(parameterOf(request, "table")).count(query) });
  };
}

export function explain(door: Door): Handler {
  return async (request) => {
    const query = await queryOf(door, request);
    const analyze = new URL(request.url).searchParams.get("analyze") === "1";
    return jsonResponse(tableOf(door, request).explain(query, { analyze }));
  };
}

function checkRows(found: number, rowsMax: number): void {
  if (found <= rowsMax) return;
  throw new HttpProblem(
    413,
    "TOO_LARGE",
    `the search finds ${found} rows, and an answer has at most ${rowsMax}: add -limit`,
  );
}

/** `?q=` as text; in a body, text or the object form in JSON. */
async function queryOf(door: Door, request: DoorRequest): Promise<Query> {
  const text = new URL(request.url).searchParams.get("q") ?? "";
  if (request.method !== "POST") return text;
  const body = new TextDecoder().decode(await readBody(request, door.limits.bodyBytes));
  if (mediaType(request.headers.get("content-type")) !== "application/json") return body || text;
  const value = parse(body);
  if (isQuery(value)) return value;
  throw new HttpProblem(400, "PARSE_ERROR", "a query is a text, an array of words or an object");
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HttpProblem(400, "PARSE_ERROR", `the query is no JSON: ${reason}`);
  }
}

/** Any of the forms; their contents are for the parser of queries. */
function isQuery(value: unknown): value is Query {
  return typeof value === "string" || (typeof value === "object" && value !== null);
}
