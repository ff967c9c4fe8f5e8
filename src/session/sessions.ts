/** The sessions that are attached to a segment, as the engine lists them. */
import { Status } from "../ffi/abi.gen.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import { getField } from "../ffi/struct.ts";

/** An attached session. */
export interface SessionInfo {
  readonly index: number;
  readonly pid: number;
  readonly openedAt: Date;
  readonly ageMs: number;
  /** CSN of its oldest snapshot; 0 for none. */
  readonly snapshotCsn: number;
  /** How long its oldest snapshot has been open; 0 for none. */
  readonly snapshotAgeMs: number;
  readonly commits: number;
  readonly isAlive: boolean;
}

const { fields, size: infoSize } = layouts.SessionStats;
const sizeWord = layouts.IoResult.fields.size.offset >> 2;

/** What listing needs of a session. */
interface Caller {
  readonly calls: Symbols;
  readonly handle: number;
  readonly u32: Uint32Array;
}

/** Lists at most `count` sessions; the engine's status where it refuses. */
export function listSessions(
  { calls, handle, u32 }: Caller,
  count: number,
): SessionInfo[] | Status {
  const bytes = new Uint8Array(new ArrayBuffer(count * infoSize));
  const status = calls.aerostore_sessions_read(handle, bytes, bytes);
  if (status !== Status.ok) return status;
  const view = new DataView(bytes.buffer);
  const used = Math.min(u32[sizeWord] ?? 0, bytes.length);
  const sessions: SessionInfo[] = [];
  const now = Date.now();
  for (let at = 0; at < used; at += infoSize) {
    const openedMs = getField(view, at, fields.opened_ms);
    sessions.push({
      index: getField(view, at, fields.index),
      pid: getField(view, at, fields.pid),
      openedAt: new Date(openedMs),
      ageMs: Math.max(0, now - openedMs),
      snapshotCsn: getField(view, at, fields.snapshot),
      snapshotAgeMs: getField(view, at, fields.snapshot_age_ms),
      commits: getField(view, at, fields.commits),
      isAlive: getField(view, at, fields.alive) !== 0,
    });
  }
  return sessions;
}

/** The session whose snapshot is the oldest; `undefined` when none is open. */
export function oldestSnapshot(caller: Caller, count: number): SessionInfo | undefined {
  const sessions = listSessions(caller, count);
  if (typeof sessions === "number") return undefined;
  return sessions
    .filter(({ snapshotCsn }) => snapshotCsn > 0)
    .sort((a, b) => b.snapshotAgeMs - a.snapshotAgeMs)[0];
}
