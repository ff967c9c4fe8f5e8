import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runStop, runTakeover, takeoverPoints } from "./takeover.ts";

for (const point of takeoverPoints) {
  test(`takeover: a process killed at ${point} is followed by another`, async () => {
    const seed = chooseSeed();
    const { problems } = await runTakeover(seed, point);
    expect({ seed, problems }).toEqual({ seed, problems: [] });
  });
}

test("takeover: a process stopped between writing and syncing is followed by another", async () => {
  expect(await runStop()).toEqual([]);
});
