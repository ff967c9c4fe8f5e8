/**
 * What set-up has made (`cli/prebuild.ts`), each with a stamp that names the files it was made of:
 * the engine, and the package and the command line as bundles with the bytecode of their functions,
 * so that a new process transpiles and parses nothing. A bundle is taken only where it is of these
 * sources in this folder: whoever edits a source runs the sources until the next set-up.
 *
 * Every start runs this file. It imports nothing, since `node:fs` alone takes 3 ms.
 */

export type Product = "engine" | "index" | "main";

/** A file with the time of its last change; the path is relative to the root of the package. */
export type Stamped = readonly [path: string, changedAt: number];

export interface Stamp {
  /** Of these sources: a bundle knows its engine by its whole path. */
  readonly folder: string;
  /** Version of the Bun that made it: its bytecode is of no use to another. */
  readonly bun: string;
  /** The product, relative to the root. */
  readonly path: string;
  /** The product, and what it was made of. */
  readonly files: readonly Stamped[];
}

const root = `${import.meta.dir}/..`;
export const folder: string = `${root}/src`;
export const stamps: string = `${root}/zig-out/runtime`;

/** The stamp of a product that is what set-up would make of the files of now. */
export function findCurrent(product: Product): Stamp | undefined {
  try {
    const stamp: Stamp = require(`${stamps}/${product}.json`);
    if (stamp.folder !== folder || stamp.bun !== Bun.version) return undefined;
    for (const [path, changedAt] of stamp.files) {
      if (Bun.file(`${root}/${path}`).lastModified !== changedAt) return undefined;
    }
    return stamp;
  } catch {
    return undefined;
  }
}

/** What to load for the package or the command line: its bundle, or else its source. */
export function findProgram(product: "index" | "main", source: string): string {
  const stamp = findCurrent(product);
  return stamp === undefined ? source : `${root}/${stamp.path}`;
}

/** Whether set-up would find nothing to do. */
export function isSetUp(): boolean {
  const products: readonly Product[] = ["engine", "index", "main"];
  return products.every((product) => findCurrent(product) !== undefined);
}
