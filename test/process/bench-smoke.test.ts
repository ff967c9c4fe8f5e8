/** Every benchmark runs, tiny, and what it compares it compares rightly. Nothing is timed. */
import { describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { readEnvironment } from "../../bench/harness/environment.ts";
import { Histogram } from "../../bench/harness/histogram.ts";
import { parseOptions, UsageError } from "../../bench/harness/options.ts";
import { Random } from "../../bench/harness/random.ts";
import { renderReport } from "../../bench/harness/report.ts";
import { median } from "../../bench/harness/results.ts";
import { findDisagreement, runWorkloads } from "../../bench/harness/runner.ts";
import { renderTables } from "../../bench/harness/text-table.ts";
import { loadPeer, peerNames } from "../../bench/peers/index.ts";
import type { Peer } from "../../bench/peers/peer.ts";
import { workloads } from "../../bench/workloads/index.ts";

const limitMs = 600_000;

async function smoke(suites: readonly string[], peers: readonly string[]) {
  const words = [...suites, "--smoke", "--peers", peers.join(",")];
  const options = parseOptions(words, tmpdir());
  return runWorkloads(options, await readEnvironment(tmpdir()), () => {});
}

/** Those that are missing are named, with how to get them. */
async function peersHere(): Promise<readonly Peer[]> {
  const here: Peer[] = [];
  for (const name of peerNames) {
    const peer = await loadPeer(name);
    if ((await peer.version()) !== undefined) here.push(peer);
    else console.warn(`SKIPPED: ${name} is not measured: ${peer.getIt}`);
  }
  return here;
}

describe("bench", () => {
  test(
    "every workload runs on every peer that needs no server, and they read the same",
    async () => {
      const here = await peersHere();
      const peers = here.filter(({ start }) => start === undefined).map(({ name }) => name);
      const { measurements, failures } = await smoke([], peers);
      expect(failures).toEqual([]);
      const names = new Set(measurements.map(({ workload }) => workload));
      expect([...names]).toEqual(workloads.map(({ name }) => name));
      const ours = measurements.filter(({ peer }) => peer === "aerostore");
      expect(new Set(ours.map(({ workload }) => workload))).toEqual(names);
      expect(renderTables(measurements)).toContain("bun:sqlite");
      const page = await renderReport(measurements);
      expect(page).toContain("<svg");
      expect(page).not.toMatch(/<(?:script|link|img)[^>]+(?:src|href)=/);
    },
    limitMs,
  );

  test(
    "every peer that is here runs",
    async () => {
      const here = (await peersHere()).map(({ name }) => name);
      const { measurements, failures } = await smoke(["upsert", "range", "crucible"], here);
      expect(failures).toEqual([]);
      expect(new Set(measurements.map(({ peer }) => peer))).toEqual(new Set(here));
    },
    limitMs,
  );

  test("peers that read different things are told apart", () => {
    const outcome = (checksum: number) => ({ metrics: {}, checksum });
    const same = new Map([
      ["a", [outcome(1), outcome(1)]],
      ["b", [outcome(1)]],
    ]);
    expect(findDisagreement(same)).toBeUndefined();
    const other = new Map([...same, ["c", [outcome(2)]]]);
    expect(findDisagreement(other)).toBe("peers did not read the same: a, b read 1; c read 2");
  });

  test("a percentile is never below the true one, and at most 3 % above", () => {
    const random = new Random(7);
    const values = Array.from({ length: 10_000 }, () => Math.floor(2 ** (random.unit() * 36)));
    const histogram = new Histogram();
    for (const value of values) histogram.record(value);
    const copy = new Histogram();
    copy.add(histogram.buckets());
    values.sort((a, b) => a - b);
    for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = values[Math.ceil(share * values.length) - 1] ?? 0;
      for (const found of [histogram.percentile(share), copy.percentile(share)]) {
        expect(found).toBeGreaterThanOrEqual(exact);
        expect(found).toBeLessThanOrEqual(exact * 1.032 + 1);
      }
    }
  });

  test("the median of an even number of rounds lies between the middle two", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  test("wrong words on the command line are refused by name", () => {
    expect(() => parseOptions(["gett"], "/")).toThrow(UsageError);
    expect(() => parseOptions(["--peers", "mysql"], "/")).toThrow('no peer "mysql"');
    expect(() => parseOptions(["--rounds", "0"], "/")).toThrow("--rounds takes whole numbers");
    expect(() => parseOptions(["--fast"], "/")).toThrow(UsageError);
  });
});
