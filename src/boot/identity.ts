/**
 * `aerostore.id` in the data directory: the id that ties directory, segment, log and checkpoint
 * together, and where the segment was last, so that every process finds the same one whatever
 * directory it starts from. Written under the boot lock.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { AerostoreError } from "../errors.ts";

export interface Identity {
  /** 16 bytes as hexadecimal digits. */
  readonly databaseId: string;
  /** Path of the segment that was attached last. */
  readonly segment: string;
}

/** A new random id. */
export function makeDatabaseId(): string {
  return crypto.getRandomValues(new Uint8Array(16)).toHex();
}

/**
 * The identity stored at `path`, or `undefined` when there is none yet. **Throws**
 * `CHECKPOINT_CORRUPT` when the file is not what `writeIdentity` writes: without the id nobody can
 * say which segment and log belong together.
 */
export function readIdentity(path: string): Identity | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  const [, databaseId, segment] = /^([0-9a-f]{32})\n([^\n]+)\n$/.exec(text) ?? [];
  if (databaseId === undefined || segment === undefined) {
    throw new AerostoreError(
      "CHECKPOINT_CORRUPT",
      `reading the database id from ${path}: the file is damaged; restore it from a backup`,
      { path },
    );
  }
  return { databaseId, segment };
}

/** Stores the identity so that it survives power loss: all of it, or what was there before. */
export function writeIdentity(path: string, identity: Identity): void {
  const temporary = `${path}.tmp`;
  const fd = openSync(temporary, "w", 0o600);
  try {
    writeSync(fd, `${identity.databaseId}\n${identity.segment}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncDirectory(dirname(path));
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
