/**
 * Figures of the log, of checkpoints and of recovery that no peer has, or that other stores have
 * only as the time to load the same rows: `bun run bench durability`.
 *
 * Rates of recovery are per second of processor time, which other programs disturb less; the wall
 * clock's stand beside them.
 *
 * An async commit over one without a log: a million upserts of three columns of 50,000 rows, one
 * process, in turns with and without; processor time of the committing thread. Log writer and disk
 * have threads of their own, so a second processor has to be idle.
 *
 * Updates during a checkpoint: one process and one committing thread, a million rows of five
 * columns, two checkpoints one behind the other; updates per second of the clock, over the mean of
 * the seconds before and behind. The checkpoint's thread wants a processor of its own: with fewer
 * idle ones than two, its share (at niceness 10) is missing from the updates.
 */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { mkdtempSync } from "node:fs";
import { basename, join } from "node:path";
import { defineTable, open, t } from "aerostore";
import { boot } from "../src/boot/run.ts";
import { zigPath } from "../tools/setup.ts";
import { Database } from "../src/database/database.ts";
import { loadLibrary } from "../src/ffi/library.ts";
import type { Peer } from "./peers/peer.ts";
import { loadPeer } from "./peers/index.ts";
import { flightShape, makeFleet } from "./workloads/flight.ts";
import { loadInto } from "./workloads/load.ts";

const rowCount = 1_000_000;
const rounds = 5;

const Flights = defineTable("flights", {
  id: t.i64().primaryKey(),
  altitude: t.i64(),
  gs: t.i64(),
  lat: t.decimal(6),
  lon: t.decimal(6),
});
/** Of 816 bytes. */
const Wide = defineTable("wide", {
  id: t.i64().primaryKey(),
  altitude: t.i64(),
  gs: t.i64(),
  lat: t.decimal(6),
  lon: t.decimal(6),
  filler: t.bytes(766),
});

type Say = (name: string, figure: string) => void;

/** Where one database of this program is. */
class Place implements Disposable {
  readonly directory: string;
  readonly shmPath: string;

  constructor(parent: string) {
    this.directory = mkdtempSync(join(parent, "aerostore-durability-"));
    this.shmPath = join("/dev/shm", `${basename(this.directory)}.mmap`);
  }

  async open(): Promise<Database> {
    const options = { shmPath: this.shmPath, maxBytes: 1 << 30 };
    const db = await open(this.directory, options);
    db.setConfig("aerostore.checkpoint_interval_secs", 0);
    return db;
  }

  forget(): void {
    rmSync(this.shmPath, { force: true });
  }

  [Symbol.dispose](): void {
    this.forget();
    rmSync(this.directory, { recursive: true });
  }
}

/** All figures, with the data in `parent`. */
export async function measureDurability(parent: string): Promise<void> {
  const say: Say = (name, figure) => console.log(`${name.padEnd(50)}${figure}`);
  await measureCommits(parent, say);
  await measureLogBytes(parent, say);
  await measureEncoding(say);
  await measureLogCost(parent, say);
  await measureCheckpoint(parent, say);
  await measureRecovery(parent, say);
}

async function measureCommits(parent: string, say: Say): Promise<void> {
  using place = new Place(parent);
  const path = join(place.directory, "probe");
  const file = openSync(path, "w");
  writeSync(file, new Uint8Array(1 << 20));
  fdatasyncSync(file);
  const times = Array.from({ length: 500 }, (_, index) => {
    writeSync(file, new Uint8Array(100), 0, 100, index * 100);
    const start = Bun.nanoseconds();
    fdatasyncSync(file);
    return Bun.nanoseconds() - start;
  });
  closeSync(file);
  const sync = times.reduce((sum, time) => sum + time, 0) / times.length;
  say("fdatasync of 100 bytes, mean", `${(sync / 1e3).toFixed(0)} us`);
  const db = await place.open();
  db.createTable(Flights);
  const rates: number[] = [];
  for (const committers of [1, 64]) {
    const deadline = Bun.nanoseconds() + 3e9;
    let commits = 0;
    const start = Bun.nanoseconds();
    const lane = async (lane: number): Promise<void> => {
      while (Bun.nanoseconds() < deadline) {
        db.table(Flights).upsert({ id: lane, altitude: ++commits, gs: 1, lat: 1, lon: 1 });
        await db.durable();
      }
    };
    await Promise.all(Array.from({ length: committers }, (_, index) => lane(index)));
    rates.push(commits / ((Bun.nanoseconds() - start) / 1e9));
  }
  const [one = 0, many = 0] = rates;
  say("durable commits, one committer", `${one.toFixed(0)} /s`);
  say("durable commits, 64 committers", `${many.toFixed(0)} /s (${(many / one).toFixed(1)}x)`);
  say("one committer over the bare fdatasync", `${((one * sync) / 1e9).toFixed(2)}`);
  db.close();
}

/** What this process, whose thread writes the log, has handed to the kernel. */
function writtenBytes(): number {
  return Number(/^wchar: (\d+)/m.exec(readFileSync("/proc/self/io", "latin1"))?.[1] ?? 0);
}

async function measureLogBytes(parent: string, say: Say): Promise<void> {
  const [updates, rows, batch] = [100_000, 1_000, 64];
  for (const columns of [1, 2, 4]) {
    using place = new Place(parent);
    const db = await place.open();
    db.createTable(Wide);
    // Only full batches are written.
    db.setConfig("aerostore.wal_flush_interval_ms", 60_000);
    const table = db.table(Wide);
    const filler = new Uint8Array(766).fill(120);
    const state = Array.from({ length: rows }, (_, id) => {
      return { id, altitude: 30_000, gs: 400, lat: id / 1e3, lon: -id / 1e3, filler };
    });
    table.upsertMany(state);
    await db.durable();
    const before = writtenBytes();
    for (let i = 0; i < updates; i++) {
      const row = state[i % rows];
      if (row === undefined) continue;
      row.altitude += 25;
      if (columns >= 2) row.gs += 1;
      if (columns >= 4) {
        row.lat = Math.round(row.lat * 1e6 + 1_234) / 1e6;
        row.lon = Math.round(row.lon * 1e6 - 2_345) / 1e6;
      }
      table.upsert(row);
      if (i % batch === batch - 1) await db.durable();
    }
    await db.durable();
    const bytes = (writtenBytes() - before) / updates;
    const saved = (100 * (1 - bytes / 816)).toFixed(1);
    const name = `log of an update of ${columns} of 5 columns, 816 bytes`;
    say(name, `${bytes.toFixed(1)} bytes (${saved} % less)`);
    db.close();
  }
}

async function measureEncoding(say: Say): Promise<void> {
  const root = join(import.meta.dir, "..");
  await Bun.$`${zigPath()} build encode-bench`.cwd(root).quiet();
  const { stderr } = await Bun.$`zig-out/bin/encode-bench`.cwd(root).quiet();
  for (const line of stderr.toString().trim().split("\n")) {
    const [name = "", figure = ""] = line.split(": ");
    say(`encoding a change of ${name}`, figure);
  }
}

/** The same upserts with a log, and with one that is kept nowhere, in turns. */
async function measureLogCost(parent: string, say: Say): Promise<void> {
  // Seconds of the committing thread.
  const seconds: Record<"with" | "without", number[]> = { with: [], without: [] };
  for (let round = 0; round < rounds * 2; round++) {
    using place = new Place(parent);
    const kind = round % 2 === 0 ? "with" : "without";
    const db = kind === "with" ? await place.open() : await openUnlogged(place);
    db.createTable(Flights);
    const table = db.table(Flights);
    for (let id = 0; id < 50_000; id++) table.upsert({ id, altitude: 0, gs: 0, lat: 0, lon: 0 });
    const before = threadSeconds();
    const start = Bun.nanoseconds();
    const upserts = 1_000_000;
    for (let i = 1; i <= upserts; i++) {
      table.upsert({ id: (i * 7_919) % 50_000, altitude: i, gs: i % 600, lat: 1, lon: 2 });
    }
    const wall = upserts / ((Bun.nanoseconds() - start) / 1e9);
    const thread = threadSeconds() - before;
    seconds[kind].push(thread);
    say(`  upserts ${kind} a log`, `${wall.toFixed(0)} /s, ${thread.toFixed(3)} s of the thread`);
    db.close();
  }
  const cost = (100 * (median(seconds.with) / median(seconds.without) - 1)).toFixed(1);
  say("time of an async commit over one without a log", `${cost} % more of the thread`);
}

/** Processor time of the thread that runs JavaScript: the log's writer has one of its own. */
function threadSeconds(): number {
  const [nanoseconds] = readFileSync("/proc/thread-self/schedstat", "latin1").split(" ");
  return Number(nanoseconds) / 1e9;
}

async function openUnlogged(place: Place): Promise<Database> {
  const { symbols } = loadLibrary();
  const booted = await boot(symbols, {
    directory: place.directory,
    shmPath: place.shmPath,
    segmentSize: 1 << 30,
    sessionCount: 256,
    lockTimeoutMs: 60_000,
    onProgress: undefined,
  });
  const unlogged: typeof symbols = {
    ...symbols,
    aerostore_log_attach: (handle) => symbols.aerostore_log_attach(handle, 0),
  };
  return new Database(unlogged, booted);
}

async function measureCheckpoint(parent: string, say: Say): Promise<void> {
  using place = new Place(parent);
  const db = await place.open();
  db.createTable(Flights);
  const table = db.table(Flights);
  table.upsertMany(rowsOf(rowCount), { batch: 10_000 });
  await db.checkpoint();
  const ratios: number[] = [];
  let at = 0;
  const burst = async (goOn: () => boolean): Promise<number> => {
    const start = Bun.nanoseconds();
    let count = 0;
    while (goOn()) {
      for (let i = 0; i < 2_000; i++, count++, at++) {
        table.update((at * 7_919) % rowCount, { altitude: at });
      }
      await Bun.sleep(0);
    }
    return count / ((Bun.nanoseconds() - start) / 1e9);
  };
  for (let round = 0; round < rounds; round++) {
    let checkpoints = 0;
    const deadline = Bun.nanoseconds() + 1e9;
    const before = await burst(() => Bun.nanoseconds() < deadline);
    const running = (async () => {
      while (checkpoints < 2) {
        await db.checkpoint();
        checkpoints++;
      }
    })();
    const during = await burst(() => checkpoints < 2);
    await running;
    const end = Bun.nanoseconds() + 1e9;
    const after = await burst(() => Bun.nanoseconds() < end);
    ratios.push(during / ((before + after) / 2));
  }
  say("updates during a checkpoint over those without", median(ratios).toFixed(2));
  db.close();
}

async function measureRecovery(parent: string, say: Say): Promise<void> {
  using place = new Place(parent);
  const rows = rowsOf(rowCount);
  const db = await place.open();
  db.createTable(Flights);
  db.table(Flights).upsertMany(rows, { batch: 10_000 });
  const { bytes, elapsedMs } = await db.checkpoint();
  say("checkpoint written", `${rate(rowCount, elapsedMs)} rows/s, ${bytes} bytes`);
  db.close();
  const loading = await openings(place);
  say("checkpoint loaded", loading.text(rowCount, "rows"));
  const again = await place.open();
  const records = 3 * rowCount;
  const table = again.table(Flights);
  for (let i = 0; i < records; i++) table.update(i % rowCount, { altitude: i });
  await again.durable();
  again.close();
  const replaying = await openings(place);
  say("log replayed", replaying.less(loading).text(records, "records"));
  for (const name of ["bun:sqlite", "lmdb"]) {
    const peer = await loadPeer(name).catch(() => undefined);
    if (peer !== undefined) await measurePeer(peer, parent, say);
  }
}

async function measurePeer(peer: Peer, parent: string, say: Say): Promise<void> {
  const shape = flightShape([]);
  const fleet = makeFleet(rowCount, 1);
  const ms = await loadInto(peer, parent, shape, fleet);
  say(`the same number of rows into ${peer.name}`, `${rate(rowCount, ms)} rows/s`);
}

/** Time of cold openings, the least of several. */
class Opening {
  readonly wallMs: number;
  readonly processorMs: number;

  constructor(wallMs: number, processorMs: number) {
    this.wallMs = wallMs;
    this.processorMs = processorMs;
  }

  less(other: Opening): Opening {
    return new Opening(this.wallMs - other.wallMs, this.processorMs - other.processorMs);
  }

  text(count: number, what: string): string {
    const processor = rate(count, this.processorMs);
    return `${processor} ${what}/s of a processor, ${rate(count, this.wallMs)}/s by the clock`;
  }
}

async function openings(place: Place): Promise<Opening> {
  const [walls, processors]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    place.forget();
    const before = process.cpuUsage();
    const db = await place.open();
    const { user, system } = process.cpuUsage(before);
    walls.push(db.boot.elapsedMs);
    processors.push((user + system) / 1e3);
    db.close();
  }
  return new Opening(Math.min(...walls), Math.min(...processors));
}

function rowsOf(count: number) {
  return Array.from({ length: count }, (_, id) => {
    return { id, altitude: id % 40_000, gs: id % 600, lat: (id % 90_000) / 1e3, lon: 0 };
  });
}

function rate(count: number, ms: number): string {
  return `${((count / ms) * 1e-3).toFixed(2)} M`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
