/** Where a database's files and its segment are. */

import { AerostoreError } from "../errors.ts";

/** The data directory when none is given, relative to the working directory. */
export const dataDirectoryDefault = "./aerostore_data";
const defaultName = "aerostore_data";

const sharedMemory = "/dev/shm";

/** The files of a data directory, and the segment beside them. */
export interface DatabasePaths {
  /** Real path of the data directory. */
  readonly directory: string;
  /** Held by the one who boots, and byte by byte by every session. */
  readonly lock: string;
  /** Database id and last segment path. */
  readonly identity: string;
  readonly log: string;
  readonly checkpoint: string;
  readonly segment: string;
}

/** How a segment path may be chosen; the first that is given counts. */
export interface SegmentChoice {
  /** The `shmPath` option. */
  readonly option: string | undefined;
  /** `AEROSTORE_SHM_PATH`. */
  readonly environment: string | undefined;
  /** Where the database was last, whatever directory it was opened from. */
  readonly recorded: string | undefined;
}

/** The paths of the database in `directory`, a real path, opened from `workingDirectory`. */
export function pathsFor(
  directory: string,
  workingDirectory: string,
  choice: SegmentChoice,
): DatabasePaths {
  return {
    directory,
    lock: `${directory}/aerostore.lock`,
    identity: `${directory}/aerostore.id`,
    log: `${directory}/aerostore.wal`,
    checkpoint: `${directory}/occ_checkpoint.dat`,
    segment:
      given(choice.option) ??
      given(choice.environment) ??
      given(choice.recorded) ??
      segmentPathDefault(directory, workingDirectory),
  };
}

/** `/dev/shm/aerostore.mmap` for the default directory, else a name derived from the real path. */
export function segmentPathDefault(directory: string, workingDirectory: string): string {
  if (directory === `${workingDirectory}/${defaultName}`) return `${sharedMemory}/aerostore.mmap`;
  const hash = new Bun.CryptoHasher("sha256").update(directory).digest("hex").slice(0, 16);
  return `${sharedMemory}/aerostore-${hash}.mmap`;
}

/** The name of a database whose usual one another database has. */
export function segmentPathApart(directory: string, databaseId: string): string {
  const hash = new Bun.CryptoHasher("sha256").update(`${databaseId}\0${directory}`).digest("hex");
  return `${sharedMemory}/aerostore-${hash.slice(0, 16)}.mmap`;
}

/** Whether a segment's path is one that this code chooses, and not the user. */
export function isChosenPath(segment: string): boolean {
  return /^\/dev\/shm\/aerostore(?:-[0-9a-f]{16})?\.mmap$/.test(segment);
}

/** **Throws** `INVALID_VALUE` for a segment in the data directory, where only its own files are. */
export function refuseSegmentInside(
  { directory, segment }: DatabasePaths,
  workingDirectory: string,
): void {
  const absolute = segment.startsWith("/") ? segment : `${workingDirectory}/${segment}`;
  const path = Bun.fileURLToPath(Bun.pathToFileURL(absolute));
  if (path !== directory && !path.startsWith(`${directory}/`)) return;
  throw new AerostoreError(
    "INVALID_VALUE",
    `opening the database ${directory} with the segment ${segment}: the segment lies in the data ` +
      "directory, which is for the files of the log and the checkpoint; choose a path elsewhere " +
      "with shmPath (--shm), in /dev/shm at best",
    { path: segment },
  );
}

function given(path: string | undefined): string | undefined {
  return path === "" ? undefined : path;
}
