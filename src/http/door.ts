/** What every handler works with, and the frame that each of them runs in. */
import type { Database } from "../database/database.ts";
import type { Table } from "../database/table.ts";
import type { SearchInput } from "../query/types.ts";
import type { DynamicShape } from "../schema/table.ts";
import type { Access, Demand } from "./access.ts";
import { compress } from "./content.ts";
import { HttpProblem, problemResponse } from "./problem.ts";
import type { RequestMeter } from "./request-meter.ts";

/** A search of a table that is known at run time only. */
export type Query = SearchInput<DynamicShape["row"], DynamicShape["patch"]>;

/** Bounds of one server. */
export interface Limits {
  /** Bytes of a request. Default 64 MiB. */
  readonly bodyBytes: number;
  /** Rows of an answer. Default 1,000,000. */
  readonly rows: number;
  /** Milliseconds that a client may take for an answer. Default 30,000. */
  readonly answerMs: number;
  /** Operations of one `POST /v1/transact`. Default 10,000. */
  readonly operations: number;
  /** Live streams at once. Default 10,000. */
  readonly streams: number;
}

export const limitsDefault: Limits = {
  bodyBytes: 64 << 20,
  rows: 1_000_000,
  answerMs: 30_000,
  operations: 10_000,
  streams: 10_000,
};

export type DoorRequest = Bun.BunRequest<string>;
export type DoorServer = Bun.Server<unknown>;
export type Handler = (request: DoorRequest, server: DoorServer) => Response | Promise<Response>;

export interface Door {
  readonly db: Database;
  readonly access: Access;
  readonly limits: Limits;
  readonly meter: RequestMeter;
  /** Called with each error that is the server's own failure. */
  readonly onError: (error: unknown) => void;
}

/** A table by its name in the path. **Throws** `UNKNOWN_TABLE`. */
export function tableOf(door: Door, request: DoorRequest): Table {
  return door.db.table(parameterOf(request, "table"));
}

/** A part of the path. **Throws** `HttpProblem` 404 when it is empty. */
export function parameterOf(request: DoorRequest, name: string): string {
  const params: Readonly<Record<string, string | undefined>> = request.params;
  const value = params[name] ?? "";
  if (value === "") throw new HttpProblem(404, "NOT_FOUND", `the path has no ${name}`);
  return value;
}

/** What a method of a path needs, and its work. */
export interface Method {
  /** Whether it writes; `"open"` needs no token. */
  readonly needs: "read" | "write" | "open";
  /** Whether the demand is for the table in the path, or for all. */
  readonly perTable: boolean;
  readonly handle: Handler;
}

/**
 * The handler of a path: checks where the request comes from and what it may do, times it, turns
 * errors into problems, and compresses.
 */
export function path(
  door: Door,
  name: string,
  methods: Readonly<Partial<Record<string, Method>>>,
): Handler {
  return async (request, server) => {
    const startedAt = performance.now();
    const response = await answer(door, methods, request, server);
    door.meter.count(name, request.method, response.status, performance.now() - startedAt);
    for (const [key, value] of Object.entries(door.access.corsHeaders(request))) {
      response.headers.append(key, value);
    }
    response.headers.set("x-content-type-options", "nosniff");
    return compress(request, response);
  };
}

async function answer(
  door: Door,
  methods: Readonly<Partial<Record<string, Method>>>,
  request: DoorRequest,
  server: DoorServer,
): Promise<Response> {
  try {
    if (request.method === "OPTIONS") return door.access.preflight(request);
    door.access.checkSource(request);
    const method =
      methods[request.method] ?? (request.method === "HEAD" ? methods["GET"] : undefined);
    if (method === undefined) throw notAllowed(request, methods);
    if (method.needs !== "open") door.access.check(request, demandOf(method, request));
    return await method.handle(request, server);
  } catch (error) {
    const response = problemResponse(error);
    if (response.status === 500) door.onError(error);
    return response;
  }
}

function demandOf({ needs, perTable }: Method, request: DoorRequest): Demand {
  const write = needs === "write";
  return perTable ? { write, table: parameterOf(request, "table") } : { write };
}

function notAllowed(
  request: DoorRequest,
  methods: Readonly<Partial<Record<string, Method>>>,
): HttpProblem {
  const allow = Object.keys(methods).join(", ");
  const message = `${request.method} is not possible here, only ${allow}`;
  return new HttpProblem(405, "METHOD_NOT_ALLOWED", message, {}, { allow });
}
