/** The suites of transactions: what several processes do to each other, dying or not. */
import { runOutcomes } from "../crash/outcome.ts";
import { commitPoints, runPoint, runSteps } from "../crash/points.ts";
import { runTransfers } from "../crash/transfer.ts";
import { historyMutants, runHistory, runHistoryMutant } from "../isolation/history.ts";
import { buildSchedules, listCampaigns, runCampaign, runMutant } from "../support/schedules.ts";
import { runChurn } from "./churn.ts";
import { runMemory } from "./memory.ts";
import { runSessions } from "./sessions.ts";
import { runSnapshots } from "./snapshot.ts";
import type { Round, Suite } from "./suite.ts";

const processes = 5;
const stallMsMax = 1_000;

async function exploreDeeper(): Promise<Round> {
  await buildSchedules();
  const { explore, random } = await listCampaigns();
  const counts: Record<string, number> = {};
  const problems: string[] = [];
  for (const [names, words] of [
    [explore, []],
    [random, ["--seeds", 200_000]],
  ] as const) {
    for (const name of names) {
      const { ok, output, schedules } = await runCampaign(name, words);
      if (!ok) problems.push(output);
      counts[`schedules of: ${name}`] = schedules;
    }
  }
  return { problems, counts };
}

/** Every mutant by the scheduler's campaigns and by the histories; each must be found by one. */
async function findMutants(seed: number): Promise<Round> {
  await buildSchedules();
  const { explore, random, mutants } = await listCampaigns();
  const problems: string[] = [];
  const lines: string[] = [];
  const counts: Record<string, number> = { mutants: mutants.length };
  for (const mutant of mutants) {
    const campaign = await runMutant(mutant, [...random, ...explore.toReversed()], 20_000);
    const history = historyMutants.includes(mutant)
      ? await runHistoryMutant(mutant, seed)
      : undefined;
    if (campaign.caughtBy !== undefined) add(counts, "found by the scheduler");
    if (history !== undefined) add(counts, "found by the histories");
    if (campaign.caughtBy === undefined && history === undefined) problems.push(`${mutant} lives`);
    lines.push(`| ${mutant} | ${campaign.said || "—"} | ${history ?? "—"} |`);
  }
  const table = ["| mutant | scheduler | histories |", "|---|---|---|", ...lines];
  return { problems, counts, note: table.join("\n") };
}

function add(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

export const isolationSuites: Readonly<Record<string, Suite>> = {
  transfers: {
    about: "six workers with transfers, one killed after the other, some stopped for up to 5 s",
    rounds: 10,
    transactions: 0,
    run: async (seed) => {
      const report = await runTransfers({
        seed,
        workers: 6,
        events: 120,
        pauseMs: 200,
        stopMs: 5_000,
        segmentBytes: 2 ** 30, // the default of a database
      });
      const { acknowledged, kills, stops, longestStallMs } = report;
      const stall = Math.round(longestStallMs);
      const stalled = stall > stallMsMax ? [`a survivor waited ${stall} ms`] : [];
      return {
        problems: [...report.problems, ...stalled],
        counts: { acknowledged, kills, stops, "ms of the longest wait of a survivor": stall },
      };
    },
  },
  points: {
    about: "workers killed at every named point of the commit path, and at any shared step",
    rounds: 25,
    transactions: 0,
    run: async (seed) => {
      const counts: Record<string, number> = {};
      const problems: string[] = [];
      for (const { problems: found, isHit, point } of await runPoint(seed, commitPoints)) {
        problems.push(...found);
        if (isHit) add(counts, point);
        else problems.push(`${point} was not passed`);
      }
      const steps = await runSteps(seed, 10);
      problems.push(...steps.problems);
      counts["any step"] = steps.kills;
      return { problems, counts };
    },
  },
  outcomes: {
    about: "named transactions of workers that are killed",
    rounds: 10,
    transactions: 0,
    run: async (seed) => runOutcomes({ seed, kills: 30 }),
  },
  histories: {
    about: "random transactions, recorded and checked for cycles",
    rounds: 0,
    transactions: 1_000_000,
    run: async (seed, transactions) => {
      const each = Math.ceil(transactions / processes);
      const report = await runHistory({ seed, processes, transactions: each });
      return {
        problems: report.problems,
        counts: { committed: report.committed, ...report.conflicts },
      };
    },
  },
  mutants: {
    about: "deliberate breakages of the engine, which scheduler and histories must find",
    rounds: 1,
    transactions: 0,
    run: findMutants,
  },
  schedules: {
    about: "the deterministic scheduler, ten times as many seeds as in the tests",
    rounds: 1,
    transactions: 0,
    run: exploreDeeper,
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
    about: "memory under transfers, which also insert and delete",
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
  churn: {
    about: "updates of 50,000 rows with two indexes in a segment of 64 MiB",
    rounds: 1,
    transactions: 100_000_000,
    run: async (seed, updates) => {
      const report = await runChurn({ seed, updates, workers: 2 });
      const { problems, usedBytes } = report;
      return {
        problems,
        note: `Bytes in use after each tenth: ${usedBytes.join(" ")}.`,
        counts: {
          updates: report.updates,
          checkpoints: report.checkpoints,
          "bytes after a tenth": usedBytes[0] ?? 0,
          "bytes at the end": usedBytes.at(-1) ?? 0,
          "bytes at most": Math.max(...usedBytes),
        },
      };
    },
  },
  sessions: {
    about: "4,096 sessions at once",
    rounds: 1,
    transactions: 0,
    run: async () => {
      const { problems, sessions } = await runSessions(4_096);
      return { problems, counts: { sessions } };
    },
  },
};
