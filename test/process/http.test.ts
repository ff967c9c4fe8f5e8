/** The door: every path, its errors and its limits, over a real socket. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AerostoreError, defineTable, open, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { connect } from "../../src/client/index.ts";
import { parseTokens } from "../../src/http/access.ts";
import { routes } from "../../src/http/routes.ts";
import type { RoutesOptions } from "../../src/http/routes.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const Planes = defineTable("Planes", {
  id: t.string(8).primaryKey(),
  altitude: t.i32().index(),
  speed: t.decimal(1).nullable(),
  serial: t.u64().default(7),
  raw: t.bytes(8).nullable(),
});

const temporary = new TemporaryDatabase();
let db: Database;
beforeAll(async () => {
  db = await open(temporary.directory, { tables: [Planes], shmPath: temporary.shmPath });
});
afterAll(() => {
  db.close();
  temporary[Symbol.dispose]();
});

/** A server of its own for each, with what asks it. */
function serve(options: RoutesOptions = {}) {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    routes: { ...routes(db, { onError: () => {}, ...options }) },
  });
  const ask = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(new URL(path, server.url), init);
  const json = (method: string, path: string, body: unknown, headers = {}): Promise<Response> =>
    ask(path, {
      method,
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
  return { server, ask, json, [Symbol.dispose]: () => void server.stop(true) };
}

function fill(count: number): void {
  db.table(Planes).deleteWhere("-compare {}");
  const rows = Array.from({ length: count }, (_, i) => ({
    id: `P${i}`,
    altitude: i,
    speed: i / 10,
  }));
  db.table(Planes).upsertMany(rows);
}

describe("http: one row", () => {
  test("is put, read, patched and deleted, with its entity tag", async () => {
    using door = serve();
    fill(0);
    const path = "/v1/tables/Planes/rows/A%201";
    const put = await door.json("PUT", path, {
      altitude: 5,
      speed: "1.5",
      serial: "18446744073709551615",
    });
    expect(put.status).toBe(201);
    expect((await door.ask(path)).headers.get("etag")).toBe(put.headers.get("etag"));
    expect(db.table(Planes).get("A 1")).toEqual({
      id: "A 1",
      altitude: 5,
      speed: 1.5,
      serial: 18446744073709551615n,
      raw: null,
    });
    const patched = await door.json("PATCH", path, { raw: "00ff" });
    expect(patched.status).toBe(200);
    expect(db.table(Planes).get("A 1")?.raw).toEqual(new Uint8Array([0, 255]));
    // Put again without them: what is left out goes back.
    expect((await door.json("PUT", path, { altitude: 6 })).status).toBe(200);
    expect(db.table(Planes).get("A 1")).toEqual({
      id: "A 1",
      altitude: 6,
      speed: null,
      serial: 7,
      raw: null,
    });
    expect((await door.ask(path, { method: "DELETE" })).status).toBe(204);
    expect((await door.ask(path)).status).toBe(404);
    expect((await door.ask(path, { method: "DELETE" })).status).toBe(404);
    expect((await door.json("PATCH", path, { altitude: 1 })).status).toBe(404);
  });

  test("is written only when it is the one that was read", async () => {
    using door = serve();
    fill(1);
    const path = "/v1/tables/Planes/rows/P0";
    const etag = (await door.ask(path)).headers.get("etag") ?? "";
    expect((await door.ask(path, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await door.json("PATCH", path, { altitude: 9 }, { "if-match": etag })).status).toBe(
      200,
    );
    const late = await door.json("PATCH", path, { altitude: 10 }, { "if-match": etag });
    expect(late.status).toBe(412);
    expect(db.table(Planes).get("P0")?.altitude).toBe(9);
    const taken = await door.json("PUT", path, { altitude: 1 }, { "if-none-match": "*" });
    expect(taken.status).toBe(412);
    expect((await door.ask(path, { method: "DELETE", headers: { "if-match": etag } })).status).toBe(
      412,
    );
    const absent = "/v1/tables/Planes/rows/none";
    expect((await door.json("PATCH", absent, { altitude: 1 }, { "if-match": "*" })).status).toBe(
      412,
    );
  });
});

describe("http: searches", () => {
  test("answer in the format that the caller takes, long ones in pieces", async () => {
    using door = serve();
    fill(20_000);
    const q = encodeURIComponent("-compare {< altitude 3} -sort altitude -fields {id altitude}");
    const get = async (accept: string): Promise<string> =>
      (await door.ask(`/v1/tables/Planes/search?q=${q}`, { headers: { accept } })).text();
    expect(JSON.parse(await get("application/json"))).toEqual([
      { id: "P0", altitude: 0 },
      { id: "P1", altitude: 1 },
      { id: "P2", altitude: 2 },
    ]);
    expect(await get("application/x-ndjson, */*;q=0.1")).toBe(
      '{"id":"P0","altitude":0}\n{"id":"P1","altitude":1}\n{"id":"P2","altitude":2}\n',
    );
    expect(await get("text/csv")).toBe("id,altitude\nP0,0\nP1,1\nP2,2\n");
    expect(await get("text/tab-separated-values")).toBe("id\taltitude\nP0\t0\nP1\t1\nP2\t2\n");
    const all = await (await door.ask("/v1/tables/Planes/search")).json();
    expect(all).toHaveLength(20_000);
    const plain = await door.ask("/v1/tables/Planes/search", {
      headers: { "accept-encoding": "gzip" },
    });
    expect(plain.headers.get("content-encoding")).toBe("gzip");
    expect(await plain.json()).toHaveLength(20_000);
    const none = await door.ask("/v1/tables/Planes/search?q=-limit+1&x", {
      headers: { accept: "image/png" },
    });
    expect(none.status).toBe(406);
  });

  test("come as text or as an object; count and explain take the same", async () => {
    using door = serve();
    fill(10);
    const body = { compare: [[">", "altitude", 6]], sort: "-altitude" };
    const found: readonly { id: string }[] = JSON.parse(
      await (await door.json("POST", "/v1/tables/Planes/search", body)).text(),
    );
    expect(found.map(({ id }) => id)).toEqual(["P9", "P8", "P7"]);
    const count = await door.json("POST", "/v1/tables/Planes/count", body);
    expect(await count.json()).toEqual({ count: 3 });
    const text = await door.ask("/v1/tables/Planes/count", {
      method: "POST",
      body: "-compare {> altitude 6}",
    });
    expect(await text.json()).toEqual({ count: 3 });
    const plan = await (await door.ask("/v1/tables/Planes/explain?q=-limit+1&analyze=1")).json();
    expect(plan).toMatchObject({ route: "scan" });
  });

  test("aggregate groups of rows, with wide sums as digits", async () => {
    using door = serve();
    fill(4);
    db.table(Planes).updateWhere({ all: true }, { serial: 2n ** 62n });
    const query = { group: ["serial"], select: { n: "count", sum: ["sum", "serial"] } };
    const groups = await door.json("POST", "/v1/tables/Planes/aggregate", query);
    expect(await groups.json()).toEqual([
      { serial: String(2n ** 62n), n: 4, sum: String(2n ** 64n) },
    ]);
    const q = encodeURIComponent("-compare {< altitude 2} -aggregate {n count}");
    const text = await door.ask(`/v1/tables/Planes/aggregate?q=${q}`);
    expect(await text.json()).toEqual([{ n: 2 }]);
    expect((await door.ask("/v1/tables/Planes/aggregate?q=-group+x")).status).toBe(400);
  });

  test("never write", async () => {
    using door = serve();
    fill(10);
    for (const query of ["-delete 1", "-update {altitude 1}"]) {
      const q = encodeURIComponent(query);
      expect((await door.ask(`/v1/tables/Planes/search?q=${q}`)).status).toBe(400);
    }
    expect(db.table(Planes).count("-compare {> altitude 1}")).toBe(8);
  });
});

describe("http: many rows", () => {
  test("of every format are upserted, with the report as the answer", async () => {
    using door = serve();
    fill(0);
    const post = async (type: string, body: string, query = ""): Promise<unknown> => {
      const init = { method: "POST", body, headers: { "content-type": type } };
      return (await door.ask(`/v1/tables/Planes/rows${query}`, init)).json();
    };
    const one = '{"id":"a","altitude":1}';
    expect(await post("application/json", one)).toMatchObject({ inserted: 1 });
    expect(await post("application/json", `[${one},{"id":"b","altitude":2}]`)).toMatchObject({
      inserted: 1,
      unchanged: 1,
    });
    expect(await post("application/x-ndjson", `${one}\nnot json\n`)).toMatchObject({
      rows: 2,
      rejected: 1,
      rejects: [{ line: 2 }],
    });
    expect(await post("text/csv", "altitude,id\n3,c\n")).toMatchObject({ inserted: 1 });
    expect(await post("text/tab-separated-values", "id\taltitude\nd\t4\n")).toMatchObject({
      inserted: 1,
    });
    expect(db.table(Planes).count()).toBe(4);
    const png = { method: "POST", body: "x", headers: { "content-type": "image/png" } };
    expect((await door.ask("/v1/tables/Planes/rows", png)).status).toBe(415);
  });
});

describe("http: transactions", () => {
  test("are all or nothing, and each operation may say what it expects", async () => {
    using door = serve();
    fill(2);
    const run = (operations: readonly object[]): Promise<Response> =>
      door.json("POST", "/v1/transact", { operations });
    const table = "Planes";
    const moved = await run([
      { op: "get", table, key: "P0" },
      { op: "update", table, key: "P0", row: { altitude: 100 }, expect: { altitude: 0 } },
      { op: "insert", table, row: { id: "new", altitude: 1 }, expect: null },
      { op: "delete", table, key: "P1" },
    ]);
    expect(await moved.json()).toMatchObject({
      results: [{ id: "P0", altitude: 0 }, { found: true }, { inserted: true }, { found: true }],
    });
    const failed = await run([
      { op: "delete", table, key: "P0" },
      { op: "update", table, key: "new", row: { altitude: 2 }, expect: { altitude: 77 } },
    ]);
    expect(failed.status).toBe(412);
    expect(await failed.json()).toMatchObject({ code: "PRECONDITION_FAILED", operation: 1 });
    expect(db.table(Planes).get("P0")?.altitude).toBe(100);
    const clash = await run([{ op: "insert", table, row: { id: "P0", altitude: 1 } }]);
    expect(clash.status).toBe(409);
    for (const wrong of [{ op: "drop", table }, { op: "get" }, { op: "get", table }, 7]) {
      expect((await door.json("POST", "/v1/transact", { operations: [wrong] })).status).toBe(400);
    }
    expect((await door.json("POST", "/v1/transact", [])).status).toBe(400);
  });
});

describe("http: mistakes", () => {
  test("are problems with their codes and statuses", async () => {
    using door = serve();
    fill(1);
    const cases: readonly (readonly [string, number, string])[] = [
      ["/v1/tables/Nope", 404, "UNKNOWN_TABLE"],
      ["/v1/tables/Planes/search?q=-compare", 400, "PARSE_ERROR"],
      ["/v1/tables/Planes/search?q=-compare+{>+altitud+1}", 400, "UNKNOWN_FIELD"],
      ["/v1/tables/Planes/search?q=-compare+{>+altitude+x}", 400, "INVALID_VALUE"],
    ];
    for (const [path, status, code] of cases) {
      const response = await door.ask(path);
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(await response.json()).toMatchObject({ status, code, title: code });
    }
    const method = await door.ask("/v1/tables/Planes", { method: "DELETE" });
    expect([method.status, method.headers.get("allow")]).toEqual([405, "GET"]);
    const json = await door.ask("/v1/tables/Planes/rows/P0", { method: "PUT", body: "{" });
    expect(json.status).toBe(400);
    const key = await door.json("PUT", "/v1/tables/Planes/rows/P0", { id: "P1", altitude: 1 });
    expect(key.status).toBe(400);
  });

  test("a failure of the server says nothing of its inside", async () => {
    const errors: unknown[] = [];
    const failing = Object.create(db, {
      tables: {
        value: () => {
          throw new Error("secret");
        },
      },
    });
    const handlers = routes(failing, { onError: (error) => errors.push(error) });
    using server = Bun.serve({ port: 0, routes: { ...handlers } });
    const response = await fetch(new URL("/v1/tables", server.url));
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(errors).toHaveLength(1);
  });

  test("limits are errors of their own", async () => {
    using door = serve({ limits: { bodyBytes: 100, rows: 5, operations: 1 } });
    fill(10);
    const long = { id: "x", altitude: 1, raw: "00".repeat(100) };
    expect((await door.json("POST", "/v1/tables/Planes/rows", long)).status).toBe(413);
    const chunks = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 20; i++) controller.enqueue(new TextEncoder().encode("x".repeat(20)));
        controller.close();
      },
    });
    const init = { method: "POST", body: chunks, headers: { "content-type": "text/csv" } };
    expect((await door.ask("/v1/tables/Planes/rows", init)).status).toBe(413);
    expect((await door.ask("/v1/tables/Planes/search")).status).toBe(413);
    expect((await door.ask("/v1/tables/Planes/search?q=-limit+5")).status).toBe(200);
    const two = { operations: [{ op: "get", table: "Planes", key: "a" }, 1] };
    expect((await door.json("POST", "/v1/transact", two)).status).toBe(413);
  });
});

describe("http: access", () => {
  const tokens = parseTokens(
    "all-0123456789abcdef\n# comment\nread-0123456789abcdef read\n" +
      "planes-0123456789abcdef write Planes\n",
  );
  const bearer = (token: string): { headers: Record<string, string> } => ({
    headers: { authorization: `Bearer ${token}-0123456789abcdef` },
  });

  test("a token may do what its line says", async () => {
    using door = serve({ tokens });
    fill(1);
    const path = "/v1/tables/Planes/rows/P0";
    expect((await door.ask(path)).status).toBe(401);
    expect((await door.ask(path, bearer("none"))).status).toBe(401);
    expect((await door.ask(path, bearer("read"))).status).toBe(200);
    const body = JSON.stringify({ altitude: 3 });
    const patch = (token: string): Promise<Response> =>
      door.ask(path, { method: "PATCH", body, ...bearer(token) });
    expect((await patch("read")).status).toBe(403);
    expect((await patch("planes")).status).toBe(200);
    expect((await patch("all")).status).toBe(200);
    // A token for one table sees no list of all.
    expect((await door.ask("/v1/tables", bearer("planes"))).status).toBe(403);
    const get = { op: "get", table: "Planes", key: "P0" };
    const transact = (token: string, operation: object): Promise<Response> =>
      door.ask("/v1/transact", {
        method: "POST",
        body: JSON.stringify({ operations: [operation] }),
        ...bearer(token),
      });
    expect((await transact("read", get)).status).toBe(200);
    expect((await transact("read", { ...get, op: "delete" })).status).toBe(403);
    expect((await transact("none", get)).status).toBe(401);
    expect((await door.ask("/healthz")).status).toBe(200);
  });

  test("a wrong token file names the line", () => {
    expect(() => parseTokens("short")).toThrow(/line 1/);
    expect(() => parseTokens("\n0123456789abcdef wipe")).toThrow(/line 2/);
  });

  test("pages of other sites are refused, unless their origin is allowed", async () => {
    using door = serve({ cors: "https://map.example", hosts: ["127.0.0.1"] });
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await door.ask("/v1/tables", { headers })).status;
    expect(await status({ origin: "https://evil.example" })).toBe(403);
    expect(await status({ "sec-fetch-site": "cross-site" })).toBe(403);
    expect(await status({ host: "evil.example" })).toBe(403);
    expect(await status({ origin: door.server.url.origin })).toBe(200);
    expect(await status({ "sec-fetch-site": "same-origin" })).toBe(200);
    const allowed = await door.ask("/v1/tables", { headers: { origin: "https://map.example" } });
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://map.example");
    const preflight = await door.ask("/v1/tables", {
      method: "OPTIONS",
      headers: { origin: "https://map.example" },
    });
    expect(preflight.status).toBe(204);
  });

  test("a read-only server refuses every write", async () => {
    using door = serve({ readOnly: true });
    fill(1);
    const path = "/v1/tables/Planes/rows/P0";
    expect((await door.json("PATCH", path, { altitude: 3 })).status).toBe(403);
    expect((await door.ask(path)).status).toBe(200);
    const operations = [{ op: "delete", table: "Planes", key: "P0" }];
    expect((await door.json("POST", "/v1/transact", { operations })).status).toBe(403);
  });
});

describe("http: client", () => {
  test("reads, writes and searches by the table's own types", async () => {
    using door = serve({ tokens: parseTokens("all-0123456789abcdef") });
    fill(3);
    const client = connect(door.server.url, { token: "all-0123456789abcdef" });
    const planes = client.table<typeof Planes>("Planes");
    expect(await planes.get("P1")).toMatchObject({ id: "P1", altitude: 1, speed: 0.1 });
    expect(await planes.get("none")).toBeUndefined();
    const rows = [{ id: "a/b", altitude: 7, serial: 2n ** 60n, raw: new Uint8Array([1, 2]) }];
    expect(await planes.upsert(rows)).toMatchObject({ inserted: 1 });
    expect(db.table(Planes).get("a/b")).toMatchObject({ serial: 2n ** 60n, altitude: 7 });
    expect(await planes.update("a/b", { altitude: 8 })).toBe(true);
    expect(await planes.update("none", { altitude: 8 })).toBe(false);
    expect(await planes.count({ compare: [">", "altitude", 1] })).toBe(2);
    const found = await planes.search("-compare {> altitude 1} -sort -altitude -fields id");
    expect(found.map(({ id }) => id)).toEqual(["a/b", "P2"]);
    expect(await planes.delete("a/b")).toBe(true);
    expect(await planes.delete("a/b")).toBe(false);
    const operations = [{ op: "get", table: "Planes", key: "P0" } as const];
    expect(await client.transact(operations)).toMatchObject([{ id: "P0" }]);
    const wrong = planes.search("-compare");
    await expect(wrong).rejects.toMatchObject({ code: "PARSE_ERROR", status: 400 });
    await expect(connect(door.server.url).table("Planes").count()).rejects.toMatchObject({
      code: "UNAUTHORIZED",
    });
  });
});

describe("http: server", () => {
  test("health, metrics and the description of the door", async () => {
    using door = serve();
    fill(3);
    expect(await (await door.ask("/readyz")).json()).toMatchObject({ status: "ok" });
    const text = await (await door.ask("/metrics")).text();
    expect(text).toContain('aerostore_table_rows{table="Planes"} 3');
    expect(text).toContain("# TYPE aerostore_commits_total counter");
    const accept = { headers: { accept: "application/openmetrics-text" } };
    expect(await (await door.ask("/metrics", accept)).text()).toEndWith("# EOF\n");
    const description: { paths: object; components: object } = JSON.parse(
      await (await door.ask("/openapi.json")).text(),
    );
    expect(description.components).toMatchObject({
      schemas: { Planes: { properties: { altitude: { type: "integer" } } } },
    });
    const served = Object.keys(routes(db)).map((name) => name.replaceAll(/:(\w+)/g, "{$1}"));
    const faces = ["/data/aircraft.json", "/data/receiver.json", "/re-api/", "/states/all"];
    const described = [...Object.keys(description.paths), "/openapi.json", ...faces];
    expect(described.toSorted()).toEqual(served.toSorted());
  });

  test("a prefix stands before every path", () => {
    expect(
      Object.keys(routes(db, { prefix: "/db" })).every((name) => name.startsWith("/db/")),
    ).toBe(true);
    expect(() => routes(db, { prefix: "db" })).toThrow(RangeError);
  });

  test("a closed database is a problem, not a crash", async () => {
    using other = new TemporaryDatabase();
    const closed = await open(other.directory, { tables: [Planes], shmPath: other.shmPath });
    using server = Bun.serve({ port: 0, routes: { ...routes(closed) } });
    closed.close();
    const response = await fetch(new URL("/v1/tables/Planes", server.url));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "CLOSED" });
    expect(() => closed.table(Planes)).toThrow(AerostoreError);
  });
});
