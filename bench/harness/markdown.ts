/** Results as Markdown: what `docs/benchmarks.md` publishes of a run. */
import { formatValue } from "./text-table.ts";
import type { Measurement } from "./results.ts";

/** The run, a table of first metrics with the peers as columns, and one of all other metrics. */
export function renderMarkdown(measurements: readonly Measurement[]): string {
  const [first] = measurements;
  if (first === undefined) throw new RangeError("there are no results to show");
  const { reference } = first;
  const peers = [...new Set(measurements.map(({ peer }) => peer))];
  const groups = [...Map.groupBy(measurements, (each) => `${each.workload}, ${each.case}`)];
  const main = groups.map(([title, group]) => [
    title,
    ...peers.map((peer) => mainCell(group, peer)),
  ]);
  const own = groups.flatMap(([title, group]) => {
    const others = group.filter(({ peer, metric }) => peer === reference && !isMain(group, metric));
    const values = others.map(
      ({ metric, median, unit }) => `${metric} ${formatValue(median, unit)}`,
    );
    return values.length === 0 ? [] : [[title, values.join(", ")]];
  });
  return [
    aboutRun(first),
    table(["", ...peers], main),
    table(["", `more of ${reference ?? "the first peer"}`], own),
  ].join("\n");
}

function isMain(group: readonly Measurement[], metric: string): boolean {
  return group[0]?.metric === metric;
}

/** The median, and how many times better the reference is. */
function mainCell(group: readonly Measurement[], peer: string): string {
  const found = group.find((each) => each.peer === peer && isMain(group, each.metric));
  if (found === undefined) return "";
  const value = formatValue(found.median, found.unit);
  if (found.ratio === undefined || peer === found.reference) return value;
  return `${value} (${formatValue(found.ratio, "ratio")}x)`;
}

function aboutRun({ environment, reference, rounds, seconds }: Measurement): string {
  const { commit, dirty, date, cpu, cores, loadBefore } = environment;
  const when = date.slice(0, 16).replace("T", " ");
  return (
    `Commit ${commit}${dirty ? " with changes" : ""}, ${when} UTC; ` +
    `${cpu}, ${cores} cores, load before it ${loadBefore}; medians of ${rounds.length} rounds of ` +
    `${seconds} s. In brackets: how many times better ${reference ?? "the first"} is.\n`
  );
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, header.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}
