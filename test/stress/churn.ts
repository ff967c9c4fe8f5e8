/** Several processes update the same 50,000 rows without end: memory stays as it is. */
import { Crew } from "../support/crew.ts";

export interface ChurnOptions {
  readonly seed: number;
  /** Of all workers together. */
  readonly updates: number;
  readonly workers: number;
  /** A log this large asks for a checkpoint; default: the database's own. */
  readonly logSizeLimitMb?: number;
}

export interface ChurnReport {
  readonly problems: readonly string[];
  readonly updates: number;
  /** After each tenth of the updates. */
  readonly usedBytes: readonly number[];
  readonly checkpoints: number;
}

interface Looked {
  readonly problems: readonly string[];
  readonly usedBytes: number;
  readonly checkpoints: number;
}

const program = "test/stress/churn-child.ts";
/** What preempted processes pin for a moment stays with its kind of record. */
const grownBytesMax = 4 << 20;

export async function runChurn(options: ChurnOptions): Promise<ChurnReport> {
  await using crew = new Crew();
  await crew.run(program, ["fill", options.seed, options.logSizeLimitMb ?? 0]);
  const each = Math.ceil(options.updates / options.workers);
  const children = Array.from({ length: options.workers }, (_, index) =>
    crew.start(program, ["work", (options.seed + index) % 2 ** 31, each]),
  );
  const usedBytes: number[] = [];
  const problems: string[] = [];
  let checkpoints = 0;
  for (let tenth = 1; tenth <= 10; tenth++) {
    await Promise.all(children.map(async (child) => child.said(String(tenth * 10))));
    const check = tenth === 10 ? "check" : "count";
    if (tenth === 10) await Promise.all(children.map(async ({ ended }) => ended));
    const looked = (await crew.run(program, ["look", 0, check])) as Looked;
    usedBytes.push(looked.usedBytes);
    checkpoints = looked.checkpoints;
    problems.push(...looked.problems);
  }
  for (const child of children) {
    const { status, stderr } = await child.ended;
    if (status !== 0) problems.push(`${child.name} ended with ${status}: ${stderr}`);
  }
  const grown = Math.max(...usedBytes) - (usedBytes[0] ?? 0);
  if (grown > grownBytesMax) problems.push(`memory grew by ${grown} bytes: ${usedBytes.join(" ")}`);
  return { problems, updates: each * options.workers, usedBytes, checkpoints };
}
