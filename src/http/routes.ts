/** `routes`: the door of a database, for any `Bun.serve`. */
import type { Database } from "../database/database.ts";
import { Access } from "./access.ts";
import type { AccessOptions } from "./access.ts";
import { listTables, showTable } from "./catalog.ts";
import { limitsDefault, path } from "./door.ts";
import type { Door, Handler, Limits, Method } from "./door.ts";
import { faces } from "./faces.ts";
import type { FacesOptions } from "./faces.ts";
import { healthz, readyz } from "./health.ts";
import { LiveStreams } from "./live.ts";
import { metrics } from "./metrics.ts";
import { deleteRow, getRow, patchRow, putRow } from "./one-row.ts";
import { openapi } from "./openapi.ts";
import { RequestMeter } from "./request-meter.ts";
import { aggregate, count, explain, search } from "./search.ts";
import { postTransact } from "./transact.ts";
import { postRows } from "./upload.ts";

export interface RoutesOptions extends AccessOptions {
  /** Before every path, for example `/aerostore`. Default: none. */
  readonly prefix?: string | undefined;
  /** Bounds that differ from the defaults. */
  readonly limits?: Partial<Limits> | undefined;
  /** The paths of flight programs, from a table of airframes. `false`: none. Default: all. */
  readonly faces?: FacesOptions | false | undefined;
  /** Called with each error that is the server's own failure. Default: `console.error`. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** In `/openapi.json`. Default `1`. */
  readonly version?: string | undefined;
}

/** Handlers by path, as `Bun.serve({ routes })` takes them. */
export type Routes = Readonly<Record<string, Handler>>;

/**
 * The routes of `db`: catalog, rows, searches, writes, batches, health and metrics. Spread them
 * into `Bun.serve({ routes: { ...routes(db, options) } })`. The caller keeps `db` open while they
 * serve.
 *
 * **Throws** `RangeError` for a prefix that does not begin with `/` or ends with one.
 */
export function routes(db: Database, options: RoutesOptions = {}): Routes {
  const prefix = options.prefix ?? "";
  if (prefix !== "" && !/^\/.*[^/]$/.test(prefix)) {
    throw new RangeError(`prefix begins with "/" and does not end with one, unlike "${prefix}"`);
  }
  const door: Door = {
    db,
    access: new Access(options),
    limits: { ...limitsDefault, ...options.limits },
    meter: new RequestMeter(),
    onError: options.onError ?? ((error) => console.error(error)),
  };
  const table = (needs: Method["needs"], handle: Handler): Method => {
    return { needs, perTable: true, handle };
  };
  const whole = (needs: Method["needs"], handle: Handler): Method => {
    return { needs, perTable: false, handle };
  };
  const asked = (handle: Handler): Record<string, Method> => {
    return { GET: table("read", handle), POST: table("read", handle) };
  };
  const live = new LiveStreams(door);
  const paths: Readonly<Record<string, Readonly<Partial<Record<string, Method>>>>> = {
    "/v1/tables": { GET: whole("read", listTables(door)) },
    "/v1/tables/:table": { GET: table("read", showTable(door)) },
    "/v1/tables/:table/rows": { POST: table("write", postRows(door)) },
    "/v1/tables/:table/rows/:key": {
      GET: table("read", getRow(door)),
      PUT: table("write", putRow(door)),
      PATCH: table("write", patchRow(door)),
      DELETE: table("write", deleteRow(door)),
    },
    "/v1/tables/:table/search": asked(search(door)),
    "/v1/tables/:table/count": asked(count(door)),
    "/v1/tables/:table/aggregate": asked(aggregate(door)),
    "/v1/tables/:table/explain": asked(explain(door)),
    "/v1/tables/:table/watch": { GET: table("read", live.watch) },
    // Checked with the tables that it names.
    "/v1/changes": { GET: whole("open", live.changes) },
    // Each of its operations is checked with its own table.
    "/v1/transact": { POST: whole("open", postTransact(door)) },
    "/metrics": { GET: whole("read", metrics(door)) },
    "/openapi.json": { GET: whole("read", openapi(door, prefix, options.version ?? "1")) },
    "/healthz": { GET: whole("open", healthz()) },
    "/readyz": { GET: whole("open", readyz(door)) },
  };
  const known = options.faces === false ? {} : faces(door, options.faces ?? {});
  const all = {
    ...paths,
    ...Object.fromEntries(
      Object.entries(known).map(([name, handle]) => [name, { GET: whole("read", handle) }]),
    ),
  };
  return Object.fromEntries(
    Object.entries(all).map(([name, methods]) => [prefix + name, path(door, name, methods)]),
  );
}
