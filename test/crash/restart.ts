/** A database that is left in every way in which programs end, again and again, and opened. */
import { cpSync } from "node:fs";
import { Crew, faultLibrary } from "../support/crew.ts";
import type { ChildOptions } from "../support/crew.ts";
import { Random } from "../support/random.ts";

const program = "test/crash/restart-child.ts";

/** How a program ends; the last is no way to end one. */
export const endings = ["close", "using", "exit", "SIGTERM", "SIGINT", "SIGKILL"] as const;
export type Ending = (typeof endings)[number];

/** What a child says of the database that it opened. */
interface Seen {
  readonly mode: string;
  readonly reason: string;
  readonly hash: string;
  readonly newest: number;
  readonly problems: readonly string[];
}

type Signal = "SIGTERM" | "SIGINT" | "SIGKILL";

function isSignal(ending: Ending): ending is Signal {
  return ending.startsWith("SIG");
}

export interface RestartOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly endings: readonly Ending[];
  /** Every so many rounds the log alone must give the same rows. */
  readonly coldEvery: number;
}

/** Ends writers in the middle of their work and opens what they leave; what was wrong. */
export async function runRestarts(options: RestartOptions): Promise<string[]> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const problems: string[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const ending = random.pick(options.endings);
    const where = `seed ${options.seed}, round ${round}, ${ending}`;
    const count = 50 + random.below(400);
    const child = crew.start(program, ["work", ending, random.below(1 << 30), count]);
    if (isSignal(ending)) {
      await child.said("on");
      child.signal(ending);
    }
    const { status, signal, stderr } = await child.ended;
    const ended = isSignal(ending) ? signal === ending : status === 0;
    if (!ended) problems.push(`${where}: ended with ${signal ?? status}: ${stderr.slice(-300)}`);
    const said = child.lines.filter((line) => line.startsWith("wrote")).at(-1) ?? "wrote 0";
    const acknowledged = Number(said.slice("wrote ".length));
    const first = (await crew.run(program, ["look"])) as Seen;
    const second = (await crew.run(program, ["look"])) as Seen;
    for (const seen of [first, second]) {
      const isFirstRound = round === 0 && acknowledged === 0;
      if (seen.mode !== "WarmAttach" && !isFirstRound) {
        problems.push(`${where}: ${seen.mode}, ${seen.reason}`);
      }
      problems.push(...seen.problems.map((problem) => `${where}: ${problem}`));
    }
    if (first.newest < acknowledged) {
      problems.push(`${where}: write ${acknowledged} was acknowledged, ${first.newest} is newest`);
    }
    if (second.hash !== first.hash) problems.push(`${where}: opened again, the rows differ`);
    if (round % options.coldEvery === 0) {
      const cold = await lookCold(crew);
      if (cold.hash !== second.hash || cold.mode !== "ColdReplay") {
        problems.push(`${where}: replayed, the rows differ (${cold.mode}, ${cold.reason})`);
      }
      problems.push(...cold.problems.map((problem) => `${where}: replayed: ${problem}`));
    }
  }
  return problems;
}

/** What the log and the checkpoint of a crew's database give without its segment. */
async function lookCold(crew: Crew): Promise<Seen> {
  await using other = new Crew();
  cpSync(crew.data, other.data, { recursive: true });
  return (await other.run(program, ["look"])) as Seen;
}

export interface StepReport {
  readonly problems: readonly string[];
  /** Children that were killed on the way. */
  readonly kills: number;
}

export interface StepOptions {
  /** `open` and `close` are counted in steps of the engine, `states` in those of the machine. */
  readonly part: "open" | "close" | "states";
  /** Whether the segment is taken away before, so that opening recovers. */
  readonly isCold: boolean;
  /** Steps to be killed at, while there are so many. */
  readonly steps: Iterable<number>;
}

/** Kills a process at each of some steps of opening or closing; the next must find it all. */
export async function runSteps({ part, isCold, steps }: StepOptions): Promise<StepReport> {
  await using crew = new Crew();
  const problems: string[] = [];
  const library: ChildOptions = { env: { AEROSTORE_LIBRARY: faultLibrary } };
  await crew.start(program, ["work", "close", 1, 300]).ended;
  const before = (await crew.run(program, ["look"])) as Seen;
  let kills = 0;
  for (const at of steps) {
    const where = `${part}${isCold ? " cold" : ""}, step ${at}`;
    if (isCold) crew.removeSegment();
    const child = crew.start(program, ["step", part, at], library);
    const { signal, stderr } = await child.ended;
    if (signal === "SIGKILL") kills++;
    else if (signal !== null || !child.lines.includes("whole")) {
      problems.push(`${where}: ended with ${signal}: ${stderr.slice(-300)}`);
    }
    const seen = (await crew.run(program, ["look"])) as Seen;
    problems.push(...seen.problems.map((problem) => `${where}: ${problem}`));
    if (seen.hash !== before.hash) problems.push(`${where}: the rows differ afterwards`);
    if (!isCold && seen.mode !== "WarmAttach") problems.push(`${where}: ${seen.reason}`);
    if (signal === null) break;
  }
  return { problems, kills };
}

/** All steps at first, then ever rarer ones. */
export function* stepsFrom(start: number, end: number, growth: number): Generator<number> {
  for (let at = start; at < end; at = Math.max(at + 1, Math.ceil(at * growth))) yield at;
}
