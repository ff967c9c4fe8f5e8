/**
 * Fleets of processes on a disk that loses power: after each loss the database opens, what was
 * acknowledged as durable is there, and every transaction is whole.
 */
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Child } from "../support/crew.ts";
import { LosingDisk } from "../support/losing-disk.ts";
import type { DiskFault } from "../support/losing-disk.ts";
import { Random } from "../support/random.ts";
import { root } from "../support/source.ts";
import { cellsAfter, isShared, markOf } from "./powerloss-plan.ts";

const program = join(root, "test/crash/powerloss-child.ts");
const workerMax = 6;
/** Small: reuse of memory is part of it. */
const segmentBytes = 32 << 20;
/** Only ends what hangs. */
const limitMs = 120_000;
/** Losses that one database lives through. */
const livesMax = 6;

export interface PowerLossReport {
  readonly problems: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

/** What `look` of the child says. */
type Seen =
  | { readonly refused: string }
  | {
      readonly mode: string;
      readonly reason: string;
      readonly problems: readonly string[];
      readonly tables: readonly string[];
      /** Ids and numbers. */
      readonly cells: readonly (readonly [number, number])[];
      /** Tables, ids and numbers. */
      readonly extras: readonly (readonly [string, number, number])[];
    };

export interface PowerLossOptions {
  readonly seed: number;
  /** Losses of power. */
  readonly rounds: number;
  /** Each time a new database, and the loss comes soon after its first commits. */
  readonly isYoung?: boolean;
}

/** Loses power again and again. A text says why this machine has no such disk. */
export async function runPowerLoss({
  seed,
  rounds,
  isYoung = false,
}: PowerLossOptions): Promise<PowerLossReport | string> {
  const directory = mkdtempSync(join(tmpdir(), "aerostore-power-"));
  try {
    const disk = await LosingDisk.mount(join(directory, "disk"), seed);
    if (typeof disk === "string") return disk;
    await using _ = disk;
    const problems: string[] = [];
    const counts: Record<string, number> = {};
    let campaign: Campaign | undefined;
    for (let round = 0; round < rounds && problems.length === 0; round++) {
      const random = new Random((seed + round * 7919) >>> 0);
      if (campaign === undefined || isYoung || random.oneIn(livesMax)) {
        campaign?.removeSegments();
        await disk.reset(random.below(2 ** 31));
        campaign = new Campaign(disk, basename(directory), counts);
      }
      const found = await campaign.round(random, isYoung);
      problems.push(...found.map((each) => `round ${round}: ${each}`));
    }
    campaign?.removeSegments();
    return { problems, counts };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** One database and what was acknowledged of it, kept where no power is lost. */
class Campaign {
  readonly #disk: LosingDisk;
  readonly #name: string;
  readonly #counts: Record<string, number>;
  readonly #segments = new Set<string>();
  /** Numbers of data directories that there were. */
  #homes = 0;
  #home = "data-0";
  /** By worker, the newest transaction that is durable. */
  #durable = new Map<number, number>();
  /** By table and id, the number that is durable. */
  #rows = new Map<string, number>();
  #decoy: { readonly home: string; durable: number } | undefined;
  #children: Child[] = [];
  #problems: string[] = [];
  #acknowledged = 0;
  #waiters: { readonly at: number; readonly resolve: () => void }[] = [];

  constructor(disk: LosingDisk, name: string, counts: Record<string, number>) {
    this.#disk = disk;
    this.#name = name;
    this.#counts = counts;
  }

  removeSegments(): void {
    for (const path of this.#segments) rmSync(path, { force: true });
  }

  #count(what: string, by = 1): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + by;
  }

  #start(home: string, segment: string, ...words: readonly (string | number)[]): Child {
    const shmPath = join("/dev/shm", `${this.#name}-${segment}.mmap`);
    this.#segments.add(shmPath);
    const data = join(this.#disk.mountPoint, home);
    const args = [program, data, shmPath, join(data, "never"), ...words.map(String)];
    const child = new Child(words.join(" "), [process.execPath, ...args], {
      onLine: (line) => this.#hear(line),
      env: { AEROSTORE_TEST_BYTES: String(segmentBytes) },
      limitMs,
    });
    void child.ended.then(({ status, signal, stderr }) => {
      if (signal !== "SIGKILL" && status !== 0) {
        this.#problems.push(`${child.name} ended with ${signal ?? status}: ${stderr.slice(-600)}`);
      }
      if (this.#children.every(({ isRunning }) => !isRunning)) this.#wake(true);
    });
    return child;
  }

  #hear(line: string): void {
    const [verb = "", first = "", second = "", third = ""] = line.split(" ");
    if (verb === "durable") {
      const worker = Number(first);
      this.#durable.set(worker, Math.max(this.#durable.get(worker) ?? 0, Number(second)));
      this.#count("acknowledged as durable");
    } else if (verb === "row") {
      const key = `${first} ${second}`;
      this.#rows.set(key, Math.max(this.#rows.get(key) ?? 0, Number(third)));
      this.#count("rows of new tables");
    } else if (verb === "decoy") {
      if (this.#decoy !== undefined) this.#decoy.durable = Number(first);
    } else if (verb === "bad") {
      this.#problems.push(line);
    } else if (verb === "failed" || verb === "poisoned") {
      this.#count(verb === "failed" ? `${first} ${second}` : verb);
      return;
    } else if (verb !== "done") return;
    this.#acknowledged++;
    this.#wake(false);
  }

  #wake(all: boolean): void {
    const due = this.#waiters.filter(({ at }) => all || at <= this.#acknowledged);
    this.#waiters = this.#waiters.filter((each) => !due.includes(each));
    for (const { resolve } of due) resolve();
  }

  /** Settles after `count` more acknowledgements, or when all have ended. */
  async #more(count: number): Promise<void> {
    if (this.#children.every(({ isRunning }) => !isRunning)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ at: this.#acknowledged + count, resolve });
    await promise;
  }

  #startWorker(random: Random): void {
    const busy = new Set(
      this.#children.filter(({ isRunning }) => isRunning).map(({ name }) => name.split(" ")[1]),
    );
    const free = Array.from({ length: workerMax }, (_, i) => i).filter((i) => !busy.has(String(i)));
    if (free.length === 0) return;
    const words = ["work", random.pick(free), random.below(2 ** 31)];
    this.#children.push(this.#start(this.#home, "own", ...words));
    this.#count("workers");
  }

  /** A fleet at work until the power fails; what was not as it must be. */
  async round(random: Random, isYoung: boolean): Promise<readonly string[]> {
    this.#problems = [];
    this.#children = [];
    await this.#disk.setRenameFlags(!random.oneIn(3));
    const fleet = isYoung ? 1 : random.between(1, 4);
    for (let i = 0; i < fleet; i++) this.#startWorker(random);
    const events = isYoung ? 0 : random.below(6);
    await this.#more(random.between(1, isYoung ? 3 : 40));
    for (let event = 0; event < events; event++) {
      await this.#disturb(random);
      await this.#more(random.between(1, 40));
    }
    for (const child of this.#children) child.signal("SIGKILL");
    await Promise.all(this.#children.map(({ ended }) => ended));
    this.removeSegments();
    await this.#disk.lose(random.below(2 ** 31));
    this.#count("losses of power");
    await this.#audit();
    return this.#problems;
  }

  async #disturb(random: Random): Promise<void> {
    const running = this.#children.filter(({ isRunning }) => isRunning);
    const die = random.below(20);
    if (running.length > 0 && die < 5) {
      await random.pick(running).kill();
      this.#count("kills");
      this.#startWorker(random);
    } else if (running.length > 1 && die < 8) {
      const child = random.pick(running);
      await child.said("ready");
      child.signal("SIGSTOP");
      this.#count("stops");
      await this.#more(random.between(1, 30));
      if (random.oneIn(2)) child.signal("SIGCONT");
      else await child.kill();
    } else if (die < 11) {
      this.#startWorker(random);
    } else if (die < 15) {
      const kind = random.pick<DiskFault>(["write", "sync", "space", "short"]);
      await this.#disk.fail(kind, random.below(30), random.between(1, 3));
      this.#count(`faults of ${kind}`);
    } else if (die < 18) {
      // One that has not opened it yet would make another at the old path.
      await Promise.all(running.map(async (child) => child.said("ready")));
      this.#move();
      if (random.oneIn(3)) await this.#lure();
    }
  }

  /** Renames the data directory while processes work in it. */
  #move(): void {
    const from = join(this.#disk.mountPoint, this.#home);
    this.#homes++;
    const home = `data-${this.#homes}`;
    try {
      renameSync(from, join(this.#disk.mountPoint, home));
    } catch {
      // No process has made it yet.
      return;
    }
    this.#disk.syncNames();
    this.#home = home;
    this.#count("renames of the data directory");
  }

  /** Another database where this one was. */
  async #lure(): Promise<void> {
    if (this.#decoy !== undefined || this.#homes === 0) return;
    this.#decoy = { home: `data-${this.#homes - 1}`, durable: 0 };
    await this.#start(this.#decoy.home, "decoy", "decoy").ended;
    this.#count("databases at the old path");
  }

  async #look(home: string, segment: string): Promise<Seen | undefined> {
    const child = this.#start(home, segment, "look");
    await child.ended;
    const line = child.lines.at(-1);
    return line === undefined ? undefined : (JSON.parse(line) as Seen);
  }

  async #audit(): Promise<void> {
    const decoy = this.#decoy;
    if (decoy !== undefined) {
      const seen = await this.#look(decoy.home, "decoy");
      if (seen === undefined) this.#problems.push("the other database: no answer");
      else if ("refused" in seen) this.#problems.push(`the other database: ${seen.refused}`);
      else if (seen.cells.length < decoy.durable) {
        this.#problems.push(`the other database: ${seen.cells.length} rows of ${decoy.durable}`);
      }
    }
    const seen = await this.#look(this.#home, "own");
    if (seen === undefined) return;
    if ("refused" in seen) {
      this.#problems.push(`refused: ${seen.refused}`);
      return;
    }
    this.#problems.push(...seen.problems.map((each) => `check: ${each}`));
    this.#auditRows(new Map(seen.cells));
    const found = new Map(seen.extras.map(([table, id, n]) => [`${table} ${id}`, n]));
    for (const [key, n] of this.#rows) {
      const there = found.get(key);
      if (there === undefined || there < n) {
        const tables = seen.tables.join(", ");
        this.#problems.push(`row ${key}: ${n} is durable, ${there} is there; tables ${tables}`);
      }
    }
  }

  #auditRows(cells: ReadonlyMap<number, number>): void {
    let total = 0;
    for (let worker = 0; worker < workerMax; worker++) {
      const n = cells.get(markOf(worker)) ?? 0;
      const durable = this.#durable.get(worker) ?? 0;
      total += n;
      if (n < durable)
        this.#problems.push(`worker ${worker}: ${durable} is durable, ${n} is there`);
      const expected = cellsAfter(worker, n);
      const first = markOf(worker) + 1;
      for (let id = first; id < markOf(worker + 1); id++) {
        if (cells.get(id) !== expected.get(id)) {
          const has = cells.get(id);
          this.#problems.push(
            `worker ${worker} at ${n}: row ${id} has ${has}, not ${expected.get(id)}`,
          );
        }
      }
      this.#durable.set(worker, n);
    }
    const shared = [...cells].filter(([id]) => isShared(id)).reduce((sum, [, n]) => sum + n, 0);
    if (shared !== total) this.#problems.push(`${shared} transactions counted, ${total} there`);
  }
}
