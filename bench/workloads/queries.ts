/** Searches over flights that nobody changes meanwhile: what one costs. */
import { drive } from "../harness/drive.ts";
import { Random } from "../harness/random.ts";
import type { Case, Metric, Settings, Workload } from "../harness/workload.ts";
import type { Ability } from "../peers/peer.ts";
import { callsign, flightShape, foldFlight, makeFleetParts } from "./flight.ts";
import { mix } from "./model.ts";
import type { Query, Value } from "./model.ts";

const shape = flightShape(["altitude", "updated_at"]);
const startTime = 1_700_000_000;

interface Question {
  readonly name: string;
  readonly about: string;
  readonly needs: readonly Ability[];
  readonly query: Query;
  /** Only the number of rows is asked for. */
  readonly countOnly?: boolean;
  /** Measured at sizes a factor of ten apart: what it costs has to grow with their logarithm. */
  readonly grows?: boolean;
  readonly unit: "us" | "ms";
  /** The searches that every peer does alike; fewer where one takes long. */
  readonly agreed: number;
  readonly values: (random: Random, rows: number) => Value[];
}

const questions: readonly Question[] = [
  {
    name: "point-search",
    about: "Search by primary key, through the query language",
    needs: ["search"],
    query: { where: [{ column: "flight_id", op: "=", value: 0 }] },
    unit: "us",
    agreed: 1_000,
    values: (random, rows) => [callsign(random.below(rows))],
  },
  {
    name: "count",
    about: "Count of the rows that satisfy a predicate on two columns without an index",
    needs: ["search"],
    query: {
      where: [
        { column: "gs", op: ">", value: 0 },
        { column: "lat", op: "<", value: 1 },
      ],
    },
    countOnly: true,
    unit: "ms",
    agreed: 5,
    values: (random) => [random.between(300, 500), random.between(-40, 40)],
  },
  {
    name: "range",
    about: "Index range in index order, the first 50 rows as objects",
    needs: ["range"],
    query: {
      where: [
        { column: "altitude", op: ">=", value: 0 },
        { column: "altitude", op: "<", value: 1 },
      ],
      sort: { column: "altitude", descending: false },
      limit: 50,
    },
    unit: "us",
    agreed: 200,
    values: (random) => {
      const low = random.below(40_000);
      return [low, low + 2_000];
    },
  },
  {
    name: "sorted",
    about: "The 50 latest rows of a range, by an index walked backwards",
    needs: ["range"],
    query: {
      where: [{ column: "updated_at", op: "<", value: 0 }],
      sort: { column: "updated_at", descending: true, distinct: true },
      limit: 50,
    },
    unit: "us",
    agreed: 200,
    values: (random, rows) => [startTime + 50 + random.below(rows)],
  },
  {
    name: "seek",
    about: "The first row of an index range (`-limit 1`), in tables of growing size",
    needs: ["range"],
    query: {
      where: [{ column: "updated_at", op: ">=", value: 0 }],
      sort: { column: "updated_at", descending: false, distinct: true },
      limit: 1,
    },
    grows: true,
    unit: "us",
    agreed: 1_000,
    values: (random, rows) => [startTime + random.below(rows)],
  },
  {
    name: "limit",
    about: "The 10 latest rows before a time, by index, in tables of growing size",
    needs: ["range"],
    query: {
      where: [{ column: "updated_at", op: "<", value: 0 }],
      sort: { column: "updated_at", descending: true, distinct: true },
      limit: 10,
    },
    grows: true,
    unit: "us",
    agreed: 500,
    values: (random, rows) => [startTime + 10 + random.below(rows)],
  },
  {
    name: "top",
    about: "The 50 most northern rows above a speed, without an index",
    needs: ["search"],
    query: {
      where: [{ column: "gs", op: ">", value: 0 }],
      sort: { column: "lat", descending: true },
      limit: 50,
    },
    unit: "ms",
    agreed: 3,
    values: (random) => [random.between(200, 400)],
  },
  {
    name: "match",
    about: "Rows whose callsign has a text in it",
    needs: ["search"],
    query: { where: [{ column: "flight_id", op: "match", value: 0 }] },
    unit: "ms",
    agreed: 3,
    values: (random) => [`*${random.between(100, 999)}*`],
  },
  {
    name: "rows",
    about: "All rows into objects, all of whose columns are looked at",
    needs: ["search"],
    query: { where: [] },
    unit: "ms",
    agreed: 2,
    values: () => [],
  },
];

function metricsOf(unit: "us" | "ms"): readonly [Metric, ...Metric[]] {
  return [
    { name: "time", unit, better: "lower" },
    { name: "p99", unit, better: "lower" },
  ];
}

function casesOf(question: Question, settings: Settings): readonly Case[] {
  return sizesOf(question, settings).map((rows) => ({
    name: `${rows} rows`,
    parameters: { rows, bytesMax: 2 ** 30 + rows * 400 },
    needs: question.needs,
  }));
}

function sizesOf(question: Question, settings: Settings): readonly number[] {
  if (settings.smoke) return [500];
  const small = question.grows === true ? [10_000, 100_000] : [100_000];
  const large = question.grows === true ? [1_000_000, 10_000_000] : [1_000_000];
  return settings.full ? [...small, ...large] : small;
}

function workloadOf(question: Question): Workload {
  const { query, countOnly, unit } = question;
  const divisor = unit === "us" ? 1e3 : 1e6;
  return {
    name: question.name,
    about: question.about,
    metrics: metricsOf(unit),
    shapes: [shape],
    cases: (settings) => casesOf(question, settings),
    run: async ({ open, parameters, settings }) => {
      const rows = parameters["rows"] ?? 0;
      const store = await open();
      const table = store.table(shape);
      for (const part of makeFleetParts(rows, settings.seed)) await table.load(part);
      const random = new Random(settings.seed + 3);
      const values = Array.from({ length: 1_024 }, () => question.values(random, rows));
      const at = (index: number): readonly Value[] => values[index & 1_023] ?? [];
      const search = countOnly === true ? undefined : table.search?.(query);
      const count = countOnly === true ? table.count?.(query) : undefined;
      const limits = { agreed: question.agreed, seconds: settings.seconds };
      const driven =
        count !== undefined
          ? await drive({ ...limits, step: (i) => count(at(i)), take: (n) => n }, store.inFlight)
          : search !== undefined
            ? await drive(
                {
                  ...limits,
                  step: (i) => search(at(i)),
                  // Rows of an unordered search come in any order.
                  take: (found) =>
                    query.sort === undefined
                      ? found.reduce((sum, row) => (sum + foldFlight(row)) | 0, found.length)
                      : found.reduce((sum, row) => mix(sum, foldFlight(row)), found.length),
                },
                store.inFlight,
              )
            : undefined;
      await store.close();
      if (driven === undefined) throw new Error("the peer has no such search");
      return {
        metrics: {
          time: (driven.seconds * 1e9) / driven.operations / divisor,
          p99: driven.latency.percentile(0.99) / divisor,
        },
        checksum: driven.checksum,
        latency: driven.latency.buckets(),
      };
    },
  };
}

export const queries: readonly Workload[] = questions.map(workloadOf);
