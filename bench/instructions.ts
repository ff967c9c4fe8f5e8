/**
 * Instructions per operation of the engine, counted by callgrind over a native driver program
 * (`zig/driver.zig`): the same on every machine, so that a test can compare them.
 *
 * `bun run bench instructions` shows them, `--record` keeps them in `instructions.json`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zigPath } from "../tools/setup.ts";

export const operations = ["upsert", "get", "search", "commit"] as const;
export type Operation = (typeof operations)[number];
export type Instructions = Readonly<Record<Operation, number>>;

/** Growth beyond this fails the test. */
export const growthMax = 0.05;

const count = 2_000;
const root = join(import.meta.dir, "..");
const recordPath = join(import.meta.dir, "instructions.json");

/** Whether instructions can be counted here. */
export function hasCallgrind(): boolean {
  return Bun.which("valgrind") !== null;
}

/** Builds the driver and counts. **Throws** what a tool that failed said. */
export async function countInstructions(): Promise<Instructions> {
  await run([zigPath(), "build", "driver"], "building the driver");
  const folder = mkdtempSync(join(tmpdir(), "aerostore-callgrind-"));
  try {
    const counted: [Operation, number][] = [];
    for (const operation of operations) counted.push([operation, await countOf(operation, folder)]);
    return Object.fromEntries(counted) as Record<Operation, number>; // one for each
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function countOf(operation: Operation, folder: string): Promise<number> {
  const output = await run(
    [
      "valgrind",
      "--tool=callgrind",
      "--toggle-collect=*measured*",
      `--callgrind-out-file=${join(folder, operation)}`,
      join(root, "zig-out", "bin", "driver"),
      operation,
      String(count),
    ],
    `counting the instructions of ${operation}`,
  );
  const collected = Number(/Collected : (\d+)/.exec(output)?.[1]);
  if (!(collected > 0)) throw new Error(`callgrind counted nothing for ${operation}: ${output}`);
  return Math.round(collected / count);
}

async function run(command: readonly string[], what: string): Promise<string> {
  const child = Bun.spawn([...command], { cwd: root, stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${what} failed: ${output}${errors}`);
  return output + errors;
}

/** What was recorded last. */
export async function loadInstructions(): Promise<Instructions> {
  return (await Bun.file(recordPath).json()) as Instructions; // as `recordInstructions` wrote it
}

export async function recordInstructions(instructions: Instructions): Promise<void> {
  await Bun.write(recordPath, `${JSON.stringify(instructions, undefined, 2)}\n`);
}

/** Operations that take more than was recorded, in words; both figures. */
export function findGrowth(recorded: Instructions, now: Instructions): string[] {
  return operations.flatMap((operation) => {
    const before = recorded[operation];
    const after = now[operation];
    if (after <= before * (1 + growthMax)) return [];
    const growth = (100 * (after / before - 1)).toFixed(1);
    return [`${operation}: ${after} instructions, ${before} recorded (${growth} % more)`];
  });
}

/** The command. */
export async function showInstructions(isRecording: boolean): Promise<void> {
  const now = await countInstructions();
  const known = await Bun.file(recordPath).exists();
  const recorded = known ? await loadInstructions() : now;
  for (const operation of operations) {
    const share = (100 * (now[operation] / recorded[operation] - 1)).toFixed(1);
    console.log(`${operation.padEnd(8)}${String(now[operation]).padStart(10)}  ${share} %`);
  }
  if (isRecording) await recordInstructions(now);
}
