/** Whether a segment that cannot be attached may be replaced: who uses it, what would be lost. */
import { closeSync, openSync, readSync } from "node:fs";
import { AerostoreError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { bootError } from "./failure.ts";
import { attachedPids } from "./header.ts";
import type { HeaderVerdict } from "./header.ts";
import type { BootEvent } from "./machine.ts";
import { structs } from "./probe.ts";
import type { Found, SegmentProbe } from "./probe.ts";

/** Whether the segment that `probe` has seen, unfit for `reason`, may be replaced. */
export function judgeUse(probe: SegmentProbe, reason: string): BootEvent {
  const { found, expected } = probe;
  const users = liveSessions(probe);
  if (users > 0) {
    return refuse(
      probe,
      codeWhileUsed(found),
      `${reason}, and the database is used by ${users} live sessions; ` +
        "close them all, or open it with the segment path that they use",
    );
  }
  if (found?.kind === "unreadable" && found.isNewer === true) {
    return refuse(probe, "LAYOUT_MISMATCH", `${reason}; open it with a newer engine`);
  }
  if (found?.kind === "unfit" && found.facts.isOtherBuild) {
    const isCurrent = found.facts.bootId === expected.bootId;
    if (isCurrent && !found.facts.durable) {
      const lost = "and has commits that are not in the log yet";
      const advice = "open it with that build once, or remove it";
      return refuse(probe, "LAYOUT_MISMATCH", `${reason}, ${lost}; ${advice}`);
    }
    return judgeLeftBehind(probe);
  }
  if (found?.kind === "unfit" && found.facts.isForeign) return judgeForeign(probe, found);
  return judgeLeftBehind(probe);
}

function codeWhileUsed(found: Found | undefined): ErrorCode {
  if (found?.kind === "unreadable") return "LAYOUT_MISMATCH";
  if (found?.kind === "unfit" && found.facts.isOtherBuild) return "LAYOUT_MISMATCH";
  return found?.kind === "unfit" && found.facts.poisoned ? "LOG_POISONED" : "SEGMENT_CORRUPT";
}

type Unfit = Extract<HeaderVerdict, { readonly kind: "unfit" }>;

/**
 * A segment of another database, or of another copy of this one, is replaced only when that loses
 * nothing.
 */
function judgeForeign(probe: SegmentProbe, { facts, reason }: Unfit): BootEvent {
  const advice = "choose another path with shmPath (--shm)";
  const isCurrent = facts.bootId === probe.expected.bootId;
  const pids = isCurrent
    ? livePids(probe.paths.segment, facts.sessionsOffset, facts.sessionCount)
    : [];
  if (pids.length > 0) {
    const users = `which process ${pids.join(", ")} uses`;
    return refuse(probe, "PERMISSION", `${reason}, ${users}; ${advice}`);
  }
  if (isCurrent && !facts.durable) {
    const lost = "and has commits that are not in its log yet";
    const { directory } = facts;
    const where = directory === "" ? "open that once" : `open ${directory} once`;
    const remove = `if it is gone, run \`aerostore segments remove ${probe.paths.segment}\``;
    return refuse(probe, "PERMISSION", `${reason}, ${lost}; ${where}, or ${remove}, or ${advice}`);
  }
  return judgeLeftBehind(probe);
}

/** The segment of last time, if it was elsewhere, may hold commits that the log does not. */
function judgeLeftBehind(probe: SegmentProbe): BootEvent {
  const { identity, bootId } = probe.expected;
  if (identity.segment === probe.paths.segment) return { kind: "unused" };
  let left: Found;
  try {
    left = probe.read(identity.segment);
  } catch {
    return { kind: "unused" };
  }
  if (left.kind !== "valid" || left.facts.bootId !== bootId || left.facts.durable) {
    return { kind: "unused" };
  }
  return refuse(
    probe,
    "PERMISSION",
    `the segment that it had last, ${identity.segment}, has commits that are not in the log ` +
      "yet; open it there once, without another shmPath",
  );
}

function refuse(probe: SegmentProbe, code: ErrorCode, why: string): BootEvent {
  const { directory, segment } = probe.paths;
  const message = `opening the database ${directory} with the segment ${segment}: ${why}`;
  return { kind: "failed", error: new AerostoreError(code, message, { path: segment }) };
}

/** How many sessions are attached to the database, by the locks that they hold. */
export function liveSessions({ calls, paths, expected }: SegmentProbe): number {
  const count = new Uint32Array(new ArrayBuffer(4));
  const status = calls.aerostore_lock_sessions(expected.lock.at, count);
  if (status !== Status.ok) throw bootError(status, paths.lock);
  return count[0] ?? 0;
}

/** Living processes that say they are attached to a segment whose lock file is not known here. */
export function livePids(segment: string, offset: number, count: number): number[] {
  const slots = new Uint8Array(count * structs.sessionSlot.size);
  const fd = openSync(segment, "r");
  try {
    readSync(fd, slots, 0, slots.length, offset);
  } finally {
    closeSync(fd);
  }
  return attachedPids(slots, structs.sessionSlot).filter(isAlive);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
