/** The segments of this user in shared memory: whose they are, who has them open, and removal. */
import { closeSync, lstatSync, openSync, readdirSync, readSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { AerostoreError } from "../errors.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { kernelBootId, readSmallFile } from "./files.ts";
import { segmentMagic } from "./header.ts";
import type { HeaderFacts } from "./header.ts";
import { identityName } from "./identity.ts";
import { readHeader } from "./probe.ts";
import { livePids } from "./use.ts";

/** A segment, as its file tells it. */
export interface SegmentSummary {
  readonly path: string;
  /** Bytes of the file, and those of them that take memory. */
  readonly sizeBytes: number;
  readonly usedBytes: number;
  /** The data directory when the segment was made; empty when it is not known. */
  readonly directory: string;
  /** Whether that directory is there, and has this database. */
  readonly directoryState: "present" | "gone" | "another database" | "unknown";
  /** Processes that have it open. */
  readonly pids: readonly number[];
  /** Every commit is in the log. */
  readonly isLogged: boolean;
  /** Why this engine could not attach to it; empty when it could. */
  readonly problem: string;
}

const sharedMemory = "/dev/shm";

/** All segments of this user in shared memory, by path. */
export function listSegments(calls: Symbols, folder: string = sharedMemory): SegmentSummary[] {
  const paths = readdirSync(folder).sort();
  return paths.flatMap((name) => summaryOf(calls, join(folder, name)) ?? []);
}

/**
 * Removes a segment. **Throws** `PERMISSION` while a process has it open, and when it has commits
 * that are not in the log of a database that is, or may be, there; `IO_ERROR` for another file.
 */
export function removeSegment(calls: Symbols, path: string): SegmentSummary {
  const summary = summaryOf(calls, path);
  const refuse = (code: "PERMISSION" | "IO_ERROR", why: string): AerostoreError =>
    new AerostoreError(code, `removing the segment ${path}: ${why}`, { path });
  if (summary === undefined) {
    throw refuse("IO_ERROR", "it is no segment of this user; `aerostore segments` lists them");
  }
  if (summary.pids.length > 0) {
    throw refuse("PERMISSION", `process ${summary.pids.join(", ")} has it open; close that first`);
  }
  const { directoryState } = summary;
  const isLeft = directoryState === "gone" || directoryState === "another database";
  if (!summary.isLogged && !isLeft) {
    const where = summary.directory === "" ? "its directory" : summary.directory;
    throw refuse("PERMISSION", `it has commits that are not in the log; open ${where} once`);
  }
  unlinkSync(path);
  return summary;
}

/** `undefined` for what is no segment of this user. */
function summaryOf(calls: Symbols, path: string): SegmentSummary | undefined {
  const file = lstatSync(path, { throwIfNoEntry: false });
  if (file === undefined || !file.isFile() || file.uid !== (process.geteuid?.() ?? 0)) return;
  if (firstWord(path) !== segmentMagic) return;
  const sizes = { path, sizeBytes: file.size, usedBytes: file.blocks * 512 };
  const unread = { directory: "", directoryState: "unknown", pids: [], isLogged: false } as const;
  const found = readHeader(calls, path, {
    databaseId: "",
    bootId: kernelBootId(calls),
    lockFile: "",
  });
  if (found.kind === "absent") return;
  if (found.kind === "unreadable") return { ...sizes, ...unread, problem: found.reason };
  const { facts } = found;
  const isCurrent = facts.bootId === kernelBootId(calls);
  return {
    ...sizes,
    directory: facts.directory,
    directoryState: stateOf(calls, facts),
    pids: isCurrent ? livePids(path, facts.sessionsOffset, facts.sessionCount) : [],
    isLogged: facts.durable || !isCurrent,
    problem: facts.isOtherBuild ? "another build of the engine made it" : "",
  };
}

function stateOf(calls: Symbols, facts: HeaderFacts): SegmentSummary["directoryState"] {
  const { directory, databaseId } = facts;
  if (directory === "") return "unknown";
  try {
    const text = readSmallFile(calls, 0, `${directory}/${identityName}`);
    if (text === undefined) return "gone";
    return text.startsWith(databaseId) ? "present" : "another database";
  } catch {
    return "unknown";
  }
}

function firstWord(path: string): number {
  const word = new DataView(new ArrayBuffer(4));
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return 0;
  }
  try {
    readSync(file, word, 0, 4, 0);
    return word.getUint32(0, true);
  } finally {
    closeSync(file);
  }
}
