/**
 * Notes the files that the engine of a checkout was built from, so that the command line can start
 * without asking Zig. Every start runs this file; it imports nothing, since `node:fs` alone takes
 * longer than the look at all these files.
 */

/** A file with the time of its last change; the path is relative to the root of the checkout. */
export type Stamped = readonly [path: string, changedAt: number];

const root = `${import.meta.dir}/..`;
export const stampPath: string = `${root}/zig-out/engine.json`;

/** Whether set-up would find nothing to do: all that it looked at is as it was. */
export function isSetUp(): boolean {
  try {
    const files: readonly Stamped[] = require(stampPath);
    return files.every(
      ([path, changedAt]) => Bun.file(`${root}/${path}`).lastModified === changedAt,
    );
  } catch {
    return false;
  }
}
