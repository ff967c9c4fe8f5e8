import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runHistory } from "./history.ts";

for (const processes of [2, 4, 6]) {
  test(`histories: random transactions of ${processes} processes have a serial order`, async () => {
    const seed = chooseSeed();
    const report = await runHistory({ seed, processes, transactions: 12_000 / processes });
    expect({ seed, problems: report.problems }).toEqual({ seed, problems: [] });
    expect(report.committed).toBe(12_000);
    const { conflictsRow = 0, conflictsSearch = 0 } = report.conflicts;
    expect(conflictsRow + conflictsSearch).toBeGreaterThan(0);
  });
}
