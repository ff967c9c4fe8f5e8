import { expect, test } from "bun:test";
import { Crew } from "../support/crew.ts";

const program = "test/isolation/fairness-child.ts";

test("fairness: sixteen processes on one row all get on, while none of them stops", async () => {
  await using crew = new Crew();
  await crew.start(program, ["fill"]).ended;
  const children = Array.from({ length: 16 }, (_, index) => crew.start(program, [index]));
  // Everybody goes on until the last one has come so far.
  const lines = await Promise.all(children.map(async (child) => child.said("200")));
  crew.stop();
  const ends = await Promise.all(children.map(async ({ ended }) => ended));
  expect(lines.every((line) => line === "200")).toBe(true);
  expect(ends.map(({ status }) => status)).toEqual(children.map(() => 0));
  const done = children.reduce((sum, { lines: said }) => sum + Number(said.at(-1)), 0);
  expect(await crew.run(program, ["look"])).toBe(done);
});
