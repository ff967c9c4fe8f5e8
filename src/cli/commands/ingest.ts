/** `ingest`: a file or standard input into a table. */
import { basename } from "node:path";
import { Aircraft, FlightState } from "../../flight/index.ts";
import type { IngestReport } from "../../ingest/ingest.ts";
import { type IngestInput, openInput } from "../../ingest/input.ts";
import type { IngestOptions } from "../../ingest/options.ts";
import { formatReject, type IngestReject } from "../../ingest/rejects.ts";
import { type Command, done, failed, openDatabase } from "../command.ts";
import { feedOptions, readFeedOptions, withFeed } from "../feed-options.ts";
import { Progress } from "../../terminal/progress.ts";
import { formatCount, formatDuration, printable, type Terminal } from "../../terminal/terminal.ts";

/** Reasons that are shown when the rejects go to no file. */
const reasonsMax = 5;
/** Created when they are missing. */
const builtIns = [FlightState, Aircraft];

export const ingest: Command = {
  name: "ingest",
  summary: "streams a file or standard input into a table",
  synopsis: "<file or ->",
  options: {
    ...feedOptions,
    feed: { value: "NAME", help: "the options that `aerostore feed add NAME` has saved" },
    rejects: { value: "FILE", help: "write bad lines there: line, column, reason, the line" },
    strict: { help: "stop at the first bad line" },
  },
  notes: [
    "What is not said is taken from a look at the input. It may be compressed, gzip or zstd.",
    "Aircraft and FlightState are created if they are missing.",
    "Exit status 1 when lines were rejected, although all others are in the table.",
    "",
    "  gunzip -c flights.tsv.gz | aerostore ingest - --newest updated_at",
    "  aerostore ingest quotes.csv --table quotes --columns 'Last Price=last,Volume=-'",
  ],
  words: [1, 1],
  async run(invocation) {
    const { terminal, json } = invocation;
    const args = withFeed(invocation.args);
    const [path = ""] = args.words;
    const rejects = args.text("rejects");
    const reasons: IngestReject[] = [];
    let rows = 0;
    using progress = new Progress(terminal, path === "-" ? "standard input" : basename(path));
    let input: IngestInput | undefined;
    const options: IngestOptions = {
      ...readFeedOptions(args),
      strict: args.has("strict"),
      rejects,
      onReject: (reject) => {
        if (reasons.length < reasonsMax) reasons.push(reject);
      },
      onProgress: (state) => {
        ({ rows } = state);
        progress.update(state);
      },
      onLook: (description, isUsual) => {
        const into = args.text("table") === undefined ? input?.records?.table?.name : undefined;
        const where = into === undefined ? "" : `, into ${into}`;
        if (!isUsual || into !== undefined) terminal.note(printable(`${description}${where}`));
      },
    };
    input = await openInput(path === "-" ? Bun.stdin : Bun.file(path), options);
    let report: IngestReport;
    try {
      const name = args.text("table") ?? (input.records?.table ?? FlightState).name;
      const builtIn = builtIns.find((each) => each.name === name);
      await using db = await openDatabase(
        invocation,
        builtIn === undefined ? undefined : [builtIn],
      );
      using _interrupted = onInterrupt(() => {
        progress[Symbol.dispose]();
        terminal.note(
          `interrupted after ${formatCount(rows)} rows, which are in the table but for the last ` +
            "batch; run the same command again to go on: rows that are in count as unchanged",
        );
        db.close();
        process.exit(interruptedStatus);
      });
      report = await db.table(name).ingest(input, options);
    } finally {
      await input.close();
    }
    progress[Symbol.dispose]();
    if (report.rejected > 0) noteRejects(terminal, report, rejects, reasons);
    terminal.print(json ? JSON.stringify(report) : describeReport(report));
    return report.rejected > 0 ? failed : done;
  },
};

/** What shells make of an interrupt. */
const interruptedStatus = 130;

/** Calls `end` at Ctrl-C, until it is disposed of. */
function onInterrupt(end: () => void): Disposable {
  process.once("SIGINT", end);
  return { [Symbol.dispose]: () => process.off("SIGINT", end) };
}

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
