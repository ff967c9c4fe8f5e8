import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runOutcomes, runWrap } from "./outcome.ts";

test("outcome: of killed workers, what has its row is committed, the rest aborted", async () => {
  const seed = chooseSeed();
  const { problems, counts } = await runOutcomes({ seed, kills: 12 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
  expect(counts["committed"]).toBeGreaterThan(0);
  expect(counts["aborted"]).toBeGreaterThan(0);
});

test("outcome: the newest are known when older ones are forgotten", async () => {
  // A segment of 16 MiB keeps one for 256 bytes; 256 MiB and more keep a million.
  const { problems, known } = await runWrap(80_000);
  expect(problems).toEqual([]);
  expect(known).toBe(65_536);
});
