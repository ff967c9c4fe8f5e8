/** Histories of random transactions of several processes, and what the checker says of them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Crew, faultLibrary } from "../support/crew.ts";
import { findAnomaly } from "../support/history-checker.ts";
import type { Bound, HistoryTransaction } from "../support/history-checker.ts";
import { Random } from "../support/random.ts";
import type { Recorded } from "./history-cells.ts";

export interface HistoryOptions {
  readonly seed: number;
  readonly processes: number;
  /** Of each process. */
  readonly transactions: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface HistoryReport {
  readonly problems: readonly string[];
  readonly committed: number;
  readonly conflicts: Readonly<Record<string, number>>;
}

const program = "test/isolation/history-child.ts";
/** Ends what hangs, as an engine with a mutant may. */
const limitMs = 300_000;
const mutantRounds = 5;

/** Runs one history on a database of its own and checks it. */
export async function runHistory(options: HistoryOptions): Promise<HistoryReport> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const problems: string[] = [];
  const { env = {} } = options;
  await crew.run(program, ["fill"], { env, limitMs });
  const clock = join(crew.directory, "clock");
  writeFileSync(clock, new Uint8Array(4_096));
  const parts = Array.from({ length: options.processes }, (_, index) => {
    const file = join(crew.directory, `history-${index}`);
    const words = [index, random.below(2 ** 32), options.transactions, file, clock];
    return { file, child: crew.start(program, words, { env, limitMs }) };
  });
  const conflicts: Record<string, number> = {};
  const recorded: Recorded[] = [];
  for (const { child, file } of parts) {
    const counters = (await child.result()) as Record<string, number>;
    for (const [name, value] of Object.entries(counters)) {
      conflicts[name] = Math.max(conflicts[name] ?? 0, value);
    }
    problems.push(...child.lines.slice(0, -1));
    for (const line of readFileSync(file, "utf8").split("\n")) {
      recorded.push(JSON.parse(line) as Recorded);
    }
  }
  const anomaly = findAnomaly(historyOf(recorded));
  if (anomaly !== undefined) {
    const names = new Set(anomaly.cycle.map(({ id }) => id));
    const parties = recorded.filter(({ id }) => names.has(id)).map((each) => JSON.stringify(each));
    problems.push(`${anomaly.what}\n${parties.join("\n")}`);
  }
  return { problems, committed: recorded.length, conflicts };
}

/** Mutants of the engine that change what transactions see of each other. */
export const historyMutants: readonly string[] = [
  "rows_unvalidated",
  "absent_unvalidated",
  "searches_unvalidated",
  "forwarded_blindly",
  "rest_unvalidated",
  "decided_early",
  "earlier_undecided",
  "wound_ignored",
  "numbered_early",
  "snapshot_stale",
  "snapshot_ahead",
  "pins_ignored",
  "entry_lost",
  "needed_closed",
  "stamped_twice",
  "unstamped",
  "abort_left",
  "rollback_short",
  "rollback_unread",
  "snapshot_moved",
];

/** What histories of an engine with this mutant showed; undefined when they showed nothing. */
export async function runHistoryMutant(mutant: string, seed: number): Promise<string | undefined> {
  const env = { AEROSTORE_LIBRARY: faultLibrary, AEROSTORE_MUTANT: mutant };
  for (let round = 0; round < mutantRounds; round++) {
    const options = { seed: seed + round, processes: 4, transactions: 3_000, env };
    try {
      const [problem] = (await runHistory(options)).problems;
      if (problem !== undefined) return problem.split("\n")[0];
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return /^\w*Error: .*/m.exec(message)?.[0] ?? message.split("\n")[0];
    }
  }
  return undefined;
}

function historyOf(recorded: readonly Recorded[]): HistoryTransaction[] {
  const highest = new Map<number, number>();
  for (const { writes } of recorded) {
    for (const [key, version] of writes) {
      highest.set(key, Math.max(highest.get(key) ?? 0, version));
    }
  }
  const access = ([key, version]: readonly [number, number]): { key: number; version: number } => ({
    key,
    version,
  });
  return recorded.map(({ id, beganAt, endedAt, reads, tops, writes }) => ({
    id,
    beganAt,
    endedAt,
    reads: reads.map(access),
    writes: writes.map(access),
    bounds: tops.flatMap(([least, keys]) => boundsOf(least, new Set(keys), highest)),
  }));
}

/** A cell that is not among the highest was at most as high as the least of them. */
function boundsOf(
  least: number,
  told: ReadonlySet<number>,
  highest: ReadonlyMap<number, number>,
): Bound[] {
  const bounds: Bound[] = [];
  for (const [key, version] of highest) {
    if (version > least && !told.has(key)) bounds.push({ key, atMost: least });
  }
  return bounds;
}
