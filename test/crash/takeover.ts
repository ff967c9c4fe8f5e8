/**
 * The log writer is killed at each of its steps while others commit and wait for the disk: another
 * process takes over, and nothing is lost or doubled.
 */
import { Crew, faultLibrary } from "../support/crew.ts";
import type { Child } from "../support/crew.ts";
import { Random } from "../support/random.ts";

/** Steps of who writes the log, or a checkpoint. */
export const writerPoints = [
  "drain.collected",
  "log.written",
  "drain.written",
  "drain.final",
  "log.synced",
] as const;
export const checkpointPoints = [
  "log.made",
  "log.retired",
  "log.placed",
  "rotate.opened",
  "checkpoint.written",
  "checkpoint.placed",
  "checkpoint.synced",
] as const;
/** Steps of who becomes the writer. */
export const leasePoints = ["lease.taken", "lease.epoch", "lease.file"] as const;
export const takeoverPoints: readonly string[] = [
  ...writerPoints,
  ...checkpointPoints,
  ...leasePoints,
];

export interface TakeoverReport {
  readonly problems: readonly string[];
  /** Whether somebody died at the point. */
  readonly isHit: boolean;
  /** Longest time without an acknowledgement of those who lived on. */
  readonly stallMs: number;
}

interface Looked {
  readonly mode: string;
  readonly numbers: readonly (readonly [number, number])[];
  readonly problems: readonly string[];
}

const program = "test/crash/takeover-child.ts";
const env = { AEROSTORE_LIBRARY: faultLibrary };
const limitMs = 120_000;
/** Acknowledgements of each survivor before the kill, and after it. */
const before = 5;
const after = 25;

class Worker {
  readonly child: Child;
  acknowledged = 0;
  stallMs = 0;
  #saidAt = performance.now();

  constructor(crew: Crew, words: readonly (string | number)[]) {
    this.child = crew.start(program, ["work", ...words], {
      env,
      limitMs,
      onLine: (line) => {
        const now = performance.now();
        if (!line.startsWith("ready")) {
          this.acknowledged = Number(line);
          this.stallMs = Math.max(this.stallMs, now - this.#saidAt);
        }
        this.#saidAt = now;
      },
    });
  }

  /** Settles when `count` more numbers have been said; false when it ended before. */
  async past(count: number): Promise<boolean> {
    return (await this.child.said(String(this.acknowledged + count))) !== "";
  }
}

/** One death at `point`. A victim that another is quicker than is a miss, not a problem. */
export async function runTakeover(seed: number, point: string): Promise<TakeoverReport> {
  await using crew = new Crew();
  const random = new Random(seed);
  const problems: string[] = [];
  const isLease = leasePoints.some((each) => each === point);
  const isCheckpoint = checkpointPoints.some((each) => each === point);
  const hits = isLease ? 1 : isCheckpoint ? random.between(1, 2) : random.between(1, 30);
  const every = isCheckpoint ? 10 : 0;

  const holder = isLease ? new Worker(crew, [9, 0]) : undefined;
  await holder?.child.said("ready");
  const victim = new Worker(crew, [0, every, point, hits]);
  await victim.child.said("ready");
  const survivors = [1, 2].map((index) => new Worker(crew, [index, 0]));
  await Promise.all(survivors.map((worker) => worker.past(before)));
  holder?.child.signal("SIGKILL");
  // The victim of a lease may come too late: it lives then.
  const late = isLease ? Promise.all(survivors.map((worker) => worker.past(after))) : undefined;
  await Promise.race([victim.child.ended, late ?? victim.child.ended]);
  for (const worker of survivors) {
    if (!(await worker.past(after))) problems.push(`worker ${worker.child.name} has ended`);
  }
  const isHit = !victim.child.isRunning;
  crew.stop();
  const workers = [victim, ...survivors, ...(holder === undefined ? [] : [holder])];
  for (const worker of workers) {
    const { status, signal, stderr } = await worker.child.ended;
    // A victim that came too late may get the lease, and its death, when the others leave.
    const isLateHit = isLease && worker === victim && signal === "SIGKILL";
    const isKilled = worker === holder || (worker === victim && isHit) || isLateHit;
    if (isKilled ? signal !== "SIGKILL" : status !== 0) {
      problems.push(`${worker.child.name} ended with ${signal ?? status}: ${stderr}`);
    }
  }
  const looks = [await look(crew)];
  crew.removeSegment();
  looks.push(await look(crew), await look(crew));
  for (const [index, mode] of ["WarmAttach", "ColdReplay", "WarmAttach"].entries()) {
    const found = looks[index];
    if (found === undefined) continue;
    if (found.mode !== mode) problems.push(`${found.mode} instead of ${mode}`);
    problems.push(...found.problems);
    const numbers = new Map(found.numbers);
    for (const [place, { acknowledged }] of workers.entries()) {
      const n = numbers.get(place === 3 ? 9 : place) ?? 0;
      // One more may have become durable before its worker could say so.
      if (n !== acknowledged && n !== acknowledged + 1) {
        problems.push(`${mode}: worker ${place} has ${n}, ${acknowledged} were acknowledged`);
      }
    }
    if (JSON.stringify(found.numbers) !== JSON.stringify(looks[0]?.numbers)) {
      problems.push(`${mode} shows other numbers than before`);
    }
  }
  const stallMs = Math.max(...survivors.map((worker) => worker.stallMs));
  return { problems: problems.map((each) => `${point}, hit ${hits}: ${each}`), isHit, stallMs };
}

/** A writer that is stopped with nothing left to write, while another waits for the disk. */
export async function runStop(): Promise<readonly string[]> {
  await using crew = new Crew();
  const writer = crew.start(program, ["stand"], { env, limitMs });
  if ((await writer.said("written")) === "") return [(await writer.ended).stderr];
  writer.signal("SIGSTOP");
  const stopMs = 20_000;
  const waiter = crew.start(program, ["checkpoint"], { env, limitMs: stopMs });
  const { status, stderr } = await waiter.ended;
  writer.signal("SIGCONT");
  crew.stop();
  const end = await writer.ended;
  const problems: string[] = [];
  if (status !== 0) problems.push(`nobody followed the stopped writer: ${stderr}`);
  if (end.status !== 0) problems.push(`the stopped writer ended with ${end.stderr}`);
  problems.push(...(await look(crew)).problems);
  return problems;
}

async function look(crew: Crew): Promise<Looked> {
  return (await crew.run(program, ["look"], { env, limitMs })) as Looked;
}
