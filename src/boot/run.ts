/**
 * Runs the boot machine: does what its effects say and tells it what came of them. What an effect
 * needs from an earlier one is kept in `Boot`; decisions are all in `machine.ts`.
 */
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import type { RecoveryProgress } from "../recovery/recover.ts";
import { bootError, systemError } from "./failure.ts";
import { encodePath, kernelBootId, readSmallFile, releaseBootLock, takeBootLock } from "./files.ts";
import type { BootLock } from "./files.ts";
import { identityName, makeDatabaseId, missingIdentity, readIdentity } from "./identity.ts";
import type { Identity } from "./identity.ts";
import { bootInitial, nothingRecovered, transition } from "./machine.ts";
import type { BootEffect, BootEvent, BootMode, BootState, RecoveryReport } from "./machine.ts";
import { isChosenPath, pathsFor, refuseSegmentInside, segmentPathApart } from "./paths.ts";
import type { DatabasePaths } from "./paths.ts";
import type { HeaderFacts } from "./header.ts";
import { SegmentProbe } from "./probe.ts";

/** What the caller of `open` wants. */
export interface BootRequest {
  readonly directory: string;
  /** The `shmPath` option. */
  readonly shmPath: string | undefined;
  /** Size of a segment that has to be created: a multiple of 1 MiB. */
  readonly segmentSize: number;
  readonly sessionCount: number;
  /** An existing segment that has less is rebuilt: the size and the sessions asked for. */
  readonly leastSize?: number | undefined;
  readonly leastSessions?: number | undefined;
  /** It is also rebuilt where it has more. */
  readonly isExact?: boolean | undefined;
  /** Whether a database is made where there is none. Default true. */
  readonly create?: boolean | undefined;
  /** Attaches to a segment that is there, and makes nothing. */
  readonly readOnly?: boolean | undefined;
  /** How long another process may boot or recover before this one gives up. */
  readonly lockTimeoutMs: number;
  readonly onProgress: ((progress: BootProgress) => void) | undefined;
}

/** Told at each step, and at each slice of recovery. */
export interface BootProgress {
  readonly state: BootState["kind"];
  /** Why the segment is built anew, once that is known. */
  readonly reason: string | undefined;
  readonly recovery: RecoveryProgress | undefined;
  readonly elapsedMs: number;
}

/** How a database came up. */
export interface BootReport {
  readonly mode: BootMode;
  readonly reason: string;
  readonly elapsedMs: number;
  /** Sessions of dead processes that were repaired on the way. */
  readonly orphansCleared: number;
  readonly rowsLoaded: number;
  readonly recordsReplayed: number;
  /** Bytes of a torn tail that were cut off the log. */
  readonly truncatedBytes: number;
  /** Options of `open` that had no effect, each with the reason. */
  readonly ignored: readonly string[];
}

/** An attached session as the engine gave it. */
export interface OpenedSession {
  readonly handle: number;
  /** Address of its io block. */
  readonly ioAddress: number;
  readonly orphansRepaired: number;
}

export interface Booted {
  readonly report: BootReport;
  readonly session: OpenedSession;
  readonly paths: DatabasePaths;
  /** 16 bytes as hexadecimal digits. */
  readonly databaseId: string;
}

const lockPauseMs = 5;

/** What an effect leads to; none for those that only end something. */
type Outcome = BootEvent | undefined;

/**
 * Attaches to the database in `request.directory`, which is created if it is missing.
 *
 * **Throws** `PERMISSION`, `IO_ERROR`, `LAYOUT_MISMATCH` and `SEGMENT_CORRUPT` (while others use
 * the segment), `WAL_CORRUPT`, `CHECKPOINT_CORRUPT`, `SEGMENT_FULL`, `TOO_MANY_SESSIONS`,
 * `LOCK_TIMEOUT`.
 */
export async function boot(calls: Symbols, request: BootRequest): Promise<Booted> {
  const run = new Boot(calls, request);
  let { state, effects } = transition(bootInitial, { kind: "begin" });
  while (effects.length > 0) {
    run.tell(state);
    let event: BootEvent | undefined;
    for (const effect of effects) {
      const outcome = run.perform(effect);
      // A warm attach waits for nothing, so it takes no turn of the event loop.
      event = (outcome instanceof Promise ? await outcome : outcome) ?? event;
    }
    if (event === undefined) break;
    ({ state, effects } = transition(state, event));
  }
  return run.finish(state);
}

class Boot {
  readonly #calls: Symbols;
  readonly #request: BootRequest;
  readonly #startedAt = performance.now();
  #bootLock: BootLock | undefined;
  #paths: DatabasePaths | undefined;
  #identity: Identity | undefined;
  #probe: SegmentProbe | undefined;
  /** Path of a segment that is not published yet. */
  #temporary: string | undefined;
  #session: OpenedSession | undefined;
  #reason: string | undefined;
  readonly #ignored: string[] = [];

  constructor(calls: Symbols, request: BootRequest) {
    this.#calls = calls;
    this.#request = request;
  }

  /** Does `effect`; what came of it. Failures are events, too. */
  perform(effect: BootEffect): Outcome | Promise<Outcome> {
    try {
      const outcome = this.#do(effect);
      return outcome instanceof Promise ? outcome.catch((error) => this.#fail(error)) : outcome;
    } catch (error) {
      return this.#fail(error);
    }
  }

  #do(effect: BootEffect): Outcome | Promise<Outcome> {
    switch (effect.kind) {
      case "lock":
        return this.#lock();
      case "probe":
        return this.#look();
      case "attach":
        return this.#attach();
      case "count":
        return this.#count(effect.reason);
      case "create":
        return this.#create();
      case "recover":
        return this.#recover();
      case "publish":
        return this.#publish();
      case "discard":
        return this.#discard();
      case "unlock":
        return this.#unlock();
    }
  }

  #fail(error: unknown): BootEvent {
    const reason = error instanceof Error ? error : new Error(String(error));
    return { kind: "failed", error: systemError("opening a database", this.#place, reason) };
  }

  tell(state: BootState, recovery?: RecoveryProgress): void {
    this.#request.onProgress?.({
      state: state.kind,
      reason: this.#reason,
      recovery,
      elapsedMs: performance.now() - this.#startedAt,
    });
  }

  finish(state: BootState): Booted {
    if (state.kind === "failed") throw state.error;
    const [session, paths] = [this.#session, this.#paths];
    if (state.kind !== "ready" || session === undefined || paths === undefined) {
      throw new Error(`boot: ended while ${state.kind}`);
    }
    const { rowsLoaded, recordsReplayed, truncatedBytes, note } = state.recovery;
    const report: BootReport = {
      mode: state.mode,
      reason: note === "" ? state.reason : `${state.reason}; ${note}`,
      elapsedMs: performance.now() - this.#startedAt,
      orphansCleared: session.orphansRepaired,
      rowsLoaded,
      recordsReplayed,
      truncatedBytes,
      ignored: this.#ignored,
    };
    return { report, session, paths, databaseId: this.#identity?.databaseId ?? "" };
  }

  get #place(): string {
    return this.#paths?.segment ?? this.#request.directory;
  }

  get #known(): DatabasePaths {
    if (this.#paths === undefined) throw new Error("boot: the paths are known behind the lock");
    return this.#paths;
  }

  get #lockHeld(): BootLock {
    if (this.#bootLock === undefined) throw new Error("boot: this needs the boot lock");
    return this.#bootLock;
  }

  get #probing(): SegmentProbe {
    if (this.#probe === undefined) throw new Error("boot: there is no probe before the lock");
    return this.#probe;
  }

  get #mayCreate(): boolean {
    const { create = true, readOnly = false } = this.#request;
    return create && !readOnly;
  }

  #lock(): BootEvent | Promise<BootEvent> {
    const { directory } = this.#request;
    if (directory === "") throw new RangeError("the data directory has no name: give its path");
    // Before the lock, whose file would be made.
    if (!this.#mayCreate) refuseMissing(this.#calls, directory);
    const lock = takeBootLock(this.#calls, this.#request.directory);
    return typeof lock === "number" ? this.#waitForLock(lock) : this.#identify(lock);
  }

  async #waitForLock(status: Status): Promise<BootEvent> {
    const { directory, lockTimeoutMs } = this.#request;
    const deadline = performance.now() + lockTimeoutMs;
    let lock: BootLock | Status = status;
    if (lock === Status.not_found) {
      (await building()).makeDirectory(directory);
      lock = takeBootLock(this.#calls, directory);
    }
    while (lock === Status.busy) {
      if (performance.now() > deadline) {
        const found = `another process has been booting it for ${lockTimeoutMs} ms`;
        throw bootError(Status.lock_timeout, directory, found);
      }
      await Bun.sleep(lockPauseMs);
      lock = takeBootLock(this.#calls, directory);
    }
    if (lock === Status.permission) throw (await building()).ownerError(directory);
    if (typeof lock === "number") throw bootError(lock, directory);
    return this.#identify(lock);
  }

  /** Whose directory it is, after the lock, which is given back where that is an error. */
  #identify(lock: BootLock): BootEvent | Promise<BootEvent> {
    this.#bootLock = lock;
    const giveBack = (error: unknown): never => {
      this.#unlock();
      throw error;
    };
    try {
      const event = this.#identified(lock);
      return event instanceof Promise ? event.catch(giveBack) : event;
    } catch (error) {
      return giveBack(error);
    }
  }

  #identified(lock: BootLock): BootEvent | Promise<BootEvent> {
    const identity = readIdentity(this.#calls, lock);
    this.#paths = pathsFor(lock.directory, process.cwd(), {
      option: this.#request.shmPath,
      environment: process.env["AEROSTORE_SHM_PATH"],
      recorded: identity?.segment,
    });
    if (identity?.segment !== this.#paths.segment) {
      refuseSegmentInside(this.#paths, process.cwd());
    }
    if (identity === undefined) return this.#makeIdentity(this.#paths);
    return this.#locked(identity, this.#paths);
  }

  async #makeIdentity(paths: DatabasePaths): Promise<BootEvent> {
    const { hasHistory, syncAbove, writeIdentity } = await building();
    if (hasHistory(this.#lockHeld)) throw missingIdentity(paths.identity);
    syncAbove(paths.directory);
    const identity = { databaseId: makeDatabaseId(), segment: paths.segment };
    writeIdentity(this.#calls, this.#lockHeld, identity);
    return this.#locked(identity, paths);
  }

  #locked(identity: Identity, paths: DatabasePaths): BootEvent {
    this.#identity = identity;
    const bootId = kernelBootId(this.#calls);
    const lock = this.#lockHeld;
    this.#probe = new SegmentProbe(this.#calls, paths, { identity, bootId, lock });
    return { kind: "locked" };
  }

  /** Looks at the segment; under another name where another database has the usual one. */
  #look(): BootEvent | Promise<BootEvent> {
    const event = this.#probing.look();
    const { found, paths } = this.#probing;
    if (found?.kind === "valid") return this.#judgeSize(found.facts, event);
    if (found?.kind === "unfit" && found.facts.isForeign && this.#isNameFree) {
      const { directory } = found.facts;
      const isThere = directory === "" || hasDatabase(this.#calls, directory);
      const databaseId = this.#identity?.databaseId ?? "";
      const segment = segmentPathApart(paths.directory, databaseId);
      if (isThere && segment !== paths.segment) {
        this.#paths = { ...paths, segment };
        this.#locked({ databaseId, segment: this.#identity?.segment ?? segment }, this.#paths);
        return this.#look();
      }
    }
    return event.kind === "invalid" && this.#request.readOnly === true
      ? { kind: "failed", error: this.#nothingToRead(event.reason) }
      : event;
  }

  /** Whether this code chose the segment's name, and so may choose another one. */
  get #isNameFree(): boolean {
    const environment = process.env["AEROSTORE_SHM_PATH"] ?? "";
    if (this.#request.shmPath !== undefined || environment !== "") return false;
    return isChosenPath(this.#known.segment);
  }

  #nothingToRead(reason: string): AerostoreError {
    const { directory, segment } = this.#known;
    return new AerostoreError(
      "READ_ONLY",
      `opening the database ${directory} read-only: ${reason}, and such a handle makes none; ` +
        "open it once without readOnly (--read-only)",
      { path: segment },
    );
  }

  /** A segment with less than was asked for is rebuilt, where that is possible now. */
  #judgeSize(facts: HeaderFacts, valid: BootEvent): BootEvent | Promise<BootEvent> {
    const { leastSize, leastSessions, isExact = false, readOnly } = this.#request;
    const wishes: string[] = [];
    if (leastSize !== undefined && leastSize !== facts.size) {
      wishes.push(`maxBytes: the segment has ${facts.size} bytes, not ${leastSize}`);
    }
    if (leastSessions !== undefined && leastSessions !== facts.sessionCount) {
      wishes.push(`maxSessions: the segment has ${facts.sessionCount}, not ${leastSessions}`);
    }
    if (wishes.length === 0) return valid;
    const isLarger = (leastSize ?? 0) > facts.size || (leastSessions ?? 0) > facts.sessionCount;
    if ((isLarger || isExact) && readOnly !== true) return this.#enlarge(facts, wishes, valid);
    const reason = isLarger ? "this handle is read-only" : "`aerostore resize` makes it smaller";
    for (const wish of wishes) this.#ignored.push(`${wish}; ${reason}`);
    return valid;
  }

  async #enlarge(
    { durable }: HeaderFacts,
    wishes: readonly string[],
    valid: BootEvent,
  ): Promise<BootEvent> {
    const { liveSessions } = await import("./use.ts");
    const users = liveSessions(this.#probing);
    if (users === 0 && durable) return { kind: "invalid", reason: wishes.join("; ") };
    const reason =
      users > 0
        ? `${users} sessions use it; close them all and open it again, or \`aerostore resize\``
        : "it has commits that are not in the log yet; open it again";
    for (const wish of wishes) this.#ignored.push(`${wish}; ${reason}`);
    return valid;
  }

  #attach(): BootEvent | Promise<BootEvent> {
    const status = this.#open(this.#known.segment);
    switch (status) {
      case Status.ok:
        return this.#isRecorded ? { kind: "attached" } : this.#recordAttached();
      case Status.layout_mismatch:
        return { kind: "refused", reason: "another build of the engine made the segment" };
      case Status.segment_corrupt:
        return {
          kind: "refused",
          reason:
            "the segment is damaged: its header (checksum, commit numbers) or its catalog is wrong",
        };
      default:
        throw bootError(status, this.#known.segment);
    }
  }

  async #recordAttached(): Promise<BootEvent> {
    await this.#record();
    return { kind: "attached" };
  }

  async #count(reason: string): Promise<BootEvent> {
    this.#reason = reason;
    return (await import("./use.ts")).judgeUse(this.#probing, reason);
  }

  async #create(): Promise<BootEvent> {
    const { segment } = this.#known;
    const { encodeOptions, prepareTemporary } = await building();
    const { segmentSize, sessionCount } = this.#request;
    const temporary = prepareTemporary(segment);
    const path = encodePath(temporary);
    const options = encodeOptions({
      segmentSize,
      sessionCount,
      databaseId: this.#identity?.databaseId ?? "",
      bootId: kernelBootId(this.#calls),
      lockFile: this.#lockHeld.lockFile,
      directory: this.#known.directory,
    });
    const status = this.#calls.aerostore_segment_create(path, path, options);
    if (status === Status.no_space) throw bootError(Status.segment_full, segment);
    if (status !== Status.ok) throw bootError(status, segment);
    this.#temporary = temporary;
    return { kind: "created" };
  }

  async #recover(): Promise<BootEvent> {
    const { directory } = this.#known;
    const temporary = this.#temporary ?? "";
    const status = this.#open(temporary);
    if (status !== Status.ok) throw bootError(status, temporary);
    let report: RecoveryReport = nothingRecovered;
    const { hasHistory, recover } = await building();
    if (!hasHistory(this.#lockHeld)) return { kind: "recovered", recovery: report };
    const handle = this.#session?.handle ?? 0;
    for (const progress of recover(this.#calls, handle, directory)) {
      this.tell({ kind: "recovering", reason: this.#reason ?? "" }, progress);
      report = { ...progress, note: noteOf(progress) };
      await Bun.sleep(0);
    }
    return { kind: "recovered", recovery: report };
  }

  async #publish(): Promise<BootEvent> {
    const [from, to] = [encodePath(this.#temporary ?? ""), encodePath(this.#known.segment)];
    const status = this.#calls.aerostore_segment_publish(from, from, to, to);
    if (status !== Status.ok) throw bootError(status, this.#known.segment);
    this.#temporary = undefined;
    await this.#record();
    return { kind: "published" };
  }

  async #discard(): Promise<undefined> {
    if (this.#session !== undefined) {
      this.#calls.aerostore_session_close(this.#session.handle);
      this.#session = undefined;
    }
    if (this.#temporary !== undefined) (await building()).removeFile(this.#temporary);
    this.#temporary = undefined;
  }

  #unlock(): undefined {
    if (this.#bootLock !== undefined) releaseBootLock(this.#calls, this.#bootLock);
    this.#bootLock = undefined;
  }

  #open(path: string): Status {
    const segment = encodePath(path);
    const out = new Uint8Array(new ArrayBuffer(layouts.SessionOpened.size));
    const { at } = this.#lockHeld;
    const status = this.#calls.aerostore_session_open(segment, segment, at, out);
    if (status !== Status.ok) return status;
    const { fields } = layouts.SessionOpened;
    const view = new DataView(out.buffer);
    this.#session = {
      handle: view.getUint32(fields.handle.offset, true),
      ioAddress: view.getFloat64(fields.io_address.offset, true),
      orphansRepaired: view.getUint32(fields.orphans_repaired.offset, true),
    };
    return status;
  }

  get #isRecorded(): boolean {
    return this.#identity?.segment === this.#known.segment;
  }

  /** Notes where the segment is, for processes that start elsewhere. */
  async #record(): Promise<void> {
    const { segment } = this.#known;
    if (this.#identity === undefined || this.#isRecorded) return;
    const { writeIdentity } = await building();
    writeIdentity(this.#calls, this.#lockHeld, { ...this.#identity, segment });
  }
}

/** Whether there is any file of a database: a log without an identity is damage, not absence. */
function hasDatabase(calls: Symbols, directory: string): boolean {
  return [identityName, "aerostore.wal", "occ_checkpoint.dat"].some((name) => {
    try {
      return readSmallFile(calls, 0, `${directory}/${name}`) !== undefined;
    } catch {
      return true;
    }
  });
}

/** **Throws** `IO_ERROR` where there is no database. */
function refuseMissing(calls: Symbols, directory: string): void {
  const path = directory.startsWith("/") ? directory : `${process.cwd()}/${directory}`;
  if (hasDatabase(calls, path)) return;
  throw new AerostoreError(
    "IO_ERROR",
    `opening "${directory}": there is no database, and this handle makes none; ` +
      "name another directory, or open it without readOnly and create: false",
    { path: directory },
  );
}

/** What is needed to make something. */
function building(): Promise<typeof import("./build.ts")> {
  return import("./build.ts");
}

function noteOf({ truncatedBytes }: RecoveryProgress): string {
  if (truncatedBytes === 0) return "";
  return `a torn tail of ${truncatedBytes} bytes was cut off the log`;
}
