/** Verification of a database by the engine: structures, rows, indexes, checkpoint and log. */
import { Status } from "../ffi/abi.gen.ts";
import { CheckPhase, limits, ProblemKind } from "../ffi/constants.gen.ts";
import { memberOf } from "../ffi/struct.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { checkpointReason, logReason } from "../recovery/reasons.ts";
import type { Session } from "../session/session.ts";

export interface CheckReport {
  readonly ok: boolean;
  /** What is wrong and where, one sentence each. */
  readonly problems: readonly string[];
  readonly tables: number;
  readonly rows: number;
  /** Of all indexes. */
  readonly entries: number;
  readonly checkpointRows: number;
  readonly logTransactions: number;
  readonly elapsedMs: number;
}

const { fields, size: reportSize } = layouts.CheckReport;
const problemFields = layouts.CheckProblem.fields;
const problemSize = layouts.CheckProblem.size;
const problemsMax = Math.floor(fields.problems.size / problemSize);
const sliceMs = limits.waitMsMax;

/** Checks everything over one snapshot, beside writers; `directory` is for messages. */
export function checkDatabase(session: Session, directory: string): CheckReport {
  const startedAt = performance.now();
  const { calls, handle } = session;
  const subject = { attempted: "checking a database", path: directory };
  session.run(subject, () => calls.aerostore_check_open(handle, 1));
  const report = new Uint8Array(new ArrayBuffer(reportSize));
  const view = new DataView(report.buffer);
  while (view.getUint32(fields.phase.offset, true) !== CheckPhase.done) {
    const status = calls.aerostore_check_step(handle, sliceMs, report);
    if (status !== Status.ok) throw session.error(status, subject);
  }
  const number = (field: { readonly offset: number }): number =>
    view.getFloat64(field.offset, true);
  const problems = readProblems(session, view);
  return {
    ok: problems.length === 0,
    problems,
    tables: number(fields.tables),
    rows: number(fields.rows),
    entries: number(fields.entries),
    checkpointRows: number(fields.checkpoint_rows),
    logTransactions: number(fields.log_transactions),
    elapsedMs: performance.now() - startedAt,
  };
}

function readProblems(session: Session, view: DataView): string[] {
  const count = view.getUint32(fields.problem_count.offset, true);
  const problems: string[] = [];
  for (let index = 0; index < Math.min(count, problemsMax); index++) {
    const base = fields.problems.offset + index * problemSize;
    problems.push(describeProblem(session, view, base));
  }
  if (count > problemsMax) problems.push(`and ${count - problemsMax} more`);
  return problems;
}

function describeProblem(session: Session, view: DataView, base: number): string {
  const word = (field: { readonly offset: number }): number =>
    view.getUint32(base + field.offset, true);
  const reason = word(problemFields.reason);
  const offset = view.getFloat64(base + problemFields.offset.offset, true);
  const id = word(problemFields.table);
  const table = session.names?.tableOf(id);
  const name = table?.name ?? `table ${id}`;
  const column = table?.columns[word(problemFields.column)]?.name ?? "";
  const where = `at offset ${offset} of the segment`;
  const kind = memberOf(ProblemKind, word(problemFields.kind));
  switch (kind) {
    case ProblemKind.header_checksum:
      return "the segment's header is damaged";
    case ProblemKind.table_unreadable:
      return `${name}: its place in the catalog is damaged (${where})`;
    case ProblemKind.row_unreadable:
      return `${name}: a row is not readable (${where})`;
    case ProblemKind.row_not_found:
      return `${name}: a row is not found by its key (${where})`;
    case ProblemKind.entry_missing:
      return `${name}: the index on ${column} lacks a row (${where})`;
    case ProblemKind.index_order:
      return `${name}: the index on ${column} is out of order (${where})`;
    case ProblemKind.index_unreadable:
      return `${name}: the index on ${column} is not readable (${where})`;
    case ProblemKind.checkpoint_damaged:
      return `occ_checkpoint.dat at byte ${offset}: ${checkpointReason(reason)}`;
    case ProblemKind.log_damaged:
      return `${logName(view)} at byte ${offset}: ${logReason(reason)}`;
    case ProblemKind.row_invalid:
      return `${name}: a row holds what its columns cannot (${where})`;
    case ProblemKind.table_not_logged:
      return (
        `${name}: neither the checkpoint nor the log has this table with its schema, so a cold ` +
        "start would lose its rows; export them"
      );
    case ProblemKind.table_not_committed:
      return `${name}: the checkpoint or the log has this table, and the segment does not`;
    case undefined:
      return `${name}: damage of an unknown kind (${where})`;
  }
}

/** The log file that is damaged. */
function logName(view: DataView): string {
  const size = view.getFloat64(fields.log_name_size.offset, true);
  const bytes = new Uint8Array(view.buffer, fields.log_name.offset, size);
  return size === 0 ? "the log" : new TextDecoder().decode(bytes);
}
