/** One row at a time, by key: auto-commit upserts and reads to an object. */
import { drive } from "../harness/drive.ts";
import type { Driven } from "../harness/drive.ts";
import { Random } from "../harness/random.ts";
import type { Case, Metric, Outcome, Settings, Workload } from "../harness/workload.ts";
import { callsign, flightShape, foldFlight, makeFleet, makeFlight } from "./flight.ts";
import type { Flight } from "./flight.ts";
import { mix } from "./model.ts";

const shape = flightShape(["altitude"]);
/** Operations are prepared beforehand and gone through in circles. */
const preparedCount = 1 << 16;

const metrics: readonly [Metric, ...Metric[]] = [
  { name: "rate", unit: "/s", better: "higher" },
  { name: "p50", unit: "ns", better: "lower" },
  { name: "p99", unit: "ns", better: "lower" },
  { name: "p99.9", unit: "ns", better: "lower" },
];

function sizes(settings: Settings): readonly Case[] {
  const rows = settings.smoke ? 500 : 100_000;
  return [{ name: `${rows} rows`, parameters: { rows }, needs: [] }];
}

/** Rate and percentiles of a driven loop. */
export function rated(driven: Driven): Outcome {
  const { latency } = driven;
  return {
    metrics: {
      rate: driven.operations / driven.seconds,
      p50: latency.percentile(0.5),
      p99: latency.percentile(0.99),
      "p99.9": latency.percentile(0.999),
    },
    checksum: driven.checksum,
    latency: latency.buckets(),
  };
}

export const upsert: Workload = {
  name: "upsert",
  about: "Upserts of a six-column row with one moving index entry, each its own transaction",
  metrics,
  shapes: [shape],
  cases: sizes,
  run: async ({ open, parameters, settings }) => {
    const rows = parameters["rows"] ?? 0;
    const store = await open();
    const table = store.table(shape);
    await table.load(makeFleet(rows, settings.seed));
    const random = new Random(settings.seed + 1);
    const updates = Array.from({ length: preparedCount }, (_, at) =>
      makeFlight(random.below(rows), rows + at, random),
    );
    const agreed = settings.smoke ? 200 : 5_000;
    const driven = await drive(
      {
        agreed,
        seconds: settings.seconds,
        // Every pass over the prepared updates brings new values.
        step: (index) => {
          const row = updates[index & (preparedCount - 1)];
          if (row === undefined) throw new RangeError("no update");
          const pass = Math.floor(index / preparedCount);
          return table.upsert({
            flight_id: row.flight_id,
            lat: row.lat,
            lon: row.lon,
            altitude: row.altitude + pass,
            gs: row.gs,
            updated_at: row.updated_at + pass,
          });
        },
        take: () => 1,
        check: async () => {
          let sum = 17;
          for (const { flight_id } of updates.slice(0, agreed)) {
            const row = await table.get(flight_id);
            sum = mix(sum, row === undefined ? 7 : foldFlight(row));
          }
          return sum;
        },
      },
      store.inFlight,
    );
    await store.close();
    return rated(driven);
  },
};

export const get: Workload = {
  name: "get",
  about: "Reads of a row by key to an object, all of whose columns are looked at",
  metrics,
  shapes: [shape],
  cases: sizes,
  run: async ({ open, parameters, settings }) => {
    const rows = parameters["rows"] ?? 0;
    const store = await open();
    const table = store.table(shape);
    await table.load(makeFleet(rows, settings.seed));
    const random = new Random(settings.seed + 2);
    // Strings of their own, as they come out of a message; one in a hundred is of nobody.
    const keys = Array.from({ length: preparedCount }, () =>
      callsign(random.below(100) === 0 ? rows + random.below(rows) : random.below(rows)),
    );
    const driven = await drive<Flight | undefined>(
      {
        agreed: settings.smoke ? 200 : 5_000,
        seconds: settings.seconds,
        step: (index) => table.get(keys[index & (preparedCount - 1)] ?? ""),
        take: (row) => (row === undefined ? 7 : foldFlight(row)),
      },
      store.inFlight,
    );
    await store.close();
    return rated(driven);
  },
};
