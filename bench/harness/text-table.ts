/** Results as text for people. */
import type { Measurement } from "./results.ts";

/** One table for each workload and case: peers as rows, metrics as columns. */
export function renderTables(measurements: readonly Measurement[]): string {
  const groups = Map.groupBy(measurements, (each) => `${each.workload}: ${each.case}`);
  return [...groups].map(([title, group]) => renderGroup(title, group)).join("\n");
}

function renderGroup(title: string, group: readonly Measurement[]): string {
  const [first] = group;
  if (first === undefined) return "";
  const peers = Map.groupBy(group, (each) => each.peer);
  const metrics = [...new Set(group.map(({ metric }) => metric))];
  const primary = metrics[0];
  const header = ["", ...metrics, `${first.reference ?? ""} is`, "rounds", "survives"];
  const rows = [...peers].map(([peer, each]) => {
    const main = each.find(({ metric }) => metric === primary);
    const cells = metrics.map((name) => {
      const found = each.find(({ metric }) => metric === name);
      return found === undefined ? "" : formatValue(found.median, found.unit);
    });
    const rounds = main?.rounds.map((value) => formatValue(value, main.unit)).join(" ") ?? "";
    return [peer, ...cells, formatRatio(main), rounds, main?.promises.survives ?? ""];
  });
  const notes = [...new Set(group.flatMap((each) => each.notes))].map((note) => `  ${note}\n`);
  return `${title}. ${first.about}\n${align([header, ...rows])}${notes.join("")}`;
}

function formatRatio(measurement: Measurement | undefined): string {
  if (measurement?.ratio === undefined) return "";
  if (measurement.peer === measurement.reference) return "";
  return `${formatNumber(measurement.ratio)}x`;
}

/** `39,200/s`, `1.2 us`. */
export function formatValue(value: number, unit: Measurement["unit"]): string {
  const number = formatNumber(value);
  return unit === "/s" || unit === "%"
    ? number + unit
    : unit === "ratio"
      ? number
      : `${number} ${unit}`;
}

/** Three digits, and never an exponent. */
function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => {
        const width = widths?.[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      });
      return `  ${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}
