/** Reports and counters: one line to a figure for people, one document for programs. */
import type { Invocation } from "./command.ts";
import { alignTable } from "../terminal/rows.ts";
import { formatCount } from "../terminal/terminal.ts";

/** Prints a report; groups within it become prefixes. */
export function printFigures(
  { terminal, json }: Pick<Invocation, "terminal" | "json">,
  report: object,
): void {
  if (json) {
    terminal.print(JSON.stringify(report, plainNumber));
    return;
  }
  for (const line of alignTable(figureLines(report, ""), ["left", "right"])) terminal.print(line);
}

/** Numbers of 64 bits as numbers, like everywhere in rows. */
function plainNumber(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

function figureLines(report: object, prefix: string): string[][] {
  return Object.entries(report).flatMap(([name, value]: [string, unknown]) => {
    const label = prefix + name;
    if (typeof value === "object" && value !== null) return figureLines(value, `${label}.`);
    return [[label, figureText(value)]];
  });
}

function figureText(value: unknown): string {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? formatCount(value) : value.toFixed(3);
}
