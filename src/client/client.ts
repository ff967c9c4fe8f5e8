/** `connect`: tables of a database behind HTTP. */
import type { DynamicShape, TableDefinition, TableShape } from "../schema/table.ts";
import type { SearchInput } from "../query/types.ts";
import { events } from "./events.ts";
import { ClientError, read, send } from "./request.ts";
import type { Connection } from "./request.ts";
import { Folder } from "./watch.ts";
import type { Delta } from "./watch.ts";

export interface ClientOptions {
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string | undefined;
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** One operation of a batch; `expect` is `null` for no row, or values that the row must have. */
export interface Operation {
  readonly op: "insert" | "upsert" | "update" | "delete" | "get";
  readonly table: string;
  readonly key?: string | number | bigint | boolean;
  readonly row?: object;
  readonly expect?: object | null;
}

export interface WatchOptions {
  /** At most one delta in so many milliseconds. */
  readonly minIntervalMs?: number | undefined;
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined;
}

/** A table behind HTTP. Every method **throws** `ClientError` with the server's code. */
export interface RemoteTable<S extends TableShape = DynamicShape> {
  /** The row of a key. */
  get(key: S["key"]): Promise<S["row"] | undefined>;
  /** The rows of a query, all of one instant. */
  search(query?: SearchInput<S["row"], S["patch"]>): Promise<S["row"][]>;
  count(query?: SearchInput<S["row"], S["patch"]>): Promise<number>;
  /** Inserts or changes rows; settles when they are on disk. */
  upsert(rows: S["upsert"] | readonly S["upsert"][]): Promise<UpsertCounts>;
  /** Changes columns of a row; `false` when it is not there. */
  update(key: S["key"], patch: S["patch"]): Promise<boolean>;
  /** `false` when it was not there. */
  delete(key: S["key"]): Promise<boolean>;
  /** The deltas of a standing query, across reconnections: none twice, none missed. */
  watch(query?: string, options?: WatchOptions): AsyncGenerator<Delta<S["row"], S["key"]>, void>;
}

export interface UpsertCounts {
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly stale: number;
}

export interface Client {
  /** A table, typed by its definition: `connect(url).table<typeof Planes>("Planes")`. */
  table<D extends TableDefinition<TableShape> = TableDefinition>(
    name: string,
  ): RemoteTable<D["$shape"]>;
  /** Runs operations, all or nothing; the result of each. */
  transact(operations: readonly Operation[]): Promise<unknown[]>;
}

/** A client of the server at `url`. Nothing is sent before the first call. */
export function connect(url: string | URL, options: ClientOptions = {}): Client {
  const headers: Record<string, string> = {};
  if (options.token !== undefined) headers["authorization"] = `Bearer ${options.token}`;
  const connection: Connection = {
    base: String(url).replace(/\/?$/, "/"),
    headers,
    fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
  };
  return {
    table: (name) => tableOf(connection, `v1/tables/${encodeURIComponent(name)}`),
    transact: async (operations) => {
      const response = await send(connection, "POST", "v1/transact", { operations });
      return (await read<{ results: unknown[] }>(response)).results;
    },
  };
}

function tableOf<S extends TableShape>(connection: Connection, path: string): RemoteTable<S> {
  const rowPath = (key: unknown): string => `${path}/rows/${encodeURIComponent(textOf(key))}`;
  const found = async (
    method: string,
    key: unknown,
    body?: unknown,
  ): Promise<Response | undefined> => {
    try {
      return await send(connection, method, rowPath(key), body);
    } catch (error) {
      if (error instanceof ClientError && error.code === "NOT_FOUND") return undefined;
      throw error;
    }
  };
  const ask = async (what: string, query: unknown): Promise<Response> =>
    typeof query === "string" || query === undefined
      ? send(connection, "GET", `${path}/${what}?q=${encodeURIComponent(query ?? "")}`)
      : send(connection, "POST", `${path}/${what}`, query);
  return {
    get: async (key) => {
      const response = await found("GET", key);
      return response === undefined ? undefined : read(response);
    },
    search: async (query) => read(await ask("search", query)),
    count: async (query) => (await read<{ count: number }>(await ask("count", query))).count,
    upsert: async (rows) => read(await send(connection, "POST", `${path}/rows`, rows)),
    update: async (key, patch) => (await found("PATCH", key, patch)) !== undefined,
    delete: async (key) => (await found("DELETE", key)) !== undefined,
    watch: (query, watchOptions) => watch<S>(connection, path, query ?? "", watchOptions ?? {}),
  };
}

async function* watch<S extends TableShape>(
  connection: Connection,
  path: string,
  query: string,
  { minIntervalMs, signal }: WatchOptions,
): AsyncGenerator<Delta<S["row"], S["key"]>, void> {
  const ending = new AbortController();
  signal?.addEventListener("abort", () => ending.abort());
  if (signal?.aborted === true) return;
  const interval = minIntervalMs === undefined ? "" : `&minIntervalMs=${minIntervalMs}`;
  const folder = new Folder<S["row"], S["key"]>();
  const asked = `${path}/watch?q=${encodeURIComponent(query)}${interval}`;
  try {
    for await (const event of events(connection, asked, ending.signal)) {
      const delta = folder.fold(event);
      if (delta !== undefined) yield delta;
    }
  } finally {
    ending.abort();
  }
}

function textOf(key: unknown): string {
  if (!(key instanceof Uint8Array)) return String(key);
  return Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
