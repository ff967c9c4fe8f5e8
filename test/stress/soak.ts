/**
 * The multi-process suites for as long as one likes:
 *
 *   bun run soak [suite…] [--seed S] [--rounds N] [--transactions N] [--record]
 *
 * A round has a seed of its own, which is printed with what it found; `--seed` with `--rounds 1`
 * repeats it. The exit status is 1 when anything was not as it must be. `--record` writes
 * the row of the suite in `docs/evidence.md`.
 */
import { parseArgs } from "node:util";
import { runCrowd, runFlips } from "../crash/boot.ts";
import { endings, runRestarts, runSteps, stepsFrom } from "../crash/restart.ts";
import type { StepOptions } from "../crash/restart.ts";
import { runDamage, runKills } from "../crash/recovery.ts";
import type { DamageReport } from "../crash/recovery.ts";
import { runPowerLoss } from "../crash/powerloss.ts";
import { runTakeover, takeoverPoints } from "../crash/takeover.ts";
import { runQueries } from "../property/query-engine.ts";
import { runFuzz } from "../property/stapi-fuzz.ts";
import { fuzzFeeds } from "../feeds/fuzz.ts";
import { buildCrafted, runCrafted } from "../support/crafted.ts";
import { buildLosingDisk } from "../support/losing-disk.ts";
import { chooseSeed } from "../support/random.ts";
import { runPlatforms } from "./platforms.ts";
import { isolationSuites } from "./isolation-suites.ts";
import { writeEvidence } from "./evidence.ts";
import type { Round, Suite } from "./suite.ts";

/** The flush interval is 10 ms; a busy machine's disk and scheduler come on top of it. */
const lostAgeMsMax = 1_000;

const suites: Readonly<Record<string, Suite>> = {
  ...isolationSuites,
  platforms: {
    about: "the package on glibc, on musl, and on arm64 under emulation",
    rounds: 1,
    transactions: 0,
    run: runPlatforms,
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
  powerloss: {
    about: "fleets of processes whose disk loses power, 50 times a round",
    rounds: 40,
    transactions: 0,
    run: async (seed) => {
      await buildLosingDisk();
      const report = await runPowerLoss({ seed, rounds: 50 });
      return typeof report === "string" ? { problems: [report], counts: {} } : report;
    },
  },
  crafted: {
    about: "files and segments of an adversary, checksums right, 50,000 of them a round",
    rounds: 20,
    transactions: 0,
    run: async (seed) => {
      await buildCrafted();
      const first = (seed % 1_000_000) * 50_000 + 1;
      const [files, segments] = await Promise.all([
        runCrafted("files", first, 25_000),
        runCrafted("segments", first, 25_000),
      ]);
      return {
        problems: [...files.problems, ...segments.problems],
        counts: { ...files.counts, ...segments.counts },
      };
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
        counts: { ...damageCounts("cuts", 500, cut), ...damageCounts("flips", 2_000, flipped) },
      };
    },
  },
  crowds: {
    about: "crowds of processes that open at once, some killed",
    rounds: 50,
    transactions: 0,
    run: async (seed) => ({
      problems: await runCrowd({ seed, count: 20 }),
      counts: { processes: 20 },
    }),
  },
  restarts: {
    about: "writers that end, or are killed, in the middle of their work",
    rounds: 20,
    transactions: 0,
    run: async (seed) => {
      const clean = endings.filter((ending) => ending !== "SIGKILL");
      const options = { seed, rounds: 25, coldEvery: 5 };
      const problems = [
        ...(await runRestarts({ ...options, endings: clean })),
        ...(await runRestarts({ ...options, endings: ["SIGKILL"] })),
      ];
      return { problems, counts: { clean: 25, unclean: 25 } };
    },
  },
  steps: {
    about: "kills at every step of attaching, recovering and closing, and in every state of boot",
    rounds: 1,
    transactions: 0,
    run: async () => {
      const problems: string[] = [];
      const counts: Record<string, number> = {};
      const add = async (name: string, options: StepOptions): Promise<void> => {
        const report = await runSteps(options);
        problems.push(...report.problems);
        counts[name] = report.kills;
      };
      const all = (): Iterable<number> => stepsFrom(1, 1e7, 1.005);
      await add("attaching", { part: "open", isCold: false, steps: all() });
      await add("closing", { part: "close", isCold: false, steps: all() });
      await add("recovering", { part: "open", isCold: true, steps: all() });
      await add("states warm", { part: "states", isCold: false, steps: stepsFrom(1, 100, 1) });
      await add("states cold", { part: "states", isCold: true, steps: stepsFrom(1, 100, 1) });
      return { problems, counts };
    },
  },
  flips: {
    about: "single bits flipped in segments",
    rounds: 80,
    transactions: 0,
    run: async (seed) => {
      const { problems, outcomes } = await runFlips({ seed, rounds: 250, width: 2 });
      return { problems, counts: outcomes };
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
  feeds: {
    about: "feeds of every format with a damaged record among good ones",
    rounds: 20,
    transactions: 0,
    run: async (seed) => {
      const { problems, counts } = await fuzzFeeds({ seed, inputs: 50_000 });
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
};

function damageCounts(kind: string, count: number, report: DamageReport): Round["counts"] {
  const refused = Object.entries(report.refused).map(([code, times]) => [
    `${kind} refused as ${code}`,
    times,
  ]);
  return {
    [kind]: count,
    [`${kind} exact`]: report.exact,
    [`${kind} a reported prefix`]: report.prefixes,
    ...Object.fromEntries(refused),
  };
}

/** A history is checked as a whole, so a long one is several. */
const historyMax = 50_000;

/** Names for several suites. */
const groups: Readonly<Record<string, readonly string[]>> = {
  boot: ["restarts", "steps", "flips", "crowds"],
};

function usage(): never {
  const list = Object.entries(suites).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`);
  for (const [name, members] of Object.entries(groups)) {
    list.push(`  ${name.padEnd(10)} ${members.join(", ")}`);
  }
  console.error(
    "bun run soak [suite…] [--seed S] [--rounds N] [--transactions N] [--record]\n" +
      list.join("\n"),
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
  options: {
    seed: number;
    rounds: number | undefined;
    transactions: number | undefined;
    records: boolean;
  },
): Promise<number> {
  let transactions = options.transactions ?? suite.transactions;
  let rounds = options.rounds ?? suite.rounds;
  if (name === "histories") {
    rounds = options.rounds ?? Math.ceil(transactions / historyMax);
    transactions = Math.ceil(transactions / rounds);
  }
  const totals: Record<string, number> = {};
  const notes: string[] = [];
  let failures = 0;
  const startedAt = performance.now();
  for (let round = 0; round < rounds; round++) {
    const seed = (options.seed + round) >>> 0;
    const { problems, counts, note } = await suite.run(seed, transactions);
    if (note !== undefined) notes.push(note);
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
  const seconds = (performance.now() - startedAt) / 1_000;
  const words = Object.entries(totals).map(([key, value]) => `${value} ${key}`);
  const result = failures === 0 ? "ok  " : "FAIL";
  console.log(
    `${result} ${name}: seed ${options.seed}, ${rounds} rounds in ${seconds.toFixed(0)} s`,
  );
  console.log(`     ${words.join(", ")}`);
  if (options.records) {
    writeEvidence({ suite: name, seed: options.seed, rounds, failures, totals, notes });
  }
  return failures;
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        seed: { type: "string" },
        rounds: { type: "string" },
        transactions: { type: "string" },
        record: { type: "boolean" },
      },
      allowPositionals: true,
    });
  } catch {
    return usage();
  }
}

const { values, positionals } = readArguments();
const asked = positionals.length > 0 ? positionals : Object.keys(suites);
const names = asked.flatMap((name) => groups[name] ?? name);
const options = {
  seed: wholeNumber(values.seed) ?? chooseSeed(),
  rounds: wholeNumber(values.rounds),
  transactions: wholeNumber(values.transactions),
  records: values.record ?? false,
};
let failures = 0;
for (const name of names) {
  const suite = suites[name];
  if (suite === undefined) usage();
  failures += await runSuite(name, suite, options);
}
process.exit(failures === 0 ? 0 : 1);
