/** One writer keeps pairs equal and opposite; readers must never see a torn one. */
import { Crew } from "../support/crew.ts";

export interface SnapshotOptions {
  readonly seed: number;
  readonly readers: number;
  /** Read-only transactions of each reader. */
  readonly transactions: number;
}

export interface SnapshotReport {
  readonly problems: readonly string[];
  readonly transactions: number;
}

const program = "test/stress/snapshot-child.ts";

export async function runSnapshots(options: SnapshotOptions): Promise<SnapshotReport> {
  await using crew = new Crew();
  const writer = crew.start(program, ["write", options.seed]);
  await writer.said("ready");
  const readers = Array.from({ length: options.readers }, (_, index) =>
    crew.start(program, ["read", options.seed + index + 1, options.transactions]),
  );
  const problems: string[] = [];
  let transactions = 0;
  for (const reader of readers) {
    transactions += Number(await reader.result());
    problems.push(...reader.lines.slice(0, -1));
  }
  crew.stop();
  const { status, signal, stderr } = await writer.ended;
  if (status !== 0) problems.push(`the writer ended with ${signal ?? status}: ${stderr}`);
  return { problems, transactions };
}
