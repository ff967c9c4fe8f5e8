/** The answers that flight programs know. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { open } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { Aircraft } from "../../src/flight/aircraft.ts";
import { routes } from "../../src/http/routes.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const temporary = new TemporaryDatabase();
let db: Database;
let server: Bun.Server<undefined>;
beforeAll(async () => {
  db = await open(temporary.directory, { tables: [Aircraft], shmPath: temporary.shmPath });
  const now = Date.now();
  db.table(Aircraft).upsertMany([
    {
      hex: "4b1801",
      flight: "SWR1",
      lat: 47.45,
      lon: 8.56,
      altitude: 1_000,
      gs: 100,
      updated_at: now - 2_000,
      position_at: now - 3_000,
    },
    { hex: "4b1802", lat: 47.5, lon: 8.6, on_ground: true, updated_at: now, position_at: now },
    { hex: "a00001", lat: 10, lon: 179.9, updated_at: now, position_at: now },
    { hex: "a00002", lat: 10, lon: -179.9, updated_at: now, position_at: now },
    { hex: "~00003", squawk: "7700", updated_at: now },
    { hex: "010101", lat: 47.45, lon: 8.56, updated_at: now - 120_000 },
  ]);
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    routes: { ...routes(db, { faces: { receiver: [47, 8] } }) },
  });
});
afterAll(async () => {
  await server.stop(true);
  db.close();
  temporary[Symbol.dispose]();
});

interface Answer {
  readonly now: number;
  readonly time: number;
  readonly aircraft: readonly { readonly hex: string; readonly [name: string]: unknown }[];
  readonly states: readonly (readonly unknown[])[];
}

async function get(path: string): Promise<Answer> {
  const answer: Answer = JSON.parse(await (await fetch(new URL(path, server.url))).text());
  return answer;
}

const hexes = ({ aircraft }: Answer): string[] => aircraft.map(({ hex }) => hex).toSorted();

test("faces: aircraft.json has what was heard lately, as readsb writes it", async () => {
  const answer = await get("/data/aircraft.json");
  expect(hexes(answer)).toEqual(["4b1801", "4b1802", "a00001", "a00002", "~00003"]);
  const [one, two, bare] = ["4b1801", "4b1802", "~00003"].map((hex) =>
    answer.aircraft.find((each) => each.hex === hex),
  );
  expect(one).toMatchObject({ flight: "SWR1    ", alt_baro: 1_000, lat: 47.45, gs: 100 });
  expect(Number(one?.["seen_pos"])).toBeGreaterThan(Number(one?.["seen"]));
  expect(two).toMatchObject({ alt_baro: "ground" });
  expect(bare).not.toHaveProperty("lat");
  expect(bare).not.toHaveProperty("seen_pos");
  const receiver: unknown = JSON.parse(
    await (await fetch(new URL("/data/receiver.json", server.url))).text(),
  );
  expect(receiver).toMatchObject({ lat: 47, lon: 8, refresh: 1_000 });
});

test("faces: re-api finds by box, circle, closest and name", async () => {
  expect(hexes(await get("/re-api/?box=47,47.46,8,9"))).toEqual(["4b1801"]);
  expect(hexes(await get("/re-api/?box=0,20,179,-179"))).toEqual(["a00001", "a00002"]);
  const circle = await get("/re-api/?circle=47.45,8.56,5");
  expect(circle.aircraft.map(({ hex }) => hex)).toEqual(["4b1801", "4b1802"]);
  expect(circle.aircraft[0]).toMatchObject({ dst: 0 });
  expect(Number(circle.aircraft[1]?.["dst"])).toBeCloseTo(3.4, 1);
  expect(hexes(await get("/re-api/?circle=10,180,20"))).toEqual(["a00001", "a00002"]);
  expect(hexes(await get("/re-api/?closest=47.51,8.6,50"))).toEqual(["4b1802"]);
  expect(hexes(await get("/re-api/?find_hex=4B1801,zzzzzz"))).toEqual(["4b1801"]);
  expect(hexes(await get("/re-api/?find_callsign=SWR1"))).toEqual(["4b1801"]);
  expect(hexes(await get("/re-api/?all"))).toHaveLength(5);
  for (const wrong of ["", "?box=1,2,3", "?circle=a,b,c", "?circle=95,0,5"]) {
    expect((await fetch(new URL(`/re-api/${wrong}`, server.url))).status).toBe(400);
  }
});

test("faces: states/all is OpenSky's, with metres and a box", async () => {
  const all = await get("/states/all");
  expect(all.states).toHaveLength(5);
  const boxed = await get("/states/all?lamin=47&lamax=47.46&lomin=8&lomax=9");
  expect(boxed.states.map(([hex]) => hex)).toEqual(["4b1801"]);
  expect(boxed.states[0]?.[7]).toBeCloseTo(304.8, 6);
  expect(boxed.states[0]?.[9]).toBeCloseTo(51.44, 2);
  expect((await get("/states/all?icao24=4B1802")).states.map(([hex]) => hex)).toEqual(["4b1802"]);
  expect((await fetch(new URL("/states/all?lamin=1", server.url))).status).toBe(400);
});
