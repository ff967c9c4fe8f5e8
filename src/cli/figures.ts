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

/** 64-bit integers as numbers while they are safe, as digits beyond: JSON has no wider ones. */
function plainNumber(_key: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
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
