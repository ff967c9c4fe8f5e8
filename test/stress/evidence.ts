/** The result of a long run, as a row of `docs/evidence.md`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/source.ts";

export interface Evidence {
  readonly suite: string;
  readonly seed: number;
  readonly rounds: number;
  readonly failures: number;
  readonly totals: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

const path = join(root, "docs", "evidence.md");

/** Writes the row of the suite, in place of that of an earlier run. */
export function writeEvidence(evidence: Evidence): void {
  const head = Bun.spawnSync(["git", "rev-parse", "--short", "HEAD"], { cwd: root });
  const commit = head.stdout.toString().trim();
  const row = formatEvidence(evidence, commit, new Date().toISOString().slice(0, 10));
  writeFileSync(path, replaceRow(readFileSync(path, "utf8"), evidence.suite, row));
}

/** One row of the table. */
export function formatEvidence(evidence: Evidence, commit: string, date: string): string {
  const { suite, seed, rounds, failures, totals, notes } = evidence;
  const counts = Object.entries(totals).map(
    ([name, value]) => `${value.toLocaleString("en")} ${name}`,
  );
  const found = [counts.join(", "), ...notes].join(". ").replaceAll("|", "/").replaceAll("\n", " ");
  const command = `\`${suite} --seed ${seed} --rounds ${rounds}\``;
  return `| ${[command, found, `${failures} of ${rounds}`, commit, date].join(" | ")} |`;
}

/** The document with the row of a suite replaced or added; rows are in the order of their names. */
export function replaceRow(document: string, suite: string, row: string): string {
  const lines = document.trimEnd().split("\n");
  const start = lines.findIndex((line) => line.startsWith("|---")) + 1;
  const others = lines.slice(start).filter((line) => !line.startsWith(`| \`${suite} `));
  return [...lines.slice(0, start), ...[...others, row].sort(), ""].join("\n");
}
