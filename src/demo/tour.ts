/**
 * The tour: a database, a feed from several processes, searches meanwhile, plans, a process killed
 * in mid-work, a warm restart, and the proof that everything is there. Every figure is measured.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Terminal } from "../terminal/terminal.ts";
import { formatBytes, formatCount, formatDuration } from "../terminal/terminal.ts";
import { alignTable } from "../terminal/rows.ts";
import { type Database, open } from "../index.ts";
import { FlightState } from "../flight/flight-state.ts";
import { batch, Crew } from "./crew.ts";
import type { DemoDatabase, SearchFigures } from "./messages.ts";
import { Narrator } from "./narrator.ts";
import { compare, inspectAftermath, recompute } from "./proof.ts";

export interface TourOptions {
  readonly aircraft: number;
  /** How long the feed streams. */
  readonly seconds: number;
  /** Standard output is for JSON: the tour speaks to standard error. */
  readonly quietOutput: boolean;
}

/** What the tour measured. */
export interface TourFigures {
  readonly aircraft: number;
  readonly processes: { readonly writers: number; readonly searchers: number };
  readonly coldStartMs: number;
  readonly streamMs: number;
  readonly rowsCommitted: number;
  readonly rowsPerSecond: number;
  readonly searches: number;
  readonly killed: {
    readonly pid: number;
    readonly othersHeardAfterMs: number;
    readonly acknowledgedRows: number;
    readonly lostRows: number;
  };
  readonly warmAttachMs: number;
  readonly rowsVerified: number;
  readonly ok: boolean;
}

const writers = 3;
const searchers = 2;
const victim = 1;

const plannedQueries = [
  "-compare {{range lat 45 50} {range lon 5 10} {> altitude 20000}} -sort -altitude -limit 5",
  "-compare {> altitude 30000} -sort -altitude -limit 10",
];

/** Gives the tour, and cleans up. **Throws** `Error` when anything is not as it should be. */
export async function runTour(options: TourOptions, terminal: Terminal): Promise<TourFigures> {
  const directory = mkdtempSync(join(tmpdir(), "aerostore-demo-"));
  const shmPath = join("/dev/shm", `${basename(directory)}.mmap`);
  const cleanUp = (): void => {
    rmSync(directory, { recursive: true, force: true });
    rmSync(shmPath, { force: true });
  };
  const narrator = new Narrator(terminal, options.quietOutput);
  const tour = new Tour(options, narrator, { directory, shmPath });
  const interrupt = (): void => {
    tour.abandon();
    cleanUp();
    process.exit(130);
  };
  process.once("SIGINT", interrupt);
  try {
    return await tour.run();
  } finally {
    // Whoever still has the database open would write its log anew.
    tour.abandon();
    process.off("SIGINT", interrupt);
    cleanUp();
  }
}

class Tour {
  readonly #options: TourOptions;
  readonly #narrator: Narrator;
  readonly #database: DemoDatabase;
  #crew: Crew | undefined;
  #handle: Database | undefined;

  constructor(options: TourOptions, narrator: Narrator, database: DemoDatabase) {
    this.#options = options;
    this.#narrator = narrator;
    this.#database = database;
  }

  async run(): Promise<TourFigures> {
    const { aircraft, seconds } = this.#options;
    const narrator = this.#narrator;
    narrator.line(
      `Aerostore: ${formatCount(aircraft)} aircraft, ${writers} writing and ` +
        `${searchers} searching processes, ${availableParallelism()} processors`,
    );

    narrator.heading("A database in shared memory");
    const startedAt = performance.now();
    const db = await this.#open();
    const coldStartMs = performance.now() - startedAt;
    narrator.lines([
      `created in ${formatDuration(coldStartMs)}: ${this.#database.shmPath}`,
      `table FlightState, ${FlightState.columns.map(({ name }) => name).join(" ")}`,
    ]);

    const crew = new Crew(this.#database, aircraft, writers, searchers);
    this.#crew = crew;
    narrator.heading("A flight feed from several processes, and searches meanwhile");
    const crewAt = performance.now();
    await crew.ready();
    const attachedMs = performance.now() - crewAt;
    narrator.lines([`all started and attached in ${formatDuration(attachedMs)}`]);
    const stream: Stream = { at: performance.now(), rows: crew.rows };
    const streamFor = async (part: number): Promise<void> => {
      await crew.until(() => {
        const elapsed = performance.now() - stream.at;
        if (elapsed >= seconds * 1000 * part) return true;
        narrator.status(() => streamText(crew, stream));
        return false;
      });
    };
    await streamFor(0.5);

    narrator.heading("How searches are answered");
    this.#explainPlans(db);

    narrator.heading("A writer is killed in mid-work");
    const { pid, gapMs } = await crew.killWriter(victim);
    const share = crew.progress[victim];
    if (share === undefined) throw new RangeError("there is no such writer");
    const flights = db.table(FlightState);
    const aftermath = inspectAftermath(flights, aircraft, share, batch);
    narrator.lines([
      `SIGKILL to process ${pid}, which had acknowledged tick ${share.lastTick}`,
      `every other process had done new work ${formatDuration(gapMs)} later`,
      `${formatCount(aftermath.acknowledged)} rows of its last acknowledged tick: all there`,
      `transactions of the tick it was in: ${aftermath.wholeBatches} there in whole, ` +
        `${aftermath.absentBatches} not at all, 0 in part`,
    ]);
    await crew.replaceWriter(victim);
    narrator.lines(["another process goes on where it was last heard"]);
    await streamFor(1);
    await crew.stop();
    const streamMs = performance.now() - stream.at;
    const rowsPerSecond = rateOf(crew, stream);
    this.#reportStream(crew, streamMs, rowsPerSecond);

    narrator.heading("Everybody leaves; a warm restart");
    db.close();
    const reopenedAt = performance.now();
    const again = await this.#open();
    const warmAttachMs = performance.now() - reopenedAt;
    const rowCount = again.table(FlightState).count();
    narrator.lines([
      `${again.boot.mode} in ${formatDuration(warmAttachMs)}: ${formatCount(rowCount)} rows, ` +
        `${memoryText(again)}`,
    ]);

    narrator.heading("Is everything there?");
    const compared = await this.#prove(again, crew);
    return {
      aircraft,
      processes: { writers, searchers },
      coldStartMs,
      streamMs,
      rowsCommitted: crew.rows,
      rowsPerSecond,
      searches: crew.searches,
      killed: {
        pid,
        othersHeardAfterMs: gapMs,
        acknowledgedRows: aftermath.acknowledged,
        lostRows: 0,
      },
      warmAttachMs,
      rowsVerified: compared,
      ok: true,
    };
  }

  /** Ends what still runs, at once. */
  abandon(): void {
    this.#crew?.kill();
    this.#handle?.close();
  }

  async #open(): Promise<Database> {
    const { directory, shmPath } = this.#database;
    const db = await open(directory, { tables: [FlightState], shmPath });
    this.#handle = db;
    return db;
  }

  #explainPlans(db: Database): void {
    const flights = db.table(FlightState);
    const someone = flights.search("-limit 1").first()?.flight_id ?? "";
    for (const query of [`-compare {= flight_id ${someone}}`, ...plannedQueries]) {
      const plan = flights.explain(query, { analyze: true }).toString();
      this.#narrator.lines([query, ...plan.split("\n").map((line) => `  ${line}`)]);
    }
  }

  #reportStream(crew: Crew, streamMs: number, rowsPerSecond: number): void {
    this.#narrator.heading("What they did");
    this.#narrator.lines([
      `${formatCount(crew.rows)} rows committed in ${formatDuration(streamMs)}, ` +
        `${formatCount(rowsPerSecond)} a second, in transactions of ${batch}`,
      `${formatCount(crew.searches)} searches, every row checked`,
      ...searchTable(crew.figures),
    ]);
  }

  /** Compares everything with what is computed again; how many rows. */
  async #prove(db: Database, crew: Crew): Promise<number> {
    const narrator = this.#narrator;
    const report = await db.check();
    narrator.lines([`check: ${report.ok ? "ok" : report.problems.join("; ")}`]);
    const expected = recompute(this.#options.aircraft, crew.progress);
    const { rows, searches, problems } = compare(db.table(FlightState), expected);
    if (!report.ok || problems.length > 0) {
      throw new Error(`not everything is there: ${[...report.problems, ...problems].join("; ")}`);
    }
    narrator.lines([
      `${formatCount(rows)} rows computed again from the feed: all equal`,
      `${searches} searches computed again without a database: all equal`,
    ]);
    return rows;
  }
}

/** When all processes were there, and what had been committed by then. */
interface Stream {
  readonly at: number;
  readonly rows: number;
}

/** Rows a second since then. */
function rateOf(crew: Crew, { at, rows }: Stream): number {
  return (crew.rows - rows) / Math.max(0.001, (performance.now() - at) / 1000);
}

function streamText(crew: Crew, stream: Stream): string {
  const elapsed = ((performance.now() - stream.at) / 1000).toFixed(1);
  return (
    `${elapsed} s: ${formatCount(crew.rows)} rows committed ` +
    `(${formatCount(rateOf(crew, stream))} a second), ${formatCount(crew.searches)} searches`
  );
}

function memoryText(db: Database): string {
  const { memory } = db.stats();
  return `${formatBytes(memory.usedBytes)} of shared memory`;
}

/** Searchers side by side: the numbers added, the times those of the slower. */
function searchTable(figures: readonly Readonly<Record<string, SearchFigures>>[]): string[] {
  const names = Object.keys(figures[0] ?? {});
  const lines = names.map((name) => {
    const all = figures.flatMap((each) => each[name] ?? []);
    const sum = (pick: (each: SearchFigures) => number): number =>
      all.reduce((total, each) => total + pick(each), 0);
    const slowest = (pick: (each: SearchFigures) => number): string =>
      formatDuration(Math.max(...all.map(pick)) / 1000);
    return [
      name,
      formatCount(sum(({ count }) => count)),
      formatCount(sum(({ rows }) => rows)),
      slowest(({ p50 }) => p50),
      slowest(({ p99 }) => p99),
    ];
  });
  const header = ["search", "times", "rows", "median", "99 %"];
  return alignTable([header, ...lines], ["left", "right", "right", "right", "right"]);
}
