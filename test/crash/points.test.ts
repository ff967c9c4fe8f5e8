import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { commitPoints, runPoint, runSteps } from "./points.ts";

test("points: a worker that dies at any named point of a commit harms nobody", async () => {
  const seed = chooseSeed();
  const reports = await runPoint(seed, commitPoints);
  const problems = reports.flatMap((report) => report.problems);
  expect({ seed, problems }).toEqual({ seed, problems: [] });
  const missed = reports.filter(({ isHit }) => !isHit).map(({ point }) => point);
  expect({ seed, missed }).toEqual({ seed, missed: [] });
});

test("points: nor does one that dies at any shared step", async () => {
  const seed = chooseSeed();
  const { problems } = await runSteps(seed, 12);
  expect({ seed, problems }).toEqual({ seed, problems: [] });
});
