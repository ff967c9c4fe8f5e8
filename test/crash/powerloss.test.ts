import { beforeAll, expect, test } from "bun:test";
import { buildLosingDisk } from "../support/losing-disk.ts";
import { chooseSeed } from "../support/random.ts";
import { runPowerLoss } from "./powerloss.ts";
import type { PowerLossOptions } from "./powerloss.ts";

beforeAll(buildLosingDisk);

async function expectNoLoss(options: PowerLossOptions): Promise<void> {
  const report = await runPowerLoss(options);
  if (typeof report === "string") {
    console.warn(`SKIPPED: no power is lost under whole processes: ${report}; FUSE needs root`);
    return;
  }
  const { seed } = options;
  expect({ seed, problems: report.problems }).toEqual({ seed, problems: [] });
}

test("powerloss: fleets that lose their power keep what was acknowledged as durable", async () => {
  await expectNoLoss({ seed: chooseSeed(), rounds: 50 });
});

test("powerloss: a new database is on the disk as soon as a commit in it is durable", async () => {
  await expectNoLoss({ seed: chooseSeed(), rounds: 8, isYoung: true });
});
