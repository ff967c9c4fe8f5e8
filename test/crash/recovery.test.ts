import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runDamage, runKills } from "./recovery.ts";

const modes = [
  ["sync commits survive the loss of the segment", "sync", false],
  ["async commits survive in the segment", "async", true],
  ["without the segment async commits are a prefix in commit order", "async", false],
  ["commits behind a switch to sync survive the loss of the segment", "switch", false],
] as const;

for (const [name, mode, keepSegment] of modes) {
  test(`recovery: ${name}`, async () => {
    const seed = chooseSeed();
    const { problems } = await runKills({ seed, rounds: 6, mode, keepSegment });
    expect({ seed, problems }).toEqual({ seed, problems: [] });
  });
}

test("recovery: a log cut anywhere gives a prefix, or is refused by name", async () => {
  const seed = chooseSeed();
  const { problems } = await runDamage({ seed, rounds: 200, kind: "cut" });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
});

test("recovery: a flipped bit gives an exact state, a reported prefix, or a refusal", async () => {
  const seed = chooseSeed();
  const { problems } = await runDamage({ seed, rounds: 400, kind: "flip" });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
});
