/** Counters and sizes of a database, for people and monitors; of no exact instant. */
import { PageKind } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { describeEngine } from "../ffi/library.ts";
import type { EngineInfo } from "../ffi/library.ts";
import { listSessions } from "../session/sessions.ts";
import type { SessionInfo } from "../session/sessions.ts";
import type { Session } from "../session/session.ts";

/** What is in shared memory. */
export interface MemoryStats {
  readonly segmentBytes: number;
  readonly usedBytes: number;
  /** Records: live versions, and those that wait for a snapshot to end. */
  readonly versionBytes: number;
  readonly slotBytes: number;
  readonly indexBytes: number;
  readonly mapBytes: number;
  /** Lists and buffers of sessions. */
  readonly sessionBytes: number;
  readonly catalogBytes: number;
  /** Records that wait for the oldest snapshot. */
  readonly retiredCount: number;
}

export interface LogStats {
  /** CSN of the next commit. */
  readonly tailCsn: number;
  /** Everything below is decided. */
  readonly decidedCsn: number;
  /** Everything below has been taken by the log writer. */
  readonly drainedCsn: number;
  /** Everything below is on disk. */
  readonly durableCsn: number;
  /** No snapshot is older. */
  readonly horizonCsn: number;
  readonly epoch: number;
  /** A write failed: nothing is committed any more. */
  readonly isPoisoned: boolean;
  /** The disk is full. */
  readonly isStalled: boolean;
}

export interface CheckpointStats {
  /** Since the segment was created. */
  readonly count: number;
  readonly csn: number;
  readonly rows: number;
}

/** Sums over all sessions since the segment was made, ended ones included: they never fall. */
export interface CounterStats {
  readonly commits: number;
  readonly aborts: number;
  readonly conflictsRow: number;
  readonly conflictsAbsent: number;
  readonly conflictsSearch: number;
  readonly retries: number;
  readonly escalations: number;
  /** Commits of others that were finished for them. */
  readonly helps: number;
  /** Commits of others that were aborted for being in the way. */
  readonly wounds: number;
  readonly wounded: number;
  readonly waits: number;
  readonly reads: number;
  readonly searches: number;
  readonly rowsExamined: number;
  readonly rowsReturned: number;
  readonly versionsReclaimed: number;
  readonly entriesReclaimed: number;
  readonly logBytes: number;
  readonly logWaits: number;
  readonly repairs: number;
}

export interface Stats {
  readonly memory: MemoryStats;
  readonly log: LogStats;
  readonly checkpoint: CheckpointStats;
  readonly counters: CounterStats;
  /** The engine of this process. */
  readonly engine: EngineInfo;
  /** Rows by table, roughly. */
  readonly tables: Readonly<Record<string, number>>;
  readonly sessionsMax: number;
  readonly sessions: readonly SessionInfo[];
}

const { fields, size: statsSize } = layouts.Stats;
const { fields: counterFields } = layouts.Counters;

/** Reads all of it. `tables` are the rows by table. */
export function readStats(session: Session, tables: Readonly<Record<string, number>>): Stats {
  const bytes = new Uint8Array(new ArrayBuffer(statsSize));
  session.run({ attempted: "reading statistics" }, () =>
    session.calls.aerostore_stats_read(session.handle, bytes),
  );
  const view = new DataView(bytes.buffer);
  const at = (offset: number): number => view.getFloat64(offset, true);
  const kind = (...kinds: readonly (keyof typeof PageKind)[]): number =>
    kinds.reduce((sum, each) => sum + at(fields.bytes_by_kind.offset + PageKind[each] * 8), 0);
  const counter = (field: { readonly offset: number }): number =>
    at(fields.counters.offset + field.offset);
  return {
    memory: {
      segmentBytes: at(fields.segment_size.offset),
      usedBytes: at(fields.pages_used.offset) * at(fields.page_size.offset),
      versionBytes: kind("version"),
      slotBytes: kind("slot"),
      indexBytes: kind("entry"),
      mapBytes: kind("bucket"),
      sessionBytes: kind("retired", "intent", "log", "overflow"),
      catalogBytes: kind("table"),
      retiredCount: at(fields.retired_waiting.offset),
    },
    log: {
      tailCsn: at(fields.tail.offset),
      decidedCsn: at(fields.first_undecided.offset),
      drainedCsn: at(fields.drained.offset),
      durableCsn: at(fields.durable.offset),
      horizonCsn: at(fields.horizon.offset),
      epoch: at(fields.log_epoch.offset),
      isPoisoned: at(fields.log_poisoned.offset) !== 0,
      isStalled: at(fields.log_stalled.offset) !== 0,
    },
    checkpoint: {
      count: at(fields.checkpoint_count.offset),
      csn: at(fields.checkpoint_csn.offset),
      rows: at(fields.checkpoint_rows.offset),
    },
    counters: {
      commits: counter(counterFields.commits),
      aborts: counter(counterFields.aborts),
      conflictsRow: counter(counterFields.conflicts_row),
      conflictsAbsent: counter(counterFields.conflicts_absent),
      conflictsSearch: counter(counterFields.conflicts_search),
      retries: counter(counterFields.retries),
      escalations: counter(counterFields.escalations),
      helps: counter(counterFields.helps),
      wounds: counter(counterFields.wounds),
      wounded: counter(counterFields.wounded),
      waits: counter(counterFields.waits),
      reads: counter(counterFields.reads),
      searches: counter(counterFields.searches),
      rowsExamined: counter(counterFields.rows_examined),
      rowsReturned: counter(counterFields.rows_returned),
      versionsReclaimed: counter(counterFields.versions_reclaimed),
      entriesReclaimed: counter(counterFields.entries_reclaimed),
      logBytes: counter(counterFields.log_bytes),
      logWaits: counter(counterFields.log_waits),
      repairs: counter(counterFields.repairs),
    },
    engine: describeEngine(),
    tables,
    sessionsMax: at(fields.session_count.offset),
    sessions: readSessions(session, at(fields.session_count.offset)),
  };
}

function readSessions(session: Session, count: number): readonly SessionInfo[] {
  const sessions = listSessions(session, count);
  if (typeof sessions === "number") {
    throw session.error(sessions, { attempted: "listing sessions" });
  }
  return sessions;
}
