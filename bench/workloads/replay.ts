/**
 * A flight feed replayed at full speed: each line its own upsert, with nobody else or with readers
 * beside the writer; as it is, or re-keyed so that it is about many more aircraft.
 */
import { Control } from "../harness/control.ts";
import { together } from "../harness/crew.ts";
import { latencyName, runPlayers, workAs } from "../harness/players.ts";
import type { Casting, Player } from "../harness/players.ts";
import { agree } from "../harness/drive.ts";
import { Random } from "../harness/random.ts";
import type { Bench, Case, Outcome, Workload } from "../harness/workload.ts";
import type { Store } from "../peers/peer.ts";
import { parseTsv } from "../peers/lines.ts";
import { flightShape, foldFlight, makeFeed } from "./flight.ts";
import type { Flight } from "./flight.ts";
import { flat, mix } from "./model.ts";
import type { Query } from "./model.ts";

const shape = flightShape(["altitude", "updated_at"]);

const latest: Query = {
  where: [{ column: "updated_at", op: ">=", value: 0 }],
  sort: { column: "updated_at", descending: false },
  limit: 50,
};

/** What the recorded feed has, so that the generated one is of its size. */
const recordedFlights = 1_243;
const recordedLines = 139_098;

interface Feed {
  readonly rows: readonly Flight[];
  /** Seconds from its first to its last row. */
  readonly span: number;
}

async function loadFeed({ settings, parameters }: Bench): Promise<Feed> {
  const lines = settings.smoke ? 2_000 : recordedLines;
  const text =
    settings.feed === undefined
      ? makeFeed(settings.smoke ? 50 : recordedFlights, lines, settings.seed)
      : await readFeed(settings.feed);
  // Real feeds have lines of several dialects: what has no position is left out.
  const rows = [...parseTsv(shape, text)].map(shape.make).filter(isComplete);
  const [first] = rows;
  const last = rows.at(-1);
  if (first === undefined || last === undefined) throw new RangeError("the feed is empty");
  const copies = parameters["copies"] ?? 1;
  const keyed = rows.map((row, index) => {
    const copy = index % copies;
    return copy === 0 ? row : { ...row, flight_id: flat(`${row.flight_id}/${copy}`) };
  });
  return { rows: keyed, span: last.updated_at - first.updated_at + 1 };
}

async function readFeed(path: string): Promise<Uint8Array> {
  const bytes = await Bun.file(path).bytes();
  return path.endsWith(".gz") ? Bun.gunzipSync(bytes) : bytes;
}

function isComplete(row: Flight): boolean {
  const numbers = [row.lat, row.lon, row.altitude, row.gs, row.updated_at];
  return row.flight_id !== "" && numbers.every((value) => Number.isFinite(value));
}

/** The update number `index`: rows of the feed in circles, each circle later. */
function updateAt({ rows, span }: Feed, index: number): Flight {
  const row = rows[index % rows.length];
  if (row === undefined) throw new RangeError("the feed is empty");
  return {
    flight_id: row.flight_id,
    lat: row.lat,
    lon: row.lon,
    altitude: row.altitude,
    gs: row.gs,
    updated_at: row.updated_at + Math.floor(index / rows.length) * span,
  };
}

type Found = readonly Flight[] | Flight | undefined;

function makeWriter(store: Store, control: Control, feed: Feed): Player<Found> {
  const table = store.table(shape);
  return {
    steps: {
      step: (index) => {
        const row = updateAt(feed, index);
        control.counter = row.updated_at;
        const done = table.upsert(row);
        return done instanceof Promise ? done.then(() => undefined) : undefined;
      },
      take: () => 1,
    },
    counts: () => ({ isWriter: 1 }),
  };
}

/** Half of its operations are reads by key, half are the latest of the last minute. */
function makeReader(store: Store, control: Control, feed: Feed, worker: number): Player<Found> {
  const table = store.table(shape);
  const search = table.search?.(latest);
  if (search === undefined) throw new Error("the peer cannot search a range");
  const random = new Random(worker);
  const keys = Array.from({ length: 4_096 }, () => feed.rows[random.below(feed.rows.length)]);
  return {
    steps: {
      step: (index) =>
        index % 2 === 0
          ? table.get(keys[(index >> 1) & 4_095]?.flight_id ?? "")
          : search([control.counter - 60]),
      take: (found) => {
        if (found === undefined) return 7;
        if ("flight_id" in found) return foldFlight(found);
        return found.reduce((sum, row) => mix(sum, foldFlight(row)), found.length);
      },
    },
    counts: () => ({ isWriter: 0 }),
  };
}

/** Feeds are read before the part begins; kept here because casting is at once. */
let prepared: Feed | undefined;

const casting: Casting<Found> = (_bench, store, control, worker) => {
  if (prepared === undefined) throw new Error("the feed was not read");
  return worker === 0
    ? makeWriter(store, control, prepared)
    : makeReader(store, control, prepared, worker);
};

async function run(bench: Bench): Promise<Outcome> {
  const feed = await loadFeed(bench);
  prepared = feed;
  const store = await bench.open();
  const table = store.table(shape);
  const control = await Control.create(bench.place);
  const writer = makeWriter(store, control, feed);
  const agreed = bench.settings.smoke ? 1_000 : 5_000;
  let checksum = await agree(writer.steps, agreed);
  for (let i = 0; i < agreed; i++) {
    const row = await table.get(updateAt(feed, i).flight_id);
    checksum = mix(checksum, row === undefined ? 7 : foldFlight(row));
  }
  const processes = 1 + (bench.parameters["readers"] ?? 0);
  const { reports, seconds } = await runPlayers(bench, store, control, processes, casting);
  await store.close();
  const writers = reports.filter((report) => report["isWriter"] === 1);
  const readers = reports.filter((report) => report["isWriter"] === 0);
  const operations = (list: typeof reports): number =>
    list.reduce((sum, report) => sum + Number(report["operations"]), 0);
  const written = together(writers, latencyName(0));
  const read = together(readers, latencyName(0));
  return {
    metrics: {
      rate: operations(writers) / seconds,
      "upsert p50": written.percentile(0.5) / 1e3,
      "upsert p99": written.percentile(0.99) / 1e3,
      ...(readers.length === 0
        ? {}
        : { reads: operations(readers) / seconds, "read p99": read.percentile(0.99) / 1e3 }),
    },
    checksum,
    latency: written.buckets(),
  };
}

export const replay: Workload = {
  name: "replay",
  about: "A flight feed at full speed, a transaction for each line, with readers beside it",
  metrics: [
    { name: "rate", unit: "/s", better: "higher" },
    { name: "upsert p50", unit: "us", better: "lower" },
    { name: "upsert p99", unit: "us", better: "lower" },
    { name: "reads", unit: "/s", better: "higher" },
    { name: "read p99", unit: "us", better: "lower" },
  ],
  shapes: [shape],
  cases: ({ smoke }): Case[] => {
    const copies = smoke ? 4 : Math.ceil(100_000 / recordedFlights);
    return [
      { name: "as recorded", parameters: { copies: 1, readers: 0 }, needs: [] },
      { name: "100,000 aircraft", parameters: { copies, readers: 0 }, needs: [] },
      {
        name: "100,000 aircraft, a reader",
        parameters: { copies, readers: 1 },
        needs: ["range", "processes"],
      },
    ];
  },
  run,
  work: async function* (bench, worker) {
    prepared = await loadFeed(bench);
    yield* workAs(casting)(bench, worker);
  },
};
