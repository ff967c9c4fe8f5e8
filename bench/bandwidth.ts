/**
 * A scan in one thread beside a plain sum over the same row versions, by a native program
 * (`zig/scan_bench.zig`): the share of the memory's bandwidth that a scan reaches.
 *
 * `bun run bench bandwidth` shows it.
 */
import { join } from "node:path";
import { zigPath } from "../tools/setup.ts";

const root = join(import.meta.dir, "..");
const sizes = [100_000, 1_000_000];

/** The command. **Throws** when the program cannot be built or run. */
export async function showBandwidth(): Promise<void> {
  await run([zigPath(), "build", "scan-bench"]);
  for (const rows of sizes) await run([join(root, "zig-out", "bin", "scan-bench"), String(rows)]);
}

async function run(command: readonly string[]): Promise<void> {
  const child = Bun.spawn([...command], { cwd: root, stdout: "inherit", stderr: "inherit" });
  if ((await child.exited) !== 0) throw new Error(`failed: ${command.join(" ")}`);
}
