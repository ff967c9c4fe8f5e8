/** The HTTP example under concurrent load, with another process that writes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { FlightState, open } from "aerostore";
import type { Database } from "aerostore";
import { errorResponse, routes } from "../../examples/http-search.ts";
import { root } from "../support/source.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

let temporary: TemporaryDatabase;
let db: Database;
let server: ReturnType<typeof serve>;

const serve = (): Bun.Server<undefined> =>
  Bun.serve({ port: 0, routes: routes(db), error: errorResponse });
const flight = (id: string, altitude: number): object => {
  return { flight_id: id, lat: 1, lon: 2, altitude, gs: 4, updated_at: 5 };
};
const get = async (path: string): Promise<Response> => fetch(new URL(path, server.url));
const search = async (query: string): Promise<{ altitude: number; flight_id: string }[]> => {
  const response = await get(`/search?q=${encodeURIComponent(query)}`);
  return JSON.parse(await response.text());
};
const post = async (rows: unknown): Promise<Response> =>
  fetch(new URL("/flights", server.url), { method: "POST", body: JSON.stringify(rows) });

beforeAll(async () => {
  temporary = new TemporaryDatabase();
  const { directory, shmPath } = temporary;
  // By the package, as the example does.
  db = await open(directory, { shmPath, tables: [FlightState], maxBytes: 32 << 20 });
  server = serve();
});
afterAll(async () => {
  await server.stop(true);
  db.close();
  temporary[Symbol.dispose]();
});

describe("http", () => {
  test("http: an upsert is answered when it is on disk, and then found", async () => {
    const response = await post([flight("A1", 100), flight("A2", 200)]);
    expect(await response.json()).toEqual({ inserted: 2, updated: 0, unchanged: 0, stale: 0 });
    const { durableCsn, tailCsn } = db.stats().log;
    expect(durableCsn).toBe(tailCsn);
    expect(await (await get("/flight?id=A1")).json()).toEqual(flight("A1", 100));
    expect((await get("/flight?id=none")).status).toBe(404);
    expect(await search("-compare {range altitude 150 250}")).toEqual([flight("A2", 200)] as never);
    expect(await search("-compare {> altitude 1000000}")).toEqual([]);
  });

  test("http: mistakes are 400 with their code", async () => {
    const wrong = await get("/search?q=-compare+{>+height+1}");
    expect([wrong.status, await wrong.json()]).toEqual([
      400,
      expect.objectContaining({ code: "UNKNOWN_FIELD" }),
    ]);
    expect((await post({ not: "an array" })).status).toBe(400);
    const before = (await search("")).length;
    for (const query of ["-delete 1", "-update {gs 1}"]) {
      const change = await get(`/search?q=${encodeURIComponent(query)}`);
      expect([change.status, await change.json()]).toEqual([
        400,
        expect.objectContaining({ code: "PARSE_ERROR" }),
      ]);
    }
    expect((await search("")).length).toBe(before);
    expect(await (await post([{ flight_id: "B1" }])).json()).toMatchObject({
      code: "INVALID_VALUE",
    });
  });

  test("http: a long answer is whole, and one that is left lets its snapshot go", async () => {
    const table = db.table(FlightState);
    table.upsertMany(Array.from({ length: 20_000 }, (_, i) => flight(`L${i}`, -1)) as never[]);
    expect((await search("-compare {= altitude -1}")).length).toBe(20_000);
    const left = await get("/search?q=-compare+{=+altitude+-1}");
    await left.body?.cancel();
    table.deleteWhere("-compare {= altitude -1}");
    expect(await search("-compare {= altitude -1}")).toEqual([]);
  });

  test("http: an answer that fails half-way lets its snapshot go", async () => {
    let open = 0;
    const begin = () => {
      open++;
      const cursor = function* () {
        for (let i = 0; i < 5_000; i++) yield flight(`E${i}`, i);
        throw new Error("too late");
      };
      const search = () => ({ cursor });
      return { table: () => ({ search }), abort: () => open-- };
    };
    const failing: unknown = { table: () => ({ prepare: () => undefined }), begin };
    const { "/search": answer } = routes(failing as Database);
    const response = await answer?.(new Request("http://localhost/search"));
    expect(open).toBe(1);
    expect(await response?.text().catch(String)).toContain("too late");
    expect(open).toBe(0);
  });

  test("http: searches and upserts beside another process that writes", async () => {
    const program = `
      import { FlightState, open } from "${join(root, "src/index.ts")}";
      await using db = await open(${JSON.stringify(temporary.directory)});
      const flights = db.table(FlightState);
      const row = { lat: 1, lon: 2, gs: 4, updated_at: 5 };
      console.log("ready");
      for (let round = 1; round <= 300; round++) {
        db.transact((tx) => {
          tx.table(FlightState).upsert({ flight_id: "P", altitude: 50_000 + round, ...row });
          tx.table(FlightState).upsert({ flight_id: "Q", altitude: 50_000 + round, ...row });
        });
      }
    `;
    const child = Bun.spawn([process.execPath, "-"], { stdin: Buffer.from(program) });
    const reader = child.stdout.getReader();
    await reader.read();
    let acknowledged = 0;
    const client = async (name: string): Promise<void> => {
      for (let round = 0; round < 20; round++) {
        const response = await post([flight(`${name}-${round}`, 60_000 + round)]);
        expect(response.status).toBe(200);
        acknowledged++;
        const pair = await search("-compare {in flight_id {P Q}}");
        expect(new Set(pair.map(({ altitude }) => altitude)).size).toBeLessThanOrEqual(1);
      }
    };
    await Promise.all(["a", "b", "c", "d", "e", "f"].map(client));
    await child.exited;
    expect(acknowledged).toBe(120);
    expect((await search("-compare {>= altitude 60000}")).length).toBe(120);
    const pair = await search("-compare {in flight_id {P Q}}");
    expect(pair.map(({ altitude }) => altitude)).toEqual([50_300, 50_300]);
  });
});
