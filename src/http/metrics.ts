/** `/metrics`: OpenMetrics, or Prometheus's older text where that is asked for. */
import type { Stats } from "../admin/stats.ts";
import { textResponse } from "./content.ts";
import type { Door, Handler } from "./door.ts";
import { bucketBounds } from "./request-meter.ts";
import type { RequestCounts } from "./request-meter.ts";

type Labels = Readonly<Record<string, string | number>>;

interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** After the name of the family; `_total` of counters is added by the writer. */
  readonly suffix?: string;
}

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: readonly Sample[];
}

const openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const prometheusType = "text/plain; version=0.0.4; charset=utf-8";

export function metrics({ db, meter }: Door): Handler {
  return (request) => {
    const families = [...databaseFamilies(db.stats()), ...requestFamilies(meter.all())];
    const isOpen = (request.headers.get("accept") ?? "").includes("application/openmetrics-text");
    const text = families.map((family) => familyText(family, isOpen)).join("");
    return textResponse(
      isOpen ? `${text}# EOF\n` : text,
      isOpen ? openMetricsType : prometheusType,
    );
  };
}

function databaseFamilies({ memory, log, checkpoint, counters, tables, ...rest }: Stats): Family[] {
  const counterNames: readonly (keyof typeof counters & string)[] = [
    "commits",
    "aborts",
    "retries",
    "waits",
    "reads",
    "searches",
    "repairs",
  ];
  const attached = rest.sessions.filter(({ isAlive }) => isAlive);
  return [
    gauge("aerostore_segment_bytes", "Size of the shared memory segment.", memory.segmentBytes),
    gauge("aerostore_used_bytes", "Bytes of the segment in use.", memory.usedBytes),
    {
      name: "aerostore_memory_bytes",
      type: "gauge",
      help: "Bytes of the segment by use.",
      samples: [
        ["versions", memory.versionBytes],
        ["slots", memory.slotBytes],
        ["indexes", memory.indexBytes],
        ["keys", memory.mapBytes],
        ["sessions", memory.sessionBytes],
        ["catalog", memory.catalogBytes],
      ].map(([use = "", value]) => ({ labels: { use }, value: Number(value) })),
    },
    gauge("aerostore_retired_records", "Records that wait for a snapshot.", memory.retiredCount),
    {
      name: "aerostore_table_rows",
      type: "gauge",
      help: "Rows by table.",
      samples: Object.entries(tables).map(([table, value]) => ({ labels: { table }, value })),
    },
    gauge("aerostore_sessions", "Sessions that are attached.", attached.length),
    gauge("aerostore_sessions_max", "Sessions that may be attached at once.", rest.sessionsMax),
    gauge("aerostore_commit_csn", "Commit sequence number of the next commit.", log.tailCsn),
    gauge(
      "aerostore_log_lag_commits",
      "Commits not on disk yet.",
      lag(log.tailCsn, log.durableCsn),
    ),
    gauge(
      "aerostore_checkpoint_lag_commits",
      "Commits since the snapshot of the last checkpoint.",
      lag(log.tailCsn, checkpoint.csn),
    ),
    gauge(
      "aerostore_horizon_lag_commits",
      "Commits since the oldest snapshot, whose records are kept.",
      lag(log.tailCsn, log.horizonCsn),
    ),
    {
      name: "aerostore_session_snapshot_age_seconds",
      type: "gauge",
      help: "Age of the oldest snapshot of each session that has one.",
      samples: attached
        .filter(({ snapshotCsn }) => snapshotCsn > 0)
        .map(({ index, pid, snapshotAgeMs }) => ({
          labels: { session: index, pid },
          value: snapshotAgeMs / 1_000,
        })),
    },
    gauge(
      "aerostore_log_poisoned",
      "1 when a write of the log has failed.",
      Number(log.isPoisoned),
    ),
    gauge("aerostore_log_stalled", "1 while the disk is full.", Number(log.isStalled)),
    ...counterNames.map((name) =>
      counter(`aerostore_${name}`, `Sum of ${name} of all sessions.`, counters[name]),
    ),
    {
      name: "aerostore_conflicts",
      type: "counter",
      help: "Transactions that lost to another, by what was read.",
      samples: [
        { labels: { read: "row" }, value: counters.conflictsRow },
        { labels: { read: "absent" }, value: counters.conflictsAbsent },
        { labels: { read: "search" }, value: counters.conflictsSearch },
      ],
    },
    counter("aerostore_rows_examined", "Rows that searches have examined.", counters.rowsExamined),
    counter("aerostore_rows_returned", "Rows that searches have returned.", counters.rowsReturned),
    counter("aerostore_log_bytes", "Bytes of log records.", counters.logBytes),
    counter("aerostore_checkpoints", "Checkpoints since the segment was made.", checkpoint.count),
  ];
}

function requestFamilies(requests: readonly RequestCounts[]): Family[] {
  return [
    {
      name: "aerostore_http_requests",
      type: "counter",
      help: "Requests by path, method and status.",
      samples: requests.map(({ path, method, status, count }) => ({
        labels: { path, method, status },
        value: count,
      })),
    },
    {
      name: "aerostore_http_request_duration_seconds",
      type: "histogram",
      help: "Seconds until an answer began, by path, method and status.",
      samples: requests.flatMap(histogramSamples),
    },
  ];
}

function histogramSamples(request: RequestCounts): Sample[] {
  const labels = { path: request.path, method: request.method, status: request.status };
  let sum = 0;
  const buckets = request.buckets.map((count, at): Sample => {
    sum += count;
    const le = bucketBounds[at] ?? "+Inf";
    return { suffix: "_bucket", labels: { ...labels, le }, value: sum };
  });
  return [
    ...buckets,
    { suffix: "_sum", labels, value: request.seconds },
    { suffix: "_count", labels, value: request.count },
  ];
}

function gauge(name: string, help: string, value: number): Family {
  return { name, type: "gauge", help, samples: [{ labels: {}, value }] };
}

function counter(name: string, help: string, value: number): Family {
  return { name, type: "counter", help, samples: [{ labels: {}, value }] };
}

function lag(newest: number, known: number): number {
  return Math.max(0, newest - known);
}

/** OpenMetrics names a counter without `_total`, the older text with it. */
function familyText({ name, type, help, samples }: Family, isOpen: boolean): string {
  const total = type === "counter" ? "_total" : "";
  const family = isOpen ? name : `${name}${total}`;
  const lines = samples.map(
    ({ suffix, labels, value }) => `${name}${suffix ?? total}${labelText(labels)} ${value}`,
  );
  return [`# HELP ${family} ${help}`, `# TYPE ${family} ${type}`, ...lines, ""].join("\n");
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string | number): string {
  return String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
