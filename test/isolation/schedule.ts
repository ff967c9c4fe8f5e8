/**
 * Transactions as lists of steps, run in every order in which their steps can fall, and compared
 * with what running them one after the other may give.
 */
import type { Database, Transaction } from "../../src/index.ts";
import { AerostoreError } from "../../src/index.ts";

/** What a transaction has read so far, in order. */
export type Seen = (number | string | undefined)[];

/** One statement; what it reads goes into `seen`. */
export type Step = (tx: Transaction, seen: Seen) => void;

export type Script = readonly Step[];

/** A group of transactions over one small state. */
export interface Template {
  readonly name: string;
  readonly scripts: readonly Script[];
}

/** What a run came to: which transactions are in, what each saw, and the state behind them. */
export interface Outcome {
  readonly committed: readonly boolean[];
  readonly seen: readonly (Seen | undefined)[];
  readonly state: string;
}

/** How far a transaction has come. `lost`: by a conflict; it is aborted then. */
export type Phase = "open" | "committed" | "lost";

/** One transaction of a template, wherever it runs. */
export interface Player {
  /** Runs the next step, or commits behind the last one. */
  next(): Phase | Promise<Phase>;
  abort(): void | Promise<void>;
  readonly seen: Seen;
}

/** Where each transaction is run: on one handle or on several, here or in another process. */
export interface Bench {
  readonly begin: (template: Template, who: number) => Player | Promise<Player>;
  /** Puts the state back to what it is before each run. */
  readonly reset: () => void;
  readonly state: () => string;
}

/** All orders in which `counts[i]` steps of each participant can fall. */
export function* interleavings(counts: readonly number[]): Generator<number[]> {
  if (counts.every((count) => count === 0)) {
    yield [];
    return;
  }
  for (const [who, count] of counts.entries()) {
    if (count === 0) continue;
    const rest = counts.map((each, index) => (index === who ? each - 1 : each));
    for (const order of interleavings(rest)) yield [who, ...order];
  }
}

/** All orders of the numbers below `count`. */
export function permutations(count: number): number[][] {
  if (count === 0) return [[]];
  return permutations(count - 1).flatMap((order) =>
    Array.from({ length: count }, (_, at) => order.toSpliced(at, 0, count - 1)),
  );
}

/** Steps of a transaction, its commit included. */
export function lengthOf(script: Script): number {
  return script.length + 1;
}

/** A transaction on a handle of this process; it begins with its first step. */
export class LocalPlayer implements Player {
  readonly seen: Seen = [];
  readonly #handle: Database;
  readonly #script: Script;
  #tx: Transaction | undefined;
  #at = 0;

  constructor(handle: Database, script: Script) {
    this.#handle = handle;
    this.#script = script;
  }

  next(): Phase {
    this.#tx ??= this.#handle.begin();
    const step = this.#script[this.#at++];
    try {
      if (step === undefined) this.#tx.commit();
      else step(this.#tx, this.seen);
      return step === undefined ? "committed" : "open";
    } catch (error) {
      if (!(error instanceof AerostoreError) || !error.retryable) throw error;
      this.#tx.abort();
      return "lost";
    }
  }

  abort(): void {
    this.#tx?.abort();
  }
}

/** Runs a template's scripts with their steps in this order. */
export async function runOrder(
  bench: Bench,
  template: Template,
  order: readonly number[],
): Promise<Outcome> {
  bench.reset();
  const players = new Map<number, Player>();
  const phases = template.scripts.map((): Phase => "open");
  for (const who of order) {
    if (phases[who] !== "open") continue;
    const player = players.get(who) ?? (await bench.begin(template, who));
    players.set(who, player);
    phases[who] = await player.next();
  }
  for (const player of players.values()) await player.abort();
  const committed = phases.map((phase) => phase === "committed");
  return {
    committed,
    seen: committed.map((is, who) => (is ? players.get(who)?.seen : undefined)),
    state: bench.state(),
  };
}

/** What the committed ones of `outcome` would have seen and left in some order, one by one. */
function isSerial(serial: readonly SerialRun[], outcome: Outcome): boolean {
  return serial.some(
    ({ mask, seen, state }) =>
      state === outcome.state &&
      outcome.committed.every((committed, index) => committed === mask[index]) &&
      outcome.seen.every((each, index) => each === undefined || same(each, seen[index])),
  );
}

interface SerialRun {
  readonly mask: readonly boolean[];
  readonly seen: readonly (Seen | undefined)[];
  readonly state: string;
}

function same(a: Seen, b: Seen | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Every subset of the scripts in every order, one transaction after the other. */
async function serialRuns(
  bench: Bench,
  template: Template,
): Promise<{ runs: SerialRun[]; lost: string[] }> {
  const { scripts } = template;
  const runs: SerialRun[] = [];
  const lost: string[] = [];
  for (const permutation of permutations(scripts.length)) {
    for (let subset = 0; subset < 2 ** scripts.length; subset++) {
      const mask = scripts.map((_, index) => (subset & (1 << index)) !== 0);
      const order = permutation
        .filter((who) => mask[who])
        .flatMap((who) => Array.from({ length: lengthOf(scripts[who] ?? []) }, () => who));
      const { committed, seen, state } = await runOrder(bench, template, order);
      if (!mask.every((each, index) => each === committed[index])) {
        lost.push(`in the serial order ${order.join("")} not all were committed`);
      }
      runs.push({ mask, seen, state });
    }
  }
  return { runs, lost };
}

export interface TemplateReport {
  readonly problems: readonly string[];
  readonly orders: number;
  /** Orders in which every transaction was committed. */
  readonly allCommitted: number;
}

/**
 * Runs a template in all orders: whatever was committed must be explained by a serial order, at
 * least one transaction must be in, and every serial order must succeed.
 */
export async function runTemplate(bench: Bench, template: Template): Promise<TemplateReport> {
  const { name, scripts } = template;
  const { runs, lost } = await serialRuns(bench, template);
  const problems = lost.map((what) => `${name}: ${what}`);
  let [orders, allCommitted] = [0, 0];
  for (const order of interleavings(scripts.map(lengthOf))) {
    orders++;
    const outcome = await runOrder(bench, template, order);
    if (outcome.committed.every((committed) => committed)) allCommitted++;
    const where = `${name}, order ${order.join("")}`;
    if (!isSerial(runs, outcome)) problems.push(`${where}: ${JSON.stringify(outcome)}`);
    if (!outcome.committed.some((committed) => committed)) problems.push(`${where}: all failed`);
  }
  return { problems, orders, allCommitted };
}
