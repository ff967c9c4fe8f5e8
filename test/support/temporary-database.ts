/** Databases for tests: a directory and a segment that nobody else uses, removed at the end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { open } from "../../src/index.ts";
import type { Database, OpenOptions } from "../../src/index.ts";

export class TemporaryDatabase implements Disposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), "aerostore-test-"));
  readonly shmPath: string = join("/dev/shm", `${basename(this.directory)}.mmap`);
  readonly #opened: Database[] = [];

  /** Another handle. Small, unless the options say otherwise. */
  async open(options: OpenOptions = {}): Promise<Database> {
    const all = { shmPath: this.shmPath, maxBytes: 32 << 20, maxSessions: 16, ...options };
    const database = await open(this.directory, all);
    this.#opened.push(database);
    return database;
  }

  /** Path of a file in the data directory. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Closes every handle and removes the segment, so that the next open is a cold one. */
  dropSegment(): void {
    this.closeAll();
    rmSync(this.shmPath, { force: true });
  }

  closeAll(): void {
    for (const database of this.#opened.splice(0)) database.close();
  }

  [Symbol.dispose](): void {
    this.dropSegment();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The code of the error that `run` throws; `none` if it throws none. */
export async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
  return "none";
}
