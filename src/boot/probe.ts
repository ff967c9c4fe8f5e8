/**
 * What boot learns about an existing segment: whether it can be attached, and if not, whether it
 * may be replaced.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { AerostoreError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { layoutFingerprint, layouts, Status } from "../ffi/abi.gen.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { bootError } from "./failure.ts";
import { attachedPids, validateHeader } from "./header.ts";
import type { HeaderVerdict, SegmentLayouts } from "./header.ts";
import type { Identity } from "./identity.ts";
import type { BootEvent } from "./machine.ts";
import type { DatabasePaths } from "./paths.ts";

/** What a segment must say of itself to be ours. */
export interface ProbeExpectation {
  readonly identity: Identity;
  /** Of the running kernel, as hexadecimal digits. */
  readonly bootId: string;
}

const structs: SegmentLayouts = {
  header: layouts.SegmentHeader,
  geometry: layouts.Geometry,
  sessionSlot: layouts.SessionSlot,
};
const formatVersion = 1;

type Found = HeaderVerdict | { readonly kind: "absent"; readonly reason: string };

/** Looks at the segment of one database, under its boot lock. */
export class SegmentProbe {
  readonly #calls: Symbols;
  readonly #paths: DatabasePaths;
  readonly #expected: ProbeExpectation;
  #found: Found | undefined;

  constructor(calls: Symbols, paths: DatabasePaths, expected: ProbeExpectation) {
    this.#calls = calls;
    this.#paths = paths;
    this.#expected = expected;
  }

  /** Whether the segment's header is valid. **Throws** `PERMISSION` for what is not ours. */
  look(): BootEvent {
    this.#found = this.#read(this.#paths.segment);
    if (this.#found.kind === "valid") return { kind: "valid" };
    const { kind, reason } = this.#found;
    return { kind: "invalid", reason: kind === "absent" ? reason : `the segment: ${reason}` };
  }

  /** Whether a segment that cannot be attached, for `reason`, may be replaced. */
  count(reason: string): BootEvent {
    const users = this.#liveSessions();
    if (users > 0) {
      const code = this.#codeWhileUsed();
      return this.#refuse(
        code,
        `${reason}, and the database is used by ${users} live sessions; ` +
          "close them all, or open it with the segment path that they use",
      );
    }
    const found = this.#found;
    if (found?.kind === "unreadable" && found.isNewer === true) {
      return this.#refuse("LAYOUT_MISMATCH", `${reason}; open it with a newer engine`);
    }
    if (found?.kind === "unfit" && found.facts.isOtherBuild) {
      const isCurrent = found.facts.bootId === this.#expected.bootId;
      if (isCurrent && !found.facts.durable) {
        const lost = "and has commits that are not in the log yet";
        const advice = "open it with that build once, or remove it";
        return this.#refuse("LAYOUT_MISMATCH", `${reason}, ${lost}; ${advice}`);
      }
      return this.#checkLeftBehind();
    }
    if (found?.kind === "unfit" && found.facts.databaseId !== this.#expected.identity.databaseId) {
      return this.#countForeign(found);
    }
    return this.#checkLeftBehind();
  }

  #codeWhileUsed(): ErrorCode {
    const found = this.#found;
    if (found?.kind === "unreadable") return "LAYOUT_MISMATCH";
    if (found?.kind === "unfit" && found.facts.isOtherBuild) return "LAYOUT_MISMATCH";
    return found?.kind === "unfit" && found.facts.poisoned ? "LOG_POISONED" : "SEGMENT_CORRUPT";
  }

  /** A segment of another database is replaced only when that loses nothing. */
  #countForeign({ facts, reason }: Extract<HeaderVerdict, { readonly kind: "unfit" }>): BootEvent {
    const advice = "choose another path with shmPath (--shm)";
    const isCurrent = facts.bootId === this.#expected.bootId;
    const pids = isCurrent ? this.#livePids(facts.sessionsOffset, facts.sessionCount) : [];
    if (pids.length > 0) {
      return this.#refuse(
        "PERMISSION",
        `${reason}, which process ${pids.join(", ")} uses; ${advice}`,
      );
    }
    if (isCurrent && !facts.durable) {
      const lost = "and has commits that are not in its log yet";
      return this.#refuse("PERMISSION", `${reason}, ${lost}; open that once, or ${advice}`);
    }
    return this.#checkLeftBehind();
  }

  /** The segment of last time, if it was elsewhere, may hold commits that the log does not. */
  #checkLeftBehind(): BootEvent {
    const { identity, bootId } = this.#expected;
    if (identity.segment === this.#paths.segment) return { kind: "unused" };
    let left: Found;
    try {
      left = this.#read(identity.segment);
    } catch {
      return { kind: "unused" };
    }
    if (left.kind !== "valid" || left.facts.bootId !== bootId || left.facts.durable) {
      return { kind: "unused" };
    }
    return this.#refuse(
      "PERMISSION",
      `the segment that it had last, ${identity.segment}, has commits that are not in the log ` +
        "yet; open it there once, without another shmPath",
    );
  }

  #refuse(code: ErrorCode, why: string): BootEvent {
    const { directory, segment } = this.#paths;
    const message = `opening the database ${directory} with the segment ${segment}: ${why}`;
    return { kind: "failed", error: new AerostoreError(code, message, { path: segment }) };
  }

  #read(segment: string): Found {
    const path = new TextEncoder().encode(segment);
    const bytes = new Uint8Array(new ArrayBuffer(structs.header.size));
    const size = new Float64Array(new ArrayBuffer(8));
    const status = this.#calls.aerostore_segment_probe(path, path, bytes, bytes, size);
    if (status === Status.not_found) return { kind: "absent", reason: "there was no segment" };
    if (status !== Status.ok) throw bootError(status, segment);
    return validateHeader(bytes, structs, {
      formatVersion,
      fingerprint: layoutFingerprint,
      databaseId: this.#expected.identity.databaseId,
      bootId: this.#expected.bootId,
      fileSize: size[0] ?? 0,
    });
  }

  #liveSessions(): number {
    const path = new TextEncoder().encode(this.#paths.lock);
    const count = new Uint32Array(new ArrayBuffer(4));
    const status = this.#calls.aerostore_lock_sessions(path, path, count);
    if (status !== Status.ok) throw bootError(status, this.#paths.lock);
    return count[0] ?? 0;
  }

  /** Living processes that say they are attached to a segment whose lock file is not known here. */
  #livePids(offset: number, count: number): number[] {
    const slots = new Uint8Array(count * structs.sessionSlot.size);
    const fd = openSync(this.#paths.segment, "r");
    try {
      readSync(fd, slots, 0, slots.length, offset);
    } finally {
      closeSync(fd);
    }
    return attachedPids(slots, structs.sessionSlot).filter(isAlive);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
