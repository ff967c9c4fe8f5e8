/**
 * The multi-process suites for as long as one likes:
 *
 *   bun run soak [suite…] [--seed S] [--rounds N] [--transactions N]
 *
 * A round has a seed of its own, which is printed with what it found; `--seed` with `--rounds 1`
 * repeats it. The exit status is 1 when anything was not as it must be.
 */
import { parseArgs } from "node:util";
import { runCrowd, runFlips } from "../crash/boot.ts";
import { runDamage, runKills } from "../crash/recovery.ts";
import { runTakeover, takeoverPoints } from "../crash/takeover.ts";
import { runTransfers } from "../crash/transfer.ts";
import { runHistory } from "../isolation/history.ts";
import { runQueries } from "../property/query-engine.ts";
import { runFuzz } from "../property/stapi-fuzz.ts";
import { chooseSeed } from "../support/random.ts";
import { runMemory } from "./memory.ts";
import { runSnapshots } from "./snapshot.ts";

/** What a round found, with the numbers that are added up over all rounds. */
interface Round {
  readonly problems: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

interface Suite {
  readonly about: string;
  /** Rounds when none are asked for. */
  readonly rounds: number;
  /** `transactions`: how many the round should do, where it can choose. */
  readonly run: (seed: number, transactions: number) => Promise<Round>;
  /** Transactions of one round, when none are asked for. */
  readonly transactions: number;
}

const processes = 5;
/** The flush interval is 10 ms; a busy machine's disk and scheduler come on top of it. */
const lostAgeMsMax = 1_000;

const suites: Readonly<Record<string, Suite>> = {
  transfers: {
    about: "workers that are killed and stopped in the middle of transfers",
    rounds: 20,
    transactions: 0,
    run: async (seed) => {
      const report = await runTransfers({ seed, workers: 6, events: 100 });
      const { problems, acknowledged, kills, stops } = report;
      return { problems, counts: { acknowledged, kills, stops } };
    },
  },
  kills: {
    about: "writers killed, segments lost, synchronous_commit switched under way",
    rounds: 10,
    transactions: 0,
    run: async (seed) => {
      const rounds = 30;
      const [disk, kept, lost, switched] = [
        await runKills({ seed, rounds, mode: "sync", keepSegment: false }),
        await runKills({ seed, rounds, mode: "async", keepSegment: true }),
        await runKills({ seed, rounds, mode: "async", keepSegment: false }),
        await runKills({ seed, rounds, mode: "switch", keepSegment: false }),
      ];
      const all = [disk, kept, lost, switched];
      const old = `commits of ${lost.lostAgeMs.toFixed(0)} ms ago were lost`;
      const tooOld = lost.lostAgeMs > lostAgeMsMax ? [old] : [];
      return {
        problems: [...all.flatMap(({ problems }) => problems), ...tooOld],
        counts: {
          "kills of each kind": rounds,
          acknowledged: all.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
          "of them lost without sync and segment": lost.lost,
          "ms of the oldest of them": Math.round(lost.lostAgeMs),
        },
      };
    },
  },
  takeovers: {
    about: "the log writer killed at each of its steps while others commit",
    rounds: 25,
    transactions: 0,
    run: async (seed) => {
      const counts: Record<string, number> = {};
      const problems: string[] = [];
      let stallMs = 0;
      for (const point of takeoverPoints) {
        const report = await runTakeover(seed, point);
        problems.push(...report.problems);
        counts[report.isHit ? point : `${point} missed`] = 1;
        stallMs = Math.max(stallMs, report.stallMs);
      }
      return { problems, counts: { ...counts, "ms of the longest wait": Math.round(stallMs) } };
    },
  },
  damage: {
    about: "logs cut and bits flipped in the files of databases, which are then opened",
    rounds: 10,
    transactions: 0,
    run: async (seed) => {
      const cut = await runDamage({ seed, rounds: 500, kind: "cut" });
      const flipped = await runDamage({ seed, rounds: 2_000, kind: "flip" });
      return {
        problems: [...cut.problems, ...flipped.problems],
        counts: {
          cuts: 500,
          flips: 2_000,
          exact: cut.exact + flipped.exact,
          prefixes: cut.prefixes + flipped.prefixes,
          ...cut.refused,
          ...flipped.refused,
        },
      };
    },
  },
  boot: {
    about: "crowds of processes that open at once, some killed",
    rounds: 50,
    transactions: 0,
    run: async (seed) => ({
      problems: await runCrowd({ seed, count: 20 }),
      counts: { processes: 20 },
    }),
  },
  flips: {
    about: "single bits flipped in segments",
    rounds: 20,
    transactions: 0,
    run: async (seed) => {
      const { problems, outcomes } = await runFlips({ seed, rounds: 250, width: 2 });
      return { problems, counts: outcomes };
    },
  },
  histories: {
    about: "random transactions, recorded and checked for cycles",
    rounds: 0,
    transactions: 50_000,
    run: async (seed, transactions) => {
      const each = Math.ceil(transactions / processes);
      const report = await runHistory({ seed, processes, transactions: each });
      return {
        problems: report.problems,
        counts: { committed: report.committed, ...report.conflicts },
      };
    },
  },
  queries: {
    about: "random queries by every route, against what they mean",
    rounds: 20,
    transactions: 0,
    run: async (seed) => {
      const { problems, ...counts } = await runQueries({ seed, tables: 200, queries: 60 });
      return { problems, counts };
    },
  },
  parser: {
    about: "damaged queries, each a plan or an error",
    rounds: 10,
    transactions: 0,
    run: async (seed) => {
      const { problems, ...counts } = runFuzz({ seed, inputs: 1_000_000 });
      return { problems, counts };
    },
  },
  snapshots: {
    about: "readers that look for torn pairs",
    rounds: 1,
    transactions: 10_000_000,
    run: async (seed, transactions) => {
      const readers = 3;
      const each = Math.ceil(transactions / readers);
      const report = await runSnapshots({ seed: seed % 1_000_000, readers, transactions: each });
      return { problems: report.problems, counts: { transactions: report.transactions } };
    },
  },
  memory: {
    about: "memory under changes of the same rows",
    rounds: 1,
    transactions: 1_000_000,
    run: async (seed, transactions) => {
      const workers = 4;
      const each = Math.ceil(transactions / workers);
      const options = { seed: seed % 1_000_000, workers, warmUp: 2_000, transfers: each };
      const { problems, usedBytesBefore, usedBytesAfter, ...counts } = await runMemory(options);
      const grown = usedBytesAfter - usedBytesBefore;
      const found = grown > 8 << 20 ? [`memory grew by ${grown} bytes`] : [];
      return { problems: [...problems, ...found], counts: { ...counts, grownBytes: grown } };
    },
  },
};

/** A history is checked as a whole, so a long one is several. */
const historyMax = 50_000;

function usage(): never {
  const list = Object.entries(suites).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`);
  console.error(
    `bun run soak [suite…] [--seed S] [--rounds N] [--transactions N]\n${list.join("\n")}`,
  );
  process.exit(2);
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) usage();
  return value;
}

async function runSuite(
  name: string,
  suite: Suite,
  options: { seed: number; rounds: number | undefined; transactions: number | undefined },
): Promise<number> {
  let transactions = options.transactions ?? suite.transactions;
  let rounds = options.rounds ?? suite.rounds;
  if (name === "histories") {
    rounds = options.rounds ?? Math.ceil(transactions / historyMax);
    transactions = Math.ceil(transactions / rounds);
  }
  const totals: Record<string, number> = {};
  let failures = 0;
  const startedAt = performance.now();
  for (let round = 0; round < rounds; round++) {
    const seed = (options.seed + round) >>> 0;
    const { problems, counts } = await suite.run(seed, transactions);
    for (const [key, value] of Object.entries(counts)) {
      const before = totals[key] ?? 0;
      // Durations are of the worst round.
      totals[key] = key.startsWith("ms of") ? Math.max(before, value) : before + value;
    }
    if (problems.length > 0) {
      failures++;
      console.log(`FAIL ${name}, seed ${seed}:\n${problems.join("\n")}`);
    }
    console.error(`${name}: round ${round + 1} of ${rounds}, ${failures} failed`);
  }
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  const words = Object.entries(totals).map(([key, value]) => `${value} ${key}`);
  const result = failures === 0 ? "ok  " : "FAIL";
  console.log(`${result} ${name}: seed ${options.seed}, ${rounds} rounds in ${seconds} s`);
  console.log(`     ${words.join(", ")}`);
  return failures;
}

const { values, positionals } = parseArgs({
  options: {
    seed: { type: "string" },
    rounds: { type: "string" },
    transactions: { type: "string" },
  },
  allowPositionals: true,
});
const names = positionals.length > 0 ? positionals : Object.keys(suites);
const options = {
  seed: wholeNumber(values.seed) ?? chooseSeed(),
  rounds: wholeNumber(values.rounds),
  transactions: wholeNumber(values.transactions),
};
let failures = 0;
for (const name of names) {
  const suite = suites[name];
  if (suite === undefined) usage();
  failures += await runSuite(name, suite, options);
}
process.exit(failures === 0 ? 0 : 1);
