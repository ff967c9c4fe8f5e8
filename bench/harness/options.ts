/** The command line of `bun run bench`. */
import { parseArgs } from "node:util";
import { peerNames } from "../peers/index.ts";
import { workloads } from "../workloads/index.ts";
import type { Settings } from "./workload.ts";

export const usage = `bun run bench [suite…] [--peers a,b] [--rounds N] [--seconds S]
              [--processes 1,2,4] [--seed N] [--feed FILE] [--dir FOLDER]
              [--smoke] [--full] [--json]
bun run bench report [FILE]      writes an HTML report of a run (default: the latest)
bun run bench report --markdown  prints its tables as Markdown
bun run bench list               suites and peers
bun run bench micro [suite…]     single calls, with mitata
bun run bench bandwidth          a scan beside a plain sum over the same rows
bun run bench instructions [--record]   instructions per operation, with callgrind

  --peers      which to compare (default: all that are here)
  --rounds     fresh processes for each peer, of which the median counts (default 3)
  --seconds    how long each timed part runs (default 2)
  --processes  numbers of processes, for suites with several (default 1,2,4,16,64)
  --feed       a recorded feed (TSV, may be .gz) instead of a generated one
  --dir        where peers keep files (default: the system's temporary folder)
  --smoke      everything tiny: shows that it runs, measures nothing
  --full       also sizes that take minutes
  --json       one line of JSON for each measurement, instead of tables

suites: ${workloads.map(({ name }) => name).join(" ")}
peers:  ${peerNames.join(" ")}`;

/** What was typed is wrong; the message says how. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface Options {
  readonly suites: readonly string[];
  readonly peers: readonly string[];
  /** Peers were named, so that a missing one is a failure. */
  readonly named: boolean;
  readonly rounds: number;
  readonly directory: string;
  readonly json: boolean;
  readonly settings: Settings;
}

/** **Throws** `UsageError`. */
export function parseOptions(words: readonly string[], directory: string): Options {
  const { values, positionals } = parse(words);
  const suites = positionals.length > 0 ? positionals : workloads.map(({ name }) => name);
  checkNames(
    "suite",
    suites,
    workloads.map(({ name }) => name),
  );
  const peers = values.peers === undefined ? peerNames : values.peers.split(",");
  checkNames("peer", peers, peerNames);
  const smoke = values.smoke === true;
  const processes = values.processes ?? (smoke ? "1,2" : "1,2,4,16,64");
  return {
    suites,
    peers,
    named: values.peers !== undefined,
    rounds: count("--rounds", values.rounds ?? (smoke ? "1" : "3")),
    directory: values.dir ?? directory,
    json: values.json === true,
    settings: {
      seed: count("--seed", values.seed ?? "1"),
      seconds: seconds(values.seconds ?? (smoke ? "0.02" : "2")),
      smoke,
      full: values.full === true,
      feed: values.feed,
      processes: processes.split(",").map((word) => count("--processes", word)),
    },
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        peers: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        processes: { type: "string" },
        seed: { type: "string" },
        feed: { type: "string" },
        dir: { type: "string" },
        smoke: { type: "boolean" },
        full: { type: "boolean" },
        json: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function checkNames(kind: string, given: readonly string[], known: readonly string[]): void {
  for (const name of given) {
    if (!known.includes(name)) {
      throw new UsageError(`no ${kind} "${name}"; there are ${known.join(", ")}`);
    }
  }
}

function count(option: string, word: string): number {
  const value = Number(word);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new UsageError(`${option} takes whole numbers from 1, not "${word}"`);
}

function seconds(word: string): number {
  const value = Number(word);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`--seconds takes a number above 0, not "${word}"`);
}
