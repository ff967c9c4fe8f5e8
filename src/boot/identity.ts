/**
 * `aerostore.id` in the data directory: the id that ties directory, segment, log and checkpoint
 * together, and where the segment was last, so that every process finds the same one whatever
 * directory it starts from. Written under the boot lock (`build.ts`).
 */
import { AerostoreError } from "../errors.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { readSmallFile } from "./files.ts";
import type { BootLock } from "./files.ts";

/** Its name in the data directory. */
export const identityName = "aerostore.id";

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

/** What the file has. */
export function identityText({ databaseId, segment }: Identity): string {
  return `${databaseId}\n${segment}\n`;
}

/**
 * The identity stored in a data directory, or `undefined` when there is none yet. **Throws**
 * `CHECKPOINT_CORRUPT` when the file is not what `identityText` makes: without the id nobody can
 * say which segment and log belong together.
 */
export function readIdentity(calls: Symbols, { at, directory }: BootLock): Identity | undefined {
  const text = readSmallFile(calls, at, identityName);
  const path = `${directory}/${identityName}`;
  if (text === undefined) return undefined;
  const [, databaseId, segment] = /^([0-9a-f]{32})\n([^\n]+)\n$/.exec(text) ?? [];
  if (databaseId === undefined || segment === undefined) {
    throw new AerostoreError(
      "CHECKPOINT_CORRUPT",
      `reading the database id from ${path}: the file is damaged; restore it from a backup`,
      { path, offset: 0 },
    );
  }
  return { databaseId, segment };
}

/** A directory with a log or a checkpoint, and nothing that says whose they are. */
export function missingIdentity(path: string): AerostoreError {
  const message =
    `reading the database id from ${path}: there is a log or a checkpoint, but not this file, ` +
    "which says whose they are; restore it from a backup, or move the others away";
  return new AerostoreError("CHECKPOINT_CORRUPT", message, { path, offset: 0 });
}
