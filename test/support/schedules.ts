/**
 * The campaigns of the deterministic scheduler (`zig/schedules.zig`), each case a process of its
 * own: what they run, and what became of them. With a mutant of the engine a campaign must fail.
 */
import { join } from "node:path";
import { zigPath } from "../../tools/setup.ts";
import { root } from "./source.ts";

export interface CampaignNames {
  /** All interleavings of a small case. */
  readonly explore: readonly string[];
  /** Seeds of larger cases. */
  readonly random: readonly string[];
  readonly mutants: readonly string[];
}

export interface CampaignEnd {
  readonly ok: boolean;
  /** What it printed, with the command that runs a failed schedule again. */
  readonly output: string;
  readonly schedules: number;
}

export const program: string = join(root, "zig-out", "bin", "schedules");

/** Builds the program. **Throws** what the compiler says. */
export async function buildSchedules(): Promise<void> {
  const { ok, output } = await run([zigPath(), "build", "schedules"]);
  if (!ok) throw new Error(output);
}

export async function listCampaigns(): Promise<CampaignNames> {
  const { output } = await run([program, "--list"]);
  const words = output.split("\n").map((line) => line.split("\t"));
  const named = (kind: string): string[] =>
    words.flatMap(([first, name]) => (first === kind && name !== undefined ? [name] : []));
  return { explore: named("explore"), random: named("random"), mutants: named("mutant") };
}

/** Runs one case; `words` are further options of the program. */
export async function runCampaign(
  name: string,
  words: readonly (string | number)[] = [],
): Promise<CampaignEnd> {
  const { ok, output } = await run([program, "--only", name, ...words.map(String)]);
  return { ok, output, schedules: Number(/: (\d+) schedules/.exec(output)?.[1] ?? 0) };
}

export interface MutantEnd {
  readonly mutant: string;
  /** The case that found it, and the first line of what it said; undefined when none did. */
  readonly caughtBy: string | undefined;
  readonly said: string;
}

/** Runs cases with a mutant until one fails. */
export async function runMutant(
  mutant: string,
  cases: readonly string[],
  seeds: number,
): Promise<MutantEnd> {
  for (const name of cases) {
    const end = await runCampaign(name, ["--mutant", mutant, "--seeds", seeds]);
    if (end.ok) continue;
    const lines = end.output.trimEnd().split("\n");
    const said = lines.find((line) => line.startsWith("FAIL")) ?? lines.at(-1) ?? "";
    return { mutant, caughtBy: name, said };
  }
  return { mutant, caughtBy: undefined, said: "" };
}

async function run(command: readonly string[]): Promise<{ ok: boolean; output: string }> {
  const child = Bun.spawn([...command], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { ok: (await child.exited) === 0, output: output + errors };
}
