/** What a long run came to, as a page of `docs/evidence`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { root } from "../support/source.ts";

export interface Evidence {
  readonly suite: string;
  readonly about: string;
  readonly seed: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly failures: number;
  readonly totals: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

/** Writes `docs/evidence/<suite>.md`, in place of that of an earlier run. */
export function writeEvidence(evidence: Evidence): void {
  const { suite, about, seed, rounds, seconds, failures, totals, notes } = evidence;
  const head = Bun.spawnSync(["git", "rev-parse", "--short", "HEAD"], { cwd: root });
  const load = loadavg()[1]?.toFixed(1) ?? "?";
  const rows = [
    ["failed rounds", `${failures} of ${rounds}`],
    ...Object.entries(totals).map(([name, value]) => [name, value.toLocaleString("en")]),
    ["seed of the first round", String(seed)],
    ["seconds", seconds.toFixed(0)],
    ["commit", head.stdout.toString().trim()],
    ["date", new Date().toISOString().slice(0, 10)],
    ["machine", `${availableParallelism()} cores, load of the last 5 minutes ${load}`],
  ];
  const lines = [
    `# ${suite}`,
    "",
    `\`bun run soak ${suite} --seed ${seed} --rounds ${rounds} --record\`: ${about}.`,
    "",
    "| | |",
    "|---|---|",
    ...rows.map((cells) => `| ${cells.join(" | ")} |`),
    ...notes.flatMap((note) => ["", note]),
    "",
  ];
  const folder = join(root, "docs", "evidence");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${suite}.md`), lines.join("\n"));
}
