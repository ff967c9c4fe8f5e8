/**
 * Feeds of every format with one damaged record or document among good ones: bytes cut, flipped,
 * doubled, put in another order. The good ones before and after are in, each record is a row or a
 * reject, and nothing depends on how the bytes are cut.
 */
import { AerostoreError } from "../../src/errors.ts";
import { Aircraft, FlightState } from "../../src/flight/index.ts";
import type { Database, IngestFormat } from "../../src/index.ts";
import type { AnyTable } from "../../src/schema/table.ts";
import { piecesOf, streamOf } from "../support/feed.ts";
import { Random } from "../support/random.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

export interface FeedFuzzReport {
  /** Each with its format and bytes. */
  readonly problems: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

interface FuzzFormat {
  readonly format: IngestFormat;
  readonly table: AnyTable;
  readonly key: "hex" | "flight_id";
  /** What stands before the first record, after each, and after the last. */
  readonly begin: string;
  readonly between: string;
  readonly end: string;
  /** A record or document with one aircraft of that key. */
  readonly record: (key: string, number: number) => string;
}

const aircraft = (key: string, n: number): string =>
  `{"hex":"${key}","flight":"T${n}  ","alt_baro":${n}00,"gs":4${n}.5,"lat":4${n}.25,"lon":-7.5,` +
  `"mlat":[],"nav_modes":["lnav","tcas"],"seen_pos":0.5,"seen":0.1}`;
const snapshot = (key: string, n: number): string =>
  `{"now":${1_700_000_000 + n}.5,"messages":${n},"aircraft":[${aircraft(key, n)}]}`;
const pretty = (key: string, n: number): string =>
  JSON.stringify(JSON.parse(snapshot(key, n)), null, 1);
const state = (key: string, n: number): string =>
  `{"time":${1_700_000_000 + n},"states":[["${key}","T${n}  ","Nowhere",${1_700_000_000 + n},` +
  `${1_700_000_000 + n},8.5,47.${n},1000.5,false,200.25,90,0,null,1010,"7000",false,0]]}`;
const row = (key: string, n: number): string =>
  `{"flight_id":"${key}","lat":4${n}.5,"lon":"-7.25","altitude":${n}000,` +
  `"gs":40${n},"updated_at":${n}}`;

const formats: readonly FuzzFormat[] = [
  {
    format: "tsv",
    table: FlightState,
    key: "flight_id",
    begin: "",
    between: "\n",
    end: "\n",
    record: (key, n) => `${key}\t4${n}.5\t-7.25\t${n}000\t40${n}\t${n}`,
  },
  {
    format: "csv",
    table: FlightState,
    key: "flight_id",
    begin: "",
    between: "\r\n",
    end: "",
    record: (key, n) => `${key},4${n}.5,-7.25,${n}000,40${n},${n}`,
  },
  {
    format: "ndjson",
    table: FlightState,
    key: "flight_id",
    begin: "",
    between: "\n",
    end: "\n",
    record: row,
  },
  {
    format: "json",
    table: FlightState,
    key: "flight_id",
    begin: "[\n",
    between: ",\n",
    end: "\n]\n",
    record: row,
  },
  {
    format: "readsb",
    table: Aircraft,
    key: "hex",
    begin: "",
    between: "\n",
    end: "",
    record: snapshot,
  },
  {
    format: "readsb",
    table: Aircraft,
    key: "hex",
    begin: "",
    between: "\n",
    end: "\n",
    record: pretty,
  },
  {
    format: "readsb",
    table: Aircraft,
    key: "hex",
    begin: "",
    between: "\n",
    end: "\n",
    record: aircraft,
  },
  {
    format: "readsb",
    table: Aircraft,
    key: "hex",
    begin: '{"now":1700000000,"aircraft":[\n',
    between: ",\n",
    end: "\n]}\n",
    record: aircraft,
  },
  {
    format: "opensky",
    table: Aircraft,
    key: "hex",
    begin: "",
    between: "\n",
    end: "\n",
    record: state,
  },
  {
    format: "sbs",
    table: Aircraft,
    key: "hex",
    begin: "",
    between: "\r\n",
    end: "\r\n",
    record: (key, n) =>
      `MSG,3,1,1,${key},1,2024/11/27,15:36:0${n}.949,2024/11/27,15:36:06.953,,${n}00,,,` +
      `4${n}.5,-7.5,,,0,0,0,0`,
  },
];

const problemsMax = 5;
const neighbours = ["aaaa01", "aaaa02", "aaaa03", "aaaa04"];
const victim = "5e5e5e";

/** Runs `inputs` mutants. */
export async function fuzzFeeds(options: {
  readonly seed: number;
  readonly inputs: number;
}): Promise<FeedFuzzReport> {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ maxBytes: 64 << 20 });
  for (const table of [FlightState, Aircraft]) db.createTable(table);
  const random = new Random(options.seed);
  const problems: string[] = [];
  const counts = { mutants: 0, rows: 0, rejects: 0, "cut another way": 0 };
  for (let index = 0; index < options.inputs && problems.length < problemsMax; index++) {
    const format = random.pick(formats);
    const bytes = mutant(format, random);
    const tell = (what: string): void => {
      const text = JSON.stringify(bytes.toString("latin1"));
      problems.push(`${format.format}, mutant ${index}: ${what}: ${text}`);
    };
    try {
      const whole = await load(db, format, [bytes]);
      counts.mutants += 1;
      counts.rows += whole.accepted;
      counts.rejects += whole.rejects.length;
      const lost = neighbours.filter((key) => !whole.rows.some((each) => each.startsWith(key)));
      if (lost.length > 0) tell(`lost ${lost.join(", ")}`);
      if (whole.accepted + whole.rejects.length !== whole.total) tell("the counts do not add up");
      if (random.oneIn(4)) {
        counts["cut another way"] += 1;
        const cut = await load(db, format, piecesOf(bytes, random.between(1, 40)));
        if (JSON.stringify(cut) !== JSON.stringify(whole)) tell("other rows when cut");
      }
    } catch (error) {
      tell(error instanceof AerostoreError ? error.message : String(error));
    }
  }
  return { problems, counts };
}

/** A feed whose middle record is damaged. */
function mutant(format: FuzzFormat, random: Random): Buffer {
  const records = neighbours.map((key, index) => format.record(key, index + 1));
  const text = (list: readonly string[]): string => list.join(format.between);
  const before = `${format.begin}${text(records.slice(0, 2))}${format.between}`;
  const after = `${format.between}${text(records.slice(2))}${format.end}`;
  let middle = Buffer.from(format.record(victim, 9), "latin1");
  for (let times = random.between(1, 3); times > 0; times--) middle = damage(middle, random);
  return Buffer.concat([Buffer.from(before), middle, Buffer.from(after)]);
}

function damage(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const to = Math.min(bytes.length, at + random.between(1, 1 + random.below(bytes.length + 1)));
  const [start, span, rest] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
  switch (random.below(5)) {
    case 0: // cut off
      return Buffer.from(start);
    case 1: {
      const flipped = Buffer.from(bytes);
      const place = random.below(Math.max(1, bytes.length));
      if (place < flipped.length) flipped[place] = (flipped[place] ?? 0) ^ (1 << random.below(8));
      return flipped;
    }
    case 2: // taken out
      return Buffer.concat([start, rest]);
    case 3: // doubled
      return Buffer.concat([start, span, span, rest]);
    default: // in another order
      return Buffer.concat([span, start, rest]);
  }
}

interface Outcome {
  readonly rows: readonly string[];
  readonly rejects: readonly string[];
  readonly accepted: number;
  readonly total: number;
}

/** Loads within a transaction that is given up. */
async function load(
  db: Database,
  { format, table, key }: FuzzFormat,
  pieces: readonly Uint8Array[],
): Promise<Outcome> {
  const transaction = db.begin();
  try {
    const target = transaction.table(table.name);
    const rejects: string[] = [];
    const report = await target.ingest(streamOf(pieces), {
      format,
      header: format === "tsv" || format === "csv" ? false : undefined,
      onReject: ({ line, column, reason }) => rejects.push(`${line} ${column} ${reason}`),
    });
    const rows = target
      .search(`-sort ${key}`)
      .toArray()
      .map((each) => `${String(each[key])} ${JSON.stringify(Object.values(each), digits)}`);
    return { rows, rejects, accepted: report.rows - report.rejected, total: report.rows };
  } finally {
    transaction.abort();
  }
}

function digits(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
