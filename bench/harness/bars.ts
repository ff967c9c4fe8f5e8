/** A comparison of peers as bars, drawn as SVG: the median as a bar, each round as a dot. */
import type { Measurement } from "./results.ts";
import { formatValue } from "./text-table.ts";

const labelWidth = 150;
const barWidth = 420;
const valueWidth = 190;
const rowHeight = 24;
/** From here on the scale is logarithmic. */
const spreadMax = 20;

/** One bar for each measurement of the same metric. */
export function barChart(list: readonly Measurement[]): string {
  const values = list.flatMap(({ rounds }) => rounds).filter((value) => value > 0);
  if (values.length === 0) return "";
  const high = Math.max(...values);
  const low = Math.min(...values);
  const isLog = high / low > spreadMax;
  const floor = isLog ? 10 ** Math.floor(Math.log10(low)) : 0;
  const place = (value: number): number => {
    if (value <= floor) return 0;
    if (!isLog) return (value / high) * barWidth;
    return (Math.log(value / floor) / Math.log(high / floor)) * barWidth;
  };
  const [first] = list;
  const hint = `${first?.better ?? ""} is better${isLog ? ", logarithmic" : ""}`;
  const rows = list.map((each, index) => renderBar(each, index, place));
  const width = labelWidth + barWidth + valueWidth;
  const height = list.length * rowHeight + 20;
  const caption = Bun.escapeHTML(`${first?.metric ?? ""}: ${hint}`);
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" role="img">${rows.join("")}
<text x="${labelWidth}" y="${height - 5}" opacity="0.6">${caption}</text></svg>`;
}

function renderBar(
  { peer, median, rounds, unit, ratio, reference }: Measurement,
  index: number,
  place: (value: number) => number,
): string {
  const y = index * rowHeight;
  const colour = peer === reference ? "#c22" : "#27c";
  const times = ratio === undefined || peer === reference ? "" : ` (${ratio.toPrecision(2)}×)`;
  const middle = y + rowHeight / 2;
  const dots = rounds.map((round) => {
    const x = labelWidth + place(round);
    return `<circle cx="${x.toFixed(1)}" cy="${middle}" r="2.5" fill="#0008" stroke="#fff8"/>`;
  });
  const text = Bun.escapeHTML(formatValue(median, unit) + times);
  const name = Bun.escapeHTML(peer);
  return `<text x="${labelWidth - 8}" y="${middle + 4}" text-anchor="end">${name}</text>
<rect x="${labelWidth}" y="${y + 4}" width="${Math.max(1, place(median)).toFixed(1)}"
 height="${rowHeight - 8}" fill="${colour}" opacity="0.75"/>${dots.join("")}
<text x="${labelWidth + barWidth + 8}" y="${middle + 4}">${text}</text>`;
}
