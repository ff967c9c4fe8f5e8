import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runTransfers } from "./transfer.ts";

test("transfers: killed and stopped workers lose nothing and hold nobody up", async () => {
  const seed = chooseSeed();
  const { problems, kills } = await runTransfers({ seed, workers: 4, events: 24 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
  expect(kills).toBeGreaterThan(0);
});
