import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runChurn } from "./churn.ts";

test("churn: a million updates of 50,000 rows with two indexes leave memory as it is", async () => {
  const seed = chooseSeed() % 1_000_000;
  const { problems, updates } = await runChurn({ seed, updates: 1_000_000, workers: 2 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
  expect(updates).toBe(1_000_000);
});
