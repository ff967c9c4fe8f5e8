/** `/v1/tables/T/search`, `count`, `aggregate`, `explain`: text in the query string, or a body. */
import type { AggregateQuery } from "../query/aggregate-types.ts";
import type { DynamicShape } from "../schema/table.ts";
import { chooseMedia, jsonResponse, mediaType, readBody, textResponse } from "./content.ts";
import { parameterOf, tableOf } from "./door.ts";
import type { Door, DoorRequest, Handler, Query } from "./door.ts";
import { HttpProblem } from "./problem.ts";
import { rowResponse } from "./row-stream.ts";
import { wireMember } from "./values.ts";

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

/** Groups, as an array of objects; integers beyond 2^53 are digit strings. */
export function aggregate(door: Door): Handler {
  return async (request) => {
    const query = await takeQuery(door, request);
    using view = door.db.begin({ readOnly: true });
    const table = view.table(parameterOf(request, "table"));
    const groups = isAggregate(query) ? table.aggregate(query) : table.aggregate(String(query));
    return textResponse(JSON.stringify(groups, wireMember), "application/json");
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

async function queryOf(door: Door, request: DoorRequest): Promise<Query> {
  const value = await takeQuery(door, request);
  if (isQuery(value)) return value;
  throw new HttpProblem(400, "PARSE_ERROR", "a query is a text, an array of words or an object");
}

/** `?q=` as text; in a body, text or the object form in JSON. */
async function takeQuery(door: Door, request: DoorRequest): Promise<unknown> {
  const text = new URL(request.url).searchParams.get("q") ?? "";
  if (request.method !== "POST") return text;
  const body = new TextDecoder().decode(await readBody(request, door.limits.bodyBytes));
  if (mediaType(request.headers.get("content-type")) !== "application/json") return body || text;
  return parse(body);
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HttpProblem(400, "PARSE_ERROR", `the query is no JSON: ${reason}`);
  }
}

type Aggregation = AggregateQuery<DynamicShape["row"], readonly [], Readonly<Record<never, never>>>;

function isAggregate(value: unknown): value is Aggregation {
  return typeof value === "object" && value !== null;
}

/** Any of the forms; their contents are for the parser of queries. */
function isQuery(value: unknown): value is Query {
  return typeof value === "string" || (typeof value === "object" && value !== null);
}
