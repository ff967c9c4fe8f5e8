import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runMemory } from "./memory.ts";

test("memory: does not grow with the number of changes that several processes make", async () => {
  const seed = chooseSeed() % 1_000_000;
  const report = await runMemory({ seed, workers: 3, warmUp: 2_000, transfers: 16_000 });
  expect({ seed, problems: report.problems }).toEqual({ seed, problems: [] });
  // What a preempted process pins for a moment is kept; a leak would be three times this.
  const growth = report.usedBytesAfter - report.usedBytesBefore;
  expect(growth).toBeLessThan(4 << 20);
});
