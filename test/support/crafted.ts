/** Mutants of an adversary (`zig/crafted.zig`), as many as one likes, some at a time. */
import { join } from "node:path";
import { zigPath } from "../../tools/setup.ts";
import { root } from "./source.ts";

const program = join(root, "zig-out", "bin", "crafted");

export type CraftedKind = "files" | "segments";

export interface CraftedReport {
  readonly problems: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

/** Builds the program. **Throws** what the compiler says. */
export async function buildCrafted(): Promise<void> {
  const child = Bun.spawn([zigPath(), "build", "crafted"], {
    cwd: root,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const errors = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(errors);
}

/** Mutants that one process makes. */
const chunk = 10_000;
/** Only ends what hangs: a chunk takes seconds. */
const limitMs = 10 * 60_000;

/** Runs mutants from `first` on; one that aborts, hangs or disagrees is a problem. */
export async function runCrafted(
  kind: CraftedKind,
  first: number,
  count: number,
): Promise<CraftedReport> {
  const problems: string[] = [];
  const counts: Record<string, number> = {};
  for (let start = first; start < first + count; start += chunk) {
    const size = Math.min(chunk, first + count - start);
    const child = Bun.spawn([program, kind, String(start), String(size)], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      timeout: limitMs,
      killSignal: "SIGKILL",
    });
    const said = await child.stderr.text();
    const status = await child.exited;
    if (status !== 0) {
      const end = child.signalCode ?? status;
      problems.push(`crafted ${kind} ${start} ${size} ended with ${end}: ${said.slice(0, 1_500)}`);
    }
    const totals = /(\d+) opened, (\d+) used up, (\d+) refused/.exec(said);
    for (const [index, name] of ["opened", "used up", "refused"].entries()) {
      const key = `${kind} ${name}`;
      counts[key] = (counts[key] ?? 0) + Number(totals?.[index + 1] ?? 0);
    }
  }
  return { problems, counts };
}
