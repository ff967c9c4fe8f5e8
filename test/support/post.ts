/** What a child of a crew was started with. */
import { existsSync } from "node:fs";
import { open } from "../../src/index.ts";
import type { Database, OpenOptions } from "../../src/index.ts";

const [, , data = "", shmPath = "", stopFile = "", ...words] = process.argv;

/**
 * Bytes of a test's segment: small, so that reuse of memory is part of every test. Where a process
 * is stopped for long, all that the others free meanwhile has to fit.
 */
const maxBytesDefault = Number(process.env["AEROSTORE_TEST_BYTES"] ?? 64 << 20);

export const post = {
  data,
  shmPath,
  /** What was asked of this child. */
  words: words as readonly string[],

  word(index: number): string {
    return words[index] ?? "";
  },

  number(index: number): number {
    const value = Number(words[index]);
    if (!Number.isFinite(value)) throw new TypeError(`word ${index} is no number: ${words[index]}`);
    return value;
  },

  /** Whether the crew was asked to stop. */
  get isOver(): boolean {
    return existsSync(stopFile);
  },

  /** Opens the crew's database. */
  async open(options: OpenOptions = {}): Promise<Database> {
    return open(data, { shmPath, maxBytes: maxBytesDefault, ...options });
  },
} as const;
