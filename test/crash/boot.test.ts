import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runCrowd, runFlips, segmentCases, tryForeignSegment, trySegment } from "./boot.ts";

test("boot: 20 processes open at once, half of them are killed, the rest work", async () => {
  const seed = chooseSeed();
  const problems = await runCrowd({ seed, count: 20 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
});

for (const each of segmentCases) {
  test(`boot: a segment that is ${each.name} gives ${each.expected}`, async () => {
    const { opened, mode, message, ...results } = await trySegment(each);
    expect(opened === "ok" ? mode : `${opened}`, message).toBe(each.expected);
    if (opened !== "ok") return;
    expect(results).toMatchObject({ read: "ok", check: "ok", write: "ok" });
  });
}

test("boot: the segment of another database is not taken for one's own", async () => {
  const tried = await tryForeignSegment();
  const { opened, mode } = tried;
  expect(opened === "ok" ? mode : opened, JSON.stringify(tried)).toBe("ColdReplay");
  expect(tried.read).toBe("ok");
});

test("boot: a flipped bit in the segment never ends or hangs a process", async () => {
  const seed = chooseSeed();
  const { problems } = await runFlips({ seed, rounds: 24, width: 2 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
});
