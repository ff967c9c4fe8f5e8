/**
 * Bundles the package and the command line, so that a new process need not transpile some 65 files
 * and parse functions that it never calls; `./prebuilt.ts` says when the bundles are taken.
 */
import { readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { findCurrent, folder, stamps } from "./prebuilt.ts";
import type { Product, Stamped } from "./prebuilt.ts";

const root = join(import.meta.dir, "..");
const source = join(root, "src");
/** By then no process that has read an older stamp is still about to load what it names. */
const keptForMs = 60 * 60 * 1000;

/** The files that the patterns name, with the times of their last changes. */
export function stampFiles(...patterns: readonly string[]): Stamped[] {
  return patterns.flatMap((pattern) =>
    [...new Bun.Glob(pattern).scanSync({ cwd: root })].map((path): Stamped => {
      return [path, Bun.file(join(root, path)).lastModified];
    }),
  );
}

/** Notes that a product is now what `files` make. */
export async function writeStamp(
  product: Product,
  path: string,
  files: readonly Stamped[],
): Promise<void> {
  const name = join(stamps, `${product}.json`);
  const written = `${name}.${process.pid}`;
  await Bun.write(written, JSON.stringify({ folder, bun: Bun.version, path, files }));
  renameSync(written, name);
}

/** Makes the bundles that are not of these sources. **Throws** what bundling throws. */
export async function prebuild(): Promise<void> {
  if (findCurrent("index") === undefined) await bundle("index", join(source, "index.ts"));
  if (findCurrent("main") === undefined) await bundle("main", join(source, "cli", "main.ts"));
}

async function bundle(product: "index" | "main", entry: string): Promise<void> {
  // Taken before the files are read: what changes meanwhile makes the bundle old.
  const times = new Map(stampFiles("src/**/*.ts"));
  const outdir = join(stamps, `${product}-${Date.now().toString(36)}-${process.pid}`);
  const { metafile } = await Bun.build({
    entrypoints: [entry],
    outdir,
    target: "bun",
    format: "cjs",
    bytecode: true,
    minify: { whitespace: true, syntax: true },
    sourcemap: "linked",
    metafile: true,
  });
  const inputs = Object.keys(metafile?.inputs ?? {}).map((path): Stamped => {
    const name = relative(root, resolve(path));
    return [name, times.get(name) ?? 0];
  });
  const made = relative(root, outdir);
  await writeStamp(product, `${made}/${product}.js`, [...inputs, ...stampFiles(`${made}/*.js*`)]);
  removeOld(product, basename(outdir));
}

function removeOld(product: Product, current: string): void {
  for (const name of readdirSync(stamps)) {
    const path = join(stamps, name);
    if (!name.startsWith(`${product}-`) || name === current) continue;
    if (Date.now() - statSync(path).mtimeMs > keptForMs) rmSync(path, { recursive: true });
  }
}
