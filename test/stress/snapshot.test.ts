import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runSnapshots } from "./snapshot.ts";

test("snapshots: no reader ever sees half of a pair", async () => {
  const seed = chooseSeed() % 1_000_000;
  const { problems, transactions } = await runSnapshots({
    seed,
    readers: 3,
    transactions: 200_000,
  });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
  expect(transactions).toBe(600_000);
});
