import { describe, expect, test } from "bun:test";
import { findAnomaly } from "../support/history-checker.ts";
import type { Access, HistoryTransaction } from "../support/history-checker.ts";
import { Random } from "../support/random.ts";

/** `"r1.0 w1.1"`: reads version 0 of key 1, writes version 1 of it. */
function transaction(id: number, text: string, beganAt = 0, endedAt = 1_000): HistoryTransaction {
  const reads: Access[] = [];
  const writes: Access[] = [];
  for (const [, kind, key, version] of text.matchAll(/([rw])(\d+)\.(\d+)/g)) {
    const access = { key: Number(key), version: Number(version) };
    (kind === "r" ? reads : writes).push(access);
  }
  return { id, reads, writes, beganAt, endedAt };
}

/** All at the same time, so that only versions order them. */
function concurrent(...texts: readonly string[]): HistoryTransaction[] {
  return texts.map((text, index) => transaction(index + 1, text));
}

describe("history checker: finds what is planted", () => {
  const planted: readonly (readonly [string, HistoryTransaction[], RegExp])[] = [
    ["a lost update", concurrent("r1.0 w1.1", "r1.0 w1.1"), /written twice/],
    ["a lost update beside a blind write", concurrent("r1.0 w1.1", "r1.0 w1.2"), /cycle/],
    ["write skew", concurrent("r1.0 r2.0 w1.1", "r1.0 r2.0 w2.1"), /rw.*rw/],
    ["a dirty write", concurrent("w1.1 w2.2", "w1.2 w2.1"), /ww.*ww/],
    ["circular information flow", concurrent("w1.1 r2.1", "w2.1 r1.1"), /wr.*wr/],
    ["a torn read", concurrent("w1.1 w2.1", "r1.1 r2.0"), /cycle/],
    ["a read of what was aborted", concurrent("r1.1"), /nobody committed/],
    ["an intermediate read", concurrent("w1.2"), /nobody the one before/],
    ["a phantom", concurrent("r1.0 w2.1", "w1.1 r2.0"), /rw.*rw/],
    [
      "a search that missed a row which had moved into its range",
      [transaction(1, "w1.1 w2.1"), { ...transaction(2, "r2.1"), bounds: [{ key: 1, atMost: 0 }] }],
      /cycle/,
    ],
    [
      "the anomaly of a read-only transaction",
      concurrent("r1.0 r2.0 w1.1", "r2.0 w2.1", "r1.0 r2.1"),
      /cycle/,
    ],
    [
      "three transactions in a circle",
      concurrent("r1.0 w2.1", "r2.0 w3.1", "r3.0 w1.1"),
      /rw.*rw.*rw/,
    ],
    [
      "a stale read: it began after the write had ended",
      [transaction(1, "w1.1", 0, 10), transaction(2, "r1.0", 20, 30)],
      /rw.*rt|rt.*rw/,
    ],
    [
      "a stale read with much in between",
      [
        transaction(1, "w1.1", 0, 10),
        transaction(2, "w2.1", 11, 12),
        transaction(3, "w3.1", 13, 14),
        transaction(4, "r1.0 r2.1", 20, 30),
      ],
      /cycle/,
    ],
    [
      "a write that is undone by an earlier one",
      [transaction(1, "w1.2", 0, 10), transaction(2, "w1.1", 20, 30)],
      /cycle/,
    ],
  ];
  for (const [name, history, expected] of planted) {
    test(name, () => {
      expect(findAnomaly(history)?.what).toMatch(expected);
      expect(findAnomaly(history.toReversed())?.what).toMatch(expected);
    });
  }
});

describe("history checker: serial histories have none", () => {
  /** A serial execution over a few keys, whose transactions overlap in time a little. */
  function serial(seed: number, length: number): HistoryTransaction[] {
    const random = new Random(seed);
    const versions = new Map<number, number>();
    return Array.from({ length }, (_, index) => {
      const reads: Access[] = [];
      const writes: Access[] = [];
      for (let key = 0; key < 6; key++) {
        const version = versions.get(key) ?? 0;
        if (random.oneIn(2)) reads.push({ key, version });
        if (!random.oneIn(3)) continue;
        writes.push({ key, version: version + 1 });
        versions.set(key, version + 1);
      }
      const at = index * 10;
      return { id: index, reads, writes, beganAt: at - random.below(40), endedAt: at + 5 };
    });
  }

  test("of any length and in any order of recording", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const history = serial(seed, 200);
      expect(findAnomaly(history)).toBeUndefined();
      expect(findAnomaly(history.toReversed())).toBeUndefined();
    }
  });

  test("and one old read in it is found", () => {
    let found = 0;
    for (let seed = 1; seed <= 50; seed++) {
      const history = serial(seed, 200);
      const last = history.at(-1);
      const key = last?.writes[0]?.key ?? last?.reads[0]?.key;
      if (key === undefined) continue;
      const stale = {
        id: 999,
        reads: [{ key, version: 0 }],
        writes: [],
        beganAt: 3e3,
        endedAt: 4e3,
      };
      expect(findAnomaly([...history, stale])?.what).toMatch(/cycle/);
      found++;
    }
    expect(found).toBeGreaterThan(30);
  });
});
