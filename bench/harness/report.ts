/**
 * Results as one HTML file that needs nothing else: bars for comparisons, lines (uPlot, copied in)
 * for what depends on processes, percentiles or time.
 */
import { join } from "node:path";
import { Histogram } from "./histogram.ts";
import { barChart } from "./bars.ts";
import { formatValue } from "./text-table.ts";
import type { Measurement } from "./results.ts";

const uplotFolder = join(import.meta.dir, "..", "..", "node_modules", "uplot", "dist");

/** A plot as the script in the page draws it. */
interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** The base of a logarithmic scale; 0 for a plain one. */
  readonly logX: 0 | 2 | 10;
  readonly logY: boolean;
  readonly labels: readonly string[];
  /** The x values, then the values of each label; null where there is none. */
  readonly data: readonly (readonly (number | null)[])[];
}

/** The page. `names` are the peers of the run in their order, which gives each its colour. */
export async function renderReport(measurements: readonly Measurement[]): Promise<string> {
  const [first] = measurements;
  if (first === undefined) throw new RangeError("there are no results to show");
  const read = (name: string): Promise<string> => Bun.file(join(uplotFolder, name)).text();
  const [script, style] = await Promise.all([read("uPlot.iife.min.js"), read("uPlot.min.css")]);
  const workloads = Map.groupBy(measurements, ({ workload }) => workload);
  const sections = [...workloads].map(([name, list]) => renderWorkload(name, list));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Aerostore benchmarks</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>${style}${pageStyle}</style></head><body>
<h1>Aerostore benchmarks</h1>
${renderEnvironment(first)}
${renderPeers(measurements)}
<nav>${[...workloads.keys()].map((name) => `<a href="#${name}">${name}</a>`).join(" ")}</nav>
${sections.join("\n")}
<script>${script}</script><script>${pageScript}</script></body></html>
`;
}

function renderEnvironment({ environment, seconds, seed, rounds }: Measurement): string {
  const { commit, dirty, date, bun, zig, cpu, cores, kernel, fileSystem } = environment;
  const memory = Math.round(environment.memoryBytes / 2 ** 30);
  const facts = [
    `commit ${commit}${dirty ? " with changes" : ""}, ${date.slice(0, 16).replace("T", " ")} UTC`,
    `${cpu}, ${cores} cores, ${memory} GiB, Linux ${kernel}, files on ${fileSystem}`,
    `Bun ${bun}, Zig ${zig}; load before the run ${environment.loadBefore}`,
    `${rounds.length} rounds of ${seconds} s, medians; seed ${seed}`,
  ];
  return `<ul>${facts.map((fact) => `<li>${escape(fact)}</li>`).join("")}</ul>`;
}

function renderPeers(measurements: readonly Measurement[]): string {
  const peers = new Map(measurements.map((each) => [each.peer, each]));
  const rows = [...peers.values()].map(({ peer, version, promises }) => {
    const { survives, loses, isolation, shared } = promises;
    return [peer, version, survives, loses, isolation, shared];
  });
  const header = ["peer", "version", "a write survives", "and is lost", "isolation", "shared by"];
  const table = htmlTable([header, ...rows]);
  return `<details><summary>What the peers promise</summary>${table}</details>`;
}

function renderWorkload(name: string, list: readonly Measurement[]): string {
  const cases = Map.groupBy(list, (each) => each.case);
  const parts = [...cases].map(([title, group]) => renderCase(title, group));
  const plots = [processPlot(list), latencyPlot(list), ...seriesPlots(list)];
  const drawn = plots.flatMap((plot) =>
    plot === undefined
      ? []
      : [`<figure class="plot" data-plot="${escape(JSON.stringify(plot))}"></figure>`],
  );
  const about = list[0]?.about ?? "";
  return `<section id="${name}"><h2>${name}</h2><p>${escape(about)}.</p>
${parts.join("\n")}<div class="plots">${drawn.join("\n")}</div></section>`;
}

function renderCase(title: string, group: readonly Measurement[]): string {
  const primary = group.filter(({ metric }) => metric === group[0]?.metric);
  const metrics = [...new Set(group.map(({ metric }) => metric))];
  const header = ["peer", ...metrics, `${group[0]?.reference ?? ""} is`];
  const rows = primary.map((main) => {
    const cells = metrics.map((metric) => {
      const found = group.find((each) => each.peer === main.peer && each.metric === metric);
      return found === undefined ? "" : formatValue(found.median, found.unit);
    });
    const ratio = main.ratio === undefined || main.peer === main.reference ? "" : main.ratio;
    return [main.peer, ...cells, ratio === "" ? "" : `${ratio.toPrecision(3)}×`];
  });
  return `<h3>${escape(title)}</h3>${barChart(primary)}
<details><summary>All figures</summary>${htmlTable([header, ...rows])}</details>`;
}

/** Throughput by number of processes, where several were measured. */
function processPlot(list: readonly Measurement[]): Plot | undefined {
  const main = list.filter(({ metric }) => metric === list[0]?.metric);
  const counts = unique(main.flatMap(({ parameters }) => parameters["processes"] ?? []));
  if (counts.length < 2) return undefined;
  const peers = unique(main.map(({ peer }) => peer));
  const value = (peer: string, count: number): number | null =>
    main.find((each) => each.peer === peer && each.parameters["processes"] === count)?.median ??
    null;
  return {
    title: "by number of processes",
    x: "processes",
    y: list[0]?.unit ?? "",
    logX: 2,
    logY: true,
    labels: peers,
    data: [counts, ...peers.map((peer) => counts.map((count) => value(peer, count)))],
  };
}

const shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999];

/** Durations of single operations of the first case, by percentile. */
function latencyPlot(list: readonly Measurement[]): Plot | undefined {
  const first = list.filter((each) => each.case === list[0]?.case && each.latency !== undefined);
  if (first.length === 0) return undefined;
  const lines = first.map(({ latency }) => {
    const histogram = new Histogram();
    histogram.add(latency ?? []);
    return shares.map((share) => histogram.percentile(share) / 1e3);
  });
  return {
    title: `durations, ${first[0]?.case ?? ""}`,
    x: "one operation in … takes longer",
    y: "us",
    logX: 10,
    logY: true,
    labels: first.map(({ peer }) => peer),
    data: [shares.map((share) => 1 / (1 - share)), ...lines],
  };
}

/** Operations per second in each second of long runs. */
function seriesPlots(list: readonly Measurement[]): Plot[] {
  const long = list.filter(({ series }) => series !== undefined && series.length >= 20);
  const cases = Map.groupBy(long, (each) => each.case);
  return [...cases].map(([title, group]) => {
    const length = Math.max(...group.map(({ series }) => series?.length ?? 0));
    const seconds = Array.from({ length }, (_, second) => second + 1);
    return {
      title: `over time, ${title}`,
      x: "seconds",
      y: "/s",
      logX: 0,
      logY: false,
      labels: group.map(({ peer }) => peer),
      data: [seconds, ...group.map(({ series }) => seconds.map((at) => series?.[at - 1] ?? null))],
    };
  });
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function htmlTable([header = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join("")}</tr>`;
  const body = rows.map((row) => line(row, "td")).join("");
  return `<div class="wide"><table>${line(header, "th")}${body}</table></div>`;
}

function escape(text: string): string {
  return Bun.escapeHTML(text);
}

const pageStyle = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid #8886; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
nav a { margin-right: .75rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .15rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr + tr { border-top: 1px solid #8883; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 1rem 0; background: #fff; color: #222; border-radius: 6px; padding: .5rem; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }`;

/** Draws every `figure.plot` when the page is there. */
const pageScript = `
const colours = ["#c22", "#27c", "#2a7", "#a6c", "#e90", "#066", "#964", "#c6a", "#779", "#3ad"];
for (const figure of document.querySelectorAll("figure.plot")) {
  const plot = JSON.parse(figure.dataset.plot);
  const short = (value) => value == null ? "" : value >= 1e6 ? value / 1e6 + "M"
    : value >= 1e3 ? value / 1e3 + "k" : String(Math.round(value * 1000) / 1000);
  const series = plot.labels.map((label, i) => ({ label, stroke: colours[i % colours.length],
    width: i === 0 ? 3 : 1.5, value: (_, value) => short(value),
    points: { show: plot.logX > 0 } }));
  new uPlot({ title: plot.title, width: 470, height: 320,
    scales: { x: { time: false, distr: plot.logX ? 3 : 1, log: plot.logX === 2 ? 2 : 10 },
              y: { distr: plot.logY ? 3 : 1 } },
    axes: [{ label: plot.x, values: (_, list) => list.map(short) },
           { label: plot.y, size: 64, values: (_, list) => list.map(short) }],
    series: [{ label: plot.x, value: (_, value) => short(value) }, ...series],
  }, plot.data, figure);
}`;
