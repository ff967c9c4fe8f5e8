/**
 * The main job on a real feed: 139,098 state vectors of 1,243 flights, loaded, searched, and
 * compared with a recomputation from the file. The data is not the project's to ship: it is looked
 * for in `AEROSTORE_TEST_DATA`, else beside the repository; without it these tests are skipped.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CliSandbox } from "../support/cli.ts";
import { root } from "../support/source.ts";

const folder = process.env["AEROSTORE_TEST_DATA"] ?? join(root, "..", "shared", "data");
const feed = join(folder, "flights-switzerland.tsv.gz");
const vectors = join(folder, "state-vectors-2h.ndjson.gz");
const isMissing = !existsSync(feed) || !existsSync(vectors);
if (isMissing) console.warn("SKIPPED: no feed to test with; AEROSTORE_TEST_DATA names its folder");

interface Flight {
  readonly flight_id: string;
  readonly lat: number;
  readonly lon: number;
  readonly altitude: number;
  readonly gs: number;
  readonly updated_at: number;
}

const plainTable = [
  "flight_id:string(24):pk",
  "lat:decimal(6)",
  "lon:decimal(6)",
  "altitude:i32",
  "gs:u16",
  "updated_at:u64",
];

let text = "";
let states: readonly Flight[] = [];

/** Ids are ASCII, so that JavaScript orders them as the database does. */
const byId = (a: Flight, b: Flight): number => (a.flight_id < b.flight_id ? -1 : 1);

beforeAll(async () => {
  if (isMissing) return;
  text = Buffer.from(Bun.gunzipSync(await Bun.file(feed).bytes())).toString("utf8");
  const last = new Map<string, Flight>();
  for (const line of text.trimEnd().split("\n")) {
    const [flight_id = "", lat, lon, altitude, gs, updated_at] = line.split("\t");
    last.set(flight_id, {
      flight_id,
      lat: Number(lat),
      lon: Number(lon),
      altitude: Number(altitude),
      gs: Number(gs),
      updated_at: Number(updated_at),
    });
  }
  states = [...last.values()].sort(byId);
});

/** Searches with what they must find. */
function searches(): readonly (readonly [query: string, rows: readonly Flight[]])[] {
  const low = (row: Flight): boolean => row.altitude >= 30_000 && row.altitude < 36_000;
  const descending = (a: Flight, b: Flight): number => b.altitude - a.altitude || byId(a, b);
  const id = states[100]?.flight_id ?? "";
  const others = ["none", id, states[7]?.flight_id ?? ""];
  return [
    ["-sort flight_id", states],
    [`-compare {= flight_id ${id}}`, states.filter((row) => row.flight_id === id)],
    [
      `-compare {in flight_id {${others.join(" ")} ${id}}} -sort flight_id`,
      states.filter((row) => others.includes(row.flight_id)),
    ],
    ["-compare {range altitude 30000 36000} -sort flight_id", states.filter(low)],
    [
      "-compare {{>= altitude 30000} {< altitude 36000}} -sort {-altitude flight_id} -limit 25",
      states.filter(low).toSorted(descending).slice(0, 25),
    ],
    ["-sort -altitude -limit 20 -offset 15", states.toSorted(descending).slice(15, 35)],
    [
      "-compare {match flight_id ryr*} -sort flight_id",
      states.filter((row) => row.flight_id.startsWith("RYR")),
    ],
    [
      "-compare {{match_case flight_id ?A*[0-4]} {> gs 430}} -sort flight_id",
      states.filter((row) => /^.A.*[0-4]$/.test(row.flight_id) && row.gs > 430),
    ],
    [
      "-compare {range lat 46 47} -or {{{> lon 8.5}} {{< altitude 33000}}} -sort flight_id",
      states.filter((r) => r.lat >= 46 && r.lat < 47 && (r.lon > 8.5 || r.altitude < 33_000)),
    ],
  ];
}

async function expectSearches(sandbox: CliSandbox, table: string): Promise<void> {
  for (const [query, rows] of searches()) {
    expect(rows.length).toBeGreaterThan(0);
    expect(await sandbox.json("search", "--table", table, query)).toEqual([...rows]);
  }
}

describe.skipIf(isMissing)("a real feed", () => {
  test("from standard input: each flight's last state, and searches as recomputed", async () => {
    using sandbox = new CliSandbox();
    const run = await sandbox.run(["ingest", "-", "--json"], { stdin: text });
    expect(run.stderr).toBe("");
    const report: Record<string, number> = JSON.parse(run.stdout);
    expect(report).toMatchObject({ rows: 139_098, inserted: 1_243, stale: 0, rejected: 0 });
    expect((report["updated"] ?? 0) + (report["unchanged"] ?? 0)).toBe(139_098 - 1_243);
    expect(await sandbox.print("search", "--count")).toBe("1243\n");
    await expectSearches(sandbox, "FlightState");
    const [row] = states;
    expect(await sandbox.json("get", row?.flight_id ?? "")).toEqual([row]);
    expect(await sandbox.json("check")).toMatchObject([{ ok: true, problems: [] }]);
  });

  test("the compressed file into a table without indexes: the same", async () => {
    using sandbox = new CliSandbox();
    await sandbox.print("create", "plain", ...plainTable);
    const [report] = await sandbox.json("ingest", feed, "--table", "plain", "--batch", "100");
    expect(report).toMatchObject({ rows: 139_098, inserted: 1_243, batches: 1_391 });
    await expectSearches(sandbox, "plain");
  });

  test("two processes ingest halves while a third searches: the same final state", async () => {
    using sandbox = new CliSandbox();
    await sandbox.run(["ingest", "-"], { stdin: "" }); // makes FlightState
    const lines = text.trimEnd().split("\n");
    // Each flight in turn in one half, so that both halves write most flights.
    const halves = [0, 1].map((part) => lines.filter((_, at) => at % 2 === part).join("\n"));
    let running = halves.length;
    const writers = halves.map(async (stdin) => {
      const run = await sandbox.run(["ingest", "-", "--newest", "updated_at", "--json"], { stdin });
      running -= 1;
      return run;
    });
    const known = new Set(lines.map((line) => line.split("\t").map(Number).slice(1).join()));
    let found = 0;
    do {
      for (const row of (await sandbox.json("search", "-compare {> altitude 0}")) as Flight[]) {
        found += 1;
        const { lat, lon, altitude, gs, updated_at } = row;
        // Every row is a line of the file, not parts of two.
        expect(known.has([lat, lon, altitude, gs, updated_at].join())).toBe(true);
      }
    } while (running > 0);
    for (const run of await Promise.all(writers)) {
      expect({ ...run, stdout: "" }).toEqual({ status: 0, stdout: "", stderr: "" });
      const { rows, inserted, updated, unchanged, stale } = JSON.parse(run.stdout);
      expect(rows).toBe(69_549);
      expect(inserted + updated + unchanged + stale).toBe(rows);
    }
    expect(found).toBeGreaterThan(0);
    await expectSearches(sandbox, "FlightState");
    expect(await sandbox.json("check")).toMatchObject([{ ok: true, problems: [] }]);
  });

  test("JSON lines with fields that the table does not have", async () => {
    using sandbox = new CliSandbox();
    const columns = ["icao24:string(6):pk", "callsign:string(8):index", "altitude:f64:index"];
    await sandbox.print("create", "vectors", ...columns, "timestamp:timestamp", "track:f64");
    const [report] = await sandbox.json("ingest", vectors, "--table", "vectors");
    const bytes = Bun.gunzipSync(await Bun.file(vectors).bytes());
    const last = new Map<string, Record<string, unknown>>();
    for (const line of Buffer.from(bytes).toString("utf8").trimEnd().split("\n")) {
      const { icao24, callsign, altitude, timestamp, track } = JSON.parse(line);
      last.set(icao24, { icao24, callsign, altitude, timestamp, track });
    }
    expect(report).toMatchObject({ inserted: last.size, rejected: 0 });
    const rows = await sandbox.json("search", "--table", "vectors", "-sort icao24");
    const sorted = [...last.keys()].sort();
    expect(rows).toEqual(sorted.map((key) => last.get(key)));
  });
});
