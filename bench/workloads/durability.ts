/** What durability costs: commits that wait for the disk, and bytes of log for an update. */
import { repeat } from "../harness/drive.ts";
import type { Outcome, Workload } from "../harness/workload.ts";
import type { Table } from "../peers/peer.ts";
import { callsign, flightShape, foldFlight, makeFleet } from "./flight.ts";
import type { Flight } from "./flight.ts";
import { mix } from "./model.ts";
import type { Change, Shape } from "./model.ts";

const flights = flightShape(["altitude"]);
const committers = 64;

export const groupCommit: Workload = {
  name: "group-commit",
  about: "Upserts that return when they are on disk: 64 waiting at once over one at a time",
  metrics: [
    { name: "at once", unit: "/s", better: "higher" },
    { name: "one at a time", unit: "/s", better: "higher" },
    { name: "gain", unit: "ratio", better: "higher" },
    { name: "p99 at once", unit: "us", better: "lower" },
  ],
  shapes: [flights],
  cases: ({ smoke }) => [
    {
      name: `${committers} committers`,
      parameters: { rows: smoke ? 100 : 10_000 },
      needs: ["durable"],
      durable: true,
    },
  ],
  run: async ({ open, parameters, settings }): Promise<Outcome> => {
    const rows = parameters["rows"] ?? 0;
    const fleet = makeFleet(rows, settings.seed);
    const store = await open();
    const table = store.table(flights);
    await table.load(fleet);
    const steps = {
      step: (index: number) => write(table, fleet[index % rows], index),
      take: () => 1,
    };
    const during = (inFlight: number) => {
      const deadline = Bun.nanoseconds() + settings.seconds * 1e9;
      return repeat(steps, inFlight, 0, (now) => now < deadline);
    };
    const alone = await during(1);
    const together = await during(committers);
    let checksum = 17;
    for (let i = 0; i < rows; i++) {
      const row = await table.get(callsign(i));
      checksum = mix(checksum, row === undefined ? 7 : foldFlight({ ...row, altitude: 0 }));
    }
    await store.close();
    const rates = [alone, together].map(({ operations, seconds }) => operations / seconds);
    const [one = Number.NaN, many = Number.NaN] = rates;
    return {
      metrics: {
        "one at a time": one,
        "at once": many,
        gain: many / one,
        "p99 at once": together.latency.percentile(0.99) / 1e3,
      },
      checksum,
      latency: together.latency.buckets(),
    };
  },
};

async function write(table: Table<Flight>, row: Flight | undefined, index: number): Promise<void> {
  if (row === undefined || table.upsertDurable === undefined) throw new Error("cannot wait");
  await table.upsertDurable({ ...row, altitude: index });
}

interface Wide {
  readonly id: number;
  readonly altitude: number;
  readonly gs: number;
  readonly lat: number;
  readonly lon: number;
  readonly filler: Uint8Array;
}

/** Of 816 bytes: five numbers of eight and a filler. */
const wide: Shape<Wide> = {
  name: "wide",
  columns: [
    { name: "id", kind: "i64" },
    { name: "altitude", kind: "i64" },
    { name: "gs", kind: "i64" },
    { name: "lat", kind: "decimal", scale: 6 },
    { name: "lon", kind: "decimal", scale: 6 },
    { name: "filler", kind: "bytes", size: 774 },
  ],
  values: (row) => [row.id, row.altitude, row.gs, row.lat, row.lon, row.filler],
  make: ([id, altitude, gs, lat, lon, filler]) => ({
    id: Number(id),
    altitude: Number(altitude),
    gs: Number(gs),
    lat: Number(lat),
    lon: Number(lon),
    filler: filler instanceof Uint8Array ? filler : new Uint8Array(0),
  }),
  fold: foldWide,
};

const wideBytes = 816;

function foldWide({ id, altitude, gs, lat, lon, filler }: Wide): number {
  const sum = mix(mix(mix(id, altitude), gs), Math.round(lat * 1e6));
  return mix(mix(sum, Math.round(lon * 1e6)), (filler[0] ?? 0) + filler.length);
}

/** A climb, and a position that moves a little, as from one report to the next. */
function changeOf(columns: number): Change<Wide> {
  const steps = (
    [
      ["altitude", 25],
      ["gs", 1],
      ["lat", 0.001234],
      ["lon", -0.002345],
    ] as const
  ).slice(0, columns);
  const added = (row: Wide, name: (typeof steps)[number][0]): number => {
    const add = steps.find(([column]) => column === name)?.[1] ?? 0;
    return Math.round((row[name] + add) * 1e6) / 1e6;
  };
  return {
    steps: steps.map(([column, add]) => ({ kind: "add", column, add })),
    apply: (row) => ({
      id: row.id,
      altitude: added(row, "altitude"),
      gs: added(row, "gs"),
      lat: added(row, "lat"),
      lon: added(row, "lon"),
      filler: row.filler,
    }),
  };
}

export const logBytes: Workload = {
  name: "log-bytes",
  about: "Bytes of log for a change of some columns of an 816-byte row, each its own transaction",
  metrics: [
    { name: "bytes", unit: "bytes", better: "lower" },
    { name: "saved", unit: "%", better: "higher" },
    { name: "rate", unit: "/s", better: "higher" },
  ],
  shapes: [wide],
  cases: ({ smoke }) =>
    [1, 2, 4].map((columns) => ({
      name: `${columns} of 5 columns changed`,
      parameters: { columns, rows: smoke ? 50 : 1_000, updates: smoke ? 200 : 100_000 },
      needs: ["log"],
    })),
  run: async ({ open, parameters }): Promise<Outcome> => {
    const rows = parameters["rows"] ?? 0;
    const updates = parameters["updates"] ?? 0;
    const columns = parameters["columns"] ?? 1;
    const store = await open();
    if (store.logBytes === undefined) throw new Error("the peer does not know its log");
    const table = store.table(wide);
    const filler = new Uint8Array(774).fill(120);
    await table.load(
      Array.from({ length: rows }, (_, id) => ({
        id,
        altitude: 30_000,
        gs: 400,
        lat: id / 1e3,
        lon: -id / 1e3,
        filler,
      })),
    );
    const modify = table.modify(changeOf(columns));
    const before = await store.logBytes();
    const start = Bun.nanoseconds();
    for (let i = 0; i < updates; i++) await modify(i % rows, 0);
    const seconds = (Bun.nanoseconds() - start) / 1e9;
    const bytes = ((await store.logBytes()) - before) / updates;
    let checksum = 17;
    for (let id = 0; id < rows; id++) {
      const row = await table.get(id);
      checksum = mix(checksum, row === undefined ? 7 : foldWide(row));
    }
    await store.close();
    const saved = 100 * (1 - bytes / wideBytes);
    return { metrics: { bytes, saved, rate: updates / seconds }, checksum };
  },
};
