/** Live streams: standing queries and changes, across servers that end and clients that stall. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "../../src/client/index.ts";
import { events } from "../../src/client/events.ts";
import type { ServerEvent } from "../../src/client/events.ts";
import { routes } from "../../src/http/routes.ts";
import type { RoutesOptions } from "../../src/http/routes.ts";
import { defineTable, open, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const Planes = defineTable("Planes", {
  id: t.string(16).primaryKey(),
  altitude: t.i32().index(),
  serial: t.u64().default(1),
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

function serve(options: RoutesOptions = {}, port = 0) {
  const server = Bun.serve({
    port,
    hostname: "127.0.0.1",
    routes: { ...routes(db, { onError: () => {}, ...options }) },
  });
  return { server, [Symbol.dispose]: () => void server.stop(true) };
}

async function next<T>(iterator: AsyncIterator<T, unknown>): Promise<T> {
  const { value, done } = await iterator.next();
  if (done === true) throw new Error("the stream has ended");
  return value;
}

test("live: a watch tells what enters, changes and leaves", async () => {
  db.table(Planes).deleteWhere({ all: true });
  db.table(Planes).insert({ id: "a", altitude: 10, serial: 2n ** 63n });
  using door = serve();
  const watch = connect(door.server.url)
    .table<typeof Planes>("Planes")
    .watch("-compare {> altitude 5}");
  expect(await next(watch)).toMatchObject({
    reset: true,
    entered: [{ id: "a", altitude: 10, serial: "9223372036854775808" }],
  });
  db.table(Planes).update("a", { altitude: 11 });
  expect(await next(watch)).toMatchObject({ reset: false, changed: [{ id: "a", altitude: 11 }] });
  db.table(Planes).delete("a");
  expect(await next(watch)).toMatchObject({ left: ["a"] });
  await watch.return();
});

test("live: a client goes on at another server, nothing twice or missed", async () => {
  db.table(Planes).deleteWhere({ all: true });
  db.table(Planes).insert({ id: "same", altitude: 1 });
  const first = serve();
  const { port } = first.server;
  const watch = connect(first.server.url).table<typeof Planes>("Planes").watch();
  expect((await next(watch)).entered.map(({ id }) => id)).toEqual(["same"]);
  const waiting = next(watch);
  await first.server.stop(true);
  db.table(Planes).insert({ id: "meanwhile", altitude: 2 });
  using _second = serve({}, port);
  const delta = await waiting;
  expect(delta.reset).toBe(false);
  expect(delta.entered.map(({ id }) => id)).toEqual(["meanwhile"]);
  expect([...delta.changed, ...delta.left]).toEqual([]);
  await watch.return();
});

test("live: changes go on after the last event that a client has seen", async () => {
  db.table(Planes).deleteWhere({ all: true });
  const first = serve();
  const { port } = first.server;
  const connection = { base: first.server.url.href, headers: {}, fetch };
  const ending = new AbortController();
  const stream = events(connection, "v1/changes?tables=Planes&values=row", ending.signal);
  const commit = async (): Promise<ServerEvent> => {
    for (;;) {
      const event = await next(stream);
      if (event.type === "commit") return event;
    }
  };
  const waiting = commit();
  // The request is under way: only what is committed after it was taken is told.
  await fetch(new URL("/healthz", first.server.url));
  const nudge = setInterval(() => db.table(Planes).upsert({ id: "nudge", altitude: 1 }), 5);
  const begun = await waiting;
  clearInterval(nudge);
  expect(JSON.parse(begun.data)).toMatchObject({ writes: [{ op: "insert", key: "nudge" }] });
  const following = commit();
  await first.server.stop(true);
  db.table(Planes).insert({ id: "one", altitude: 1 });
  db.table(Planes).insert({ id: "two", altitude: 2 });
  using _second = serve({}, port);
  const [one, two] = [await following, await commit()];
  expect(JSON.parse(one.data)).toMatchObject({ writes: [{ key: "one", row: { altitude: 1 } }] });
  expect(JSON.parse(two.data)).toMatchObject({ writes: [{ key: "two" }] });
  ending.abort();
});

test("live: a client that stalls is given everything when it reads on", async () => {
  db.table(Planes).deleteWhere({ all: true });
  using door = serve();
  const response = await fetch(new URL("/v1/tables/Planes/watch", door.server.url));
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  // Rows so large and many that socket buffers cannot hold their deltas.
  for (let round = 0; round < 200; round++) {
    const rows = Array.from({ length: 500 }, (_, i) => ({ id: `p${i}`, altitude: round }));
    db.table(Planes).upsertMany(rows);
    await Bun.sleep(0);
  }
  // Another client is served meanwhile.
  const other = connect(door.server.url).table<typeof Planes>("Planes").watch("-limit 1");
  expect((await next(other)).entered).toHaveLength(1);
  await other.return();
  const known = new Map<string, number>();
  let rest = "";
  while ([...known.values()].filter((altitude) => altitude === 199).length < 500) {
    const { value = "" } = (await reader?.read()) ?? {};
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, data] = /^event: delta\ndata: (.*)$/.exec(block) ?? [];
      if (data === undefined) continue;
      const delta: { reset: boolean; entered: [string, number][]; changed: [string, number][] } =
        JSON.parse(data);
      if (delta.reset) known.clear();
      for (const [id, altitude] of [...delta.entered, ...delta.changed]) known.set(id, altitude);
    }
  }
  await reader?.cancel();
});

test("live: wrong queries, too many streams and wrong positions are problems", async () => {
  using door = serve({ limits: { streams: 1 } });
  const get = (path: string): Promise<Response> => fetch(new URL(path, door.server.url));
  expect((await get("/v1/tables/Planes/watch?q=-compare")).status).toBe(400);
  expect((await get("/v1/tables/Nope/watch")).status).toBe(404);
  expect((await get("/v1/tables/Planes/watch?minIntervalMs=x")).status).toBe(400);
  expect((await get("/v1/changes?from=nonsense")).status).toBe(400);
  expect((await get("/v1/changes?values=all")).status).toBe(400);
  expect((await get("/v1/changes?tables=Nope")).status).toBe(404);
  const stream = await get("/v1/tables/Planes/watch");
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
  expect((await get("/v1/tables/Planes/watch")).status).toBe(503);
  await stream.body?.cancel();
});
