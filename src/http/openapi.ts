/** `/openapi.json`: OpenAPI 3.1 of the door, with the tables of the catalog. */
import type { ColumnDefinition } from "../schema/column.ts";
import type { TableDefinition } from "../schema/table.ts";
import { textResponse } from "./content.ts";
import type { Door, Handler } from "./door.ts";

type Json = Readonly<Record<string, unknown>>;

export function openapi({ db }: Door, prefix: string, version: string): Handler {
  return () =>
    textResponse(JSON.stringify(describe(db.tables(), prefix, version)), "application/json");
}

/** The document. Pure. */
export function describe(
  tables: readonly TableDefinition[],
  prefix: string,
  version: string,
): Json {
  const schemas = Object.fromEntries(tables.map((table) => [table.name, tableSchema(table)]));
  const names = tables.map(({ name }) => name);
  return {
    openapi: "3.1.0",
    info: {
      title: "Aerostore",
      version,
      description: "Tables in shared memory: rows by key, searches, writes, batches.",
      license: { name: "UNLICENSED", identifier: "UNLICENSED" },
    },
    servers: [{ url: prefix === "" ? "/" : prefix }],
    security: [{ token: [] }],
    tags: [
      { name: "catalog", description: "Tables and their columns" },
      { name: "rows", description: "Rows by key and by search" },
      { name: "server", description: "Health and metrics" },
    ],
    paths: paths(names),
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: { ...schemas, Problem: problemSchema },
    },
  };
}

const problemSchema: Json = {
  type: "object",
  description: "RFC 9457 problem details; `code` is one of Aerostore's error codes.",
  required: ["type", "title", "status", "detail", "code"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    code: { type: "string" },
    retryable: { type: "boolean" },
  },
};

function paths(names: readonly string[]): Json {
  const table = parameter("table", names.length > 0 ? { enum: names } : {});
  const key = parameter("key", {});
  const rows = { oneOf: names.map((name) => ({ $ref: `#/components/schemas/${name}` })) };
  const row = names.length > 0 ? rows : { type: "object" };
  const query = {
    name: "q",
    in: "query",
    description: "A search as STAPI text, for example `-compare {{> altitude 30000}} -limit 5`.",
    schema: { type: "string" },
  };
  const read = (id: string, summary: string, answer: Json): Json => ({
    get: operation(`${id}Get`, summary, "rows", answer, { parameters: [query] }),
    post: operation(`${id}Post`, `${summary}; the query is the body`, "rows", answer, {
      requestBody: body({
        "text/plain": { schema: { type: "string" } },
        "application/json": { schema: { type: "object" } },
      }),
    }),
  });
  const many: Json = { type: "array", items: row };
  return {
    "/v1/tables": {
      get: operation("listTables", "Lists the tables", "catalog", json({ type: "array" })),
    },
    "/v1/tables/{table}": {
      parameters: [table],
      get: operation("showTable", "Describes a table", "catalog", json({ type: "object" })),
    },
    "/v1/tables/{table}/rows/{key}": {
      parameters: [table, key],
      get: operation("getRow", "Reads a row", "rows", json(row)),
      put: operation("putRow", "Puts a row in place", "rows", json(row), {
        requestBody: jsonBody(row),
      }),
      patch: operation("patchRow", "Changes columns of a row", "rows", json(row), {
        requestBody: jsonBody({ type: "object" }),
      }),
      delete: operation("deleteRow", "Deletes a row", "rows", undefined),
    },
    "/v1/tables/{table}/rows": {
      parameters: [table],
      post: operation(
        "postRows",
        "Upserts rows, or ingests a file",
        "rows",
        json({ type: "object" }),
        {
          requestBody: body({
            "application/json": { schema: { oneOf: [row, many] } },
            "application/x-ndjson": { schema: { type: "string" } },
            "text/csv": { schema: { type: "string" } },
            "text/tab-separated-values": { schema: { type: "string" } },
          }),
        },
      ),
    },
    "/v1/tables/{table}/search": {
      parameters: [table],
      ...read("search", "Finds rows, all from one instant", {
        ...json(many),
        "application/x-ndjson": { schema: { type: "string" } },
        "text/csv": { schema: { type: "string" } },
        "text/tab-separated-values": { schema: { type: "string" } },
      }),
    },
    "/v1/tables/{table}/count": {
      parameters: [table],
      ...read("count", "Counts the rows of a search", json({ type: "object" })),
    },
    "/v1/tables/{table}/aggregate": {
      parameters: [table],
      ...read("aggregate", "Values of groups of rows", json({ type: "array" })),
    },
    "/v1/tables/{table}/explain": {
      parameters: [table],
      ...read("explain", "Shows the plan of a search", json({ type: "object" })),
    },
    "/v1/tables/{table}/watch": {
      parameters: [table],
      get: operation("watch", "Follows what a search finds", "rows", eventStream, {
        parameters: [query, queryParameter("minIntervalMs", "Between two deltas at least.")],
      }),
    },
    "/v1/changes": {
      get: operation("changes", "Follows every commit", "rows", eventStream, {
        parameters: [
          queryParameter("from", "now, oldest, snapshot or a position; Last-Event-ID is one."),
          queryParameter("tables", "Names, separated by commas."),
          queryParameter("values", "changed, row or keys."),
        ],
      }),
    },
    "/v1/transact": {
      post: operation(
        "transact",
        "Runs operations, all or nothing",
        "rows",
        json({ type: "object" }),
        {
          requestBody: jsonBody({ type: "object" }),
        },
      ),
    },
    "/metrics": {
      get: operation("metrics", "OpenMetrics", "server", {
        "application/openmetrics-text": { schema: { type: "string" } },
      }),
    },
    "/healthz": { get: open("healthz", "Tells that the process answers") },
    "/readyz": { get: open("readyz", "Tells that the database takes writes") },
  };
}

function operation(
  operationId: string,
  summary: string,
  tag: string,
  content: Json | undefined,
  more: Json = {},
): Json {
  const done =
    content === undefined
      ? { "204": { description: "Done" } }
      : { "200": { description: "Done", content } };
  return {
    operationId,
    summary,
    tags: [tag],
    ...more,
    responses: { ...done, "4XX": problemAnswer, "5XX": problemAnswer },
  };
}

/** An operation that needs no token. */
function open(operationId: string, summary: string): Json {
  return { ...operation(operationId, summary, "server", json({ type: "object" })), security: [] };
}

const problemAnswer: Json = {
  description: "The request failed",
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
};

const eventStream: Json = { "text/event-stream": { schema: { type: "string" } } };

function queryParameter(name: string, description: string): Json {
  return { name, in: "query", description, schema: { type: "string" } };
}

function parameter(name: string, schema: Json): Json {
  return { name, in: "path", required: true, schema: { type: "string", ...schema } };
}

function json(schema: Json): Json {
  return { "application/json": { schema } };
}

function body(content: Json): Json {
  return { required: true, content };
}

function jsonBody(schema: Json): Json {
  return body(json(schema));
}

function tableSchema({ columns, key }: TableDefinition): Json {
  return {
    type: "object",
    required: [key.name],
    properties: Object.fromEntries(columns.map((column) => [column.name, columnSchema(column)])),
  };
}

function columnSchema(column: ColumnDefinition): Json {
  const schema = valueSchema(column);
  if (!column.nullable) return schema;
  return { ...schema, type: [schema["type"], "null"].flat() };
}

function valueSchema({ kind, labels, limit, scale }: ColumnDefinition): Json {
  switch (kind) {
    case "bool":
      return { type: "boolean" };
    case "i8":
    case "i16":
    case "i32":
    case "u8":
    case "u16":
    case "u32":
      return { type: "integer" };
    case "i64":
    case "u64":
      return { type: ["integer", "string"], description: "Digits as text from 2^53 on" };
    case "f32":
    case "f64":
      return { type: "number" };
    case "decimal":
      return { type: ["number", "string"], description: `Exact, ${scale} digits after the point` };
    case "timestamp":
      return { type: "integer", description: "Milliseconds since 1970" };
    case "string":
      return { type: "string", description: `At most ${limit} bytes of UTF-8` };
    case "bytes":
      return { type: "string", description: `Hex digits of at most ${limit} bytes` };
    case "enum":
      return { type: "string", enum: labels };
  }
}
