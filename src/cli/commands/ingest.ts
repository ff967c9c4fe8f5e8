/** `ingest`: a file or standard input into a table. */
import { basename } from "node:path";
import { FlightState } from "../../flight/flight-state.ts";
import type { IngestReport } from "../../ingest/ingest.ts";
import { formatReject, type IngestReject } from "../../ingest/rejects.ts";
import { UsageError } from "../arguments.ts";
import { type Command, done, failed, openDatabase, tableNameOf, tableOption } from "../command.ts";
import { Progress } from "../../terminal/progress.ts";
import { formatCount, formatDuration, printable, type Terminal } from "../../terminal/terminal.ts";

/** Reasons that are shown when the rejects go to no file. */
const reasonsMax = 5;
const batchMax = 1_000_000;

export const ingest: Command = {
  name: "ingest",
  summary: "streams a file or standard input into a table",
  synopsis: "<file or ->",
  options: {
    ...tableOption,
    format: { value: "FORMAT", help: "tsv, csv, ndjson or readsb (default: as it looks)" },
    batch: { value: "N", help: "rows in one transaction (default 1024)" },
    newest: {
      value: "COLUMN",
      help: "drop a row that is older by this column than the stored one",
    },
    rejects: { value: "FILE", help: "write bad lines there: line, column, reason, the line" },
    header: { help: "the first line of tsv or csv names the columns" },
    strict: { help: "stop at the first bad line" },
  },
  notes: [
    "The input may be compressed with gzip. FlightState is created if it is missing.",
    "Exit status 1 when lines were rejected, although all others are in the table.",
    "",
    "  gunzip -c flights.tsv.gz | aerostore ingest - --newest updated_at",
  ],
  words: [1, 1],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    const [path = ""] = args.words;
    const format = args.oneOf("format", ["tsv", "csv", "ndjson", "readsb"]);
    const header = args.has("header");
    if (header && (format === "ndjson" || format === "readsb")) {
      throw new UsageError(`--header is for tsv and csv, not for ${format}`);
    }
    const batch = args.whole("batch", 1, batchMax);
    const name = tableNameOf(args);
    const isBuiltIn = name === FlightState.name;
    await using db = await openDatabase(invocation, isBuiltIn ? [FlightState] : undefined);
    const table = db.table(name);
    const rejects = args.text("rejects");
    const reasons: IngestReject[] = [];
    using progress = new Progress(terminal, path === "-" ? "standard input" : basename(path));
    const report = await table.ingest(path === "-" ? Bun.stdin : Bun.file(path), {
      format,
      batch,
      newestBy: args.text("newest"),
      header,
      strict: args.has("strict"),
      rejects,
      onReject: (reject) => {
        if (reasons.length < reasonsMax) reasons.push(reject);
      },
      onProgress: (state) => progress.update(state),
    });
    progress[Symbol.dispose]();
    if (report.rejected > 0) noteRejects(terminal, report, rejects, reasons);
    terminal.print(json ? JSON.stringify(report) : describeReport(report));
    return report.rejected > 0 ? failed : done;
  },
};

function noteRejects(
  terminal: Terminal,
  { rejected }: IngestReport,
  path: string | undefined,
  reasons: readonly IngestReject[],
): void {
  const lines = `${formatCount(rejected)} bad ${rejected === 1 ? "line" : "lines"}`;
  if (path !== undefined) {
    terminal.note(`${lines}, in ${path}`);
    return;
  }
  terminal.note(`${lines}; --rejects FILE keeps them`);
  for (const reject of reasons) terminal.note(`  ${printable(formatReject(reject))}`);
  const more = rejected - reasons.length;
  if (more > 0) terminal.note(`  and ${formatCount(more)} more`);
}

function describeReport(report: IngestReport): string {
  const { rows, elapsedMs, batches } = report;
  const counts = (["inserted", "updated", "unchanged", "stale", "rejected"] as const).map(
    (kind) => `${formatCount(report[kind])} ${kind}`,
  );
  const rate = formatCount(rows / Math.max(0.001, elapsedMs / 1000));
  const time = `${formatDuration(elapsedMs)}, ${formatCount(batches)} batches, ${rate} rows/s`;
  return `${formatCount(rows)} rows: ${counts.join(", ")}\n${time}`;
}
