/** Several processes change the same rows, and insert and delete others: how memory grows. */
import type { Audit } from "../crash/transfer-tables.ts";
import { Crew } from "../support/crew.ts";
import type { Child } from "../support/crew.ts";

export interface MemoryOptions {
  readonly seed: number;
  readonly workers: number;
  /** Transfers of each worker before the first and before the second measurement. */
  readonly warmUp: number;
  readonly transfers: number;
}

export interface MemoryReport {
  readonly problems: readonly string[];
  readonly transfers: number;
  readonly usedBytesBefore: number;
  readonly usedBytesAfter: number;
}

const program = "test/crash/transfer-worker.ts";
const audit = "test/crash/transfer-audit.ts";

export async function runMemory(options: MemoryOptions): Promise<MemoryReport> {
  await using crew = new Crew();
  await crew.run(audit, ["open"]);
  const children: Child[] = [];
  const reach = async (count: number): Promise<void> => {
    await Promise.all(children.map(async (child) => child.said(String(count))));
  };
  for (let index = 0; index < options.workers; index++) {
    children.push(crew.start(program, [index, options.seed + index]));
  }
  await reach(options.warmUp);
  const before = (await crew.run(audit, ["audit"])) as Audit;
  await reach(options.transfers);
  crew.stop();
  await Promise.all(children.map(async ({ ended }) => ended));
  const after = (await crew.run(audit, ["audit"])) as Audit;
  return {
    problems: [...before.problems, ...after.problems],
    transfers: after.done.reduce((sum, count) => sum + count, 0),
    usedBytesBefore: before.memory["usedBytes"] ?? 0,
    usedBytesAfter: after.memory["usedBytes"] ?? 0,
  };
}
