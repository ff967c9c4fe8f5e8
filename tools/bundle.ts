/**
 * Bundles the sources as users get them, a new process having nothing to transpile and little to
 * parse. Of each entry of the package there are two forms:
 *
 * - `NAME.js`, an ES module, for bundlers (`bun build`, `--compile`), which take in what it imports,
 *   the engines as well;
 * - `NAME.cjs`, for running. It leads to `bundle.cjs`, all entries in one file with the bytecode of
 *   their functions, which Bun makes of CommonJS only and its bundler cannot read.
 *
 * Both share one instance of every module among the entries. Names of the sources are kept, and so
 * are lines, so that a stack says something.
 */
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const source = join(root, "src");

/** An engine to be shipped: `x64` or `arm64`, its file, and the SHA-256 of that. */
export interface PackedLibrary {
  readonly arch: string;
  readonly path: string;
  readonly sha256: string;
}

/** Entries of the package: their sources, by the name that their files have in `dist`. */
export type Entries = ReadonlyMap<string, string>;

/** Entries for any machine and browser, which call no engine: they have the first form only. */
const portableEntries: ReadonlySet<string> = new Set(["client", "tanstack"]);

export function isPortable(name: string): boolean {
  return portableEntries.has(name);
}

function nativeEntries(entries: Entries): string[] {
  return [...entries.keys()].filter((name) => !isPortable(name));
}

async function writeEntry(scratch: string, name: string, path: string): Promise<string> {
  const entry = join(scratch, `${name}.ts`);
  await Bun.write(entry, `export * from ${JSON.stringify(path)};\n`);
  return entry;
}

/** Writes the bundles of the package to `folder`, whose engines are in `lib`. `scratch` is for files on the way. */
export async function bundlePackage(
  folder: string,
  scratch: string,
  entries: Entries,
  libraries: readonly PackedLibrary[],
): Promise<void> {
  const dist = join(folder, "dist");
  const bundled: Bun.BuildConfig = {
    entrypoints: [],
    outdir: dist,
    root: scratch,
    naming: { entry: "[name].js", chunk: "chunk-[hash].js" },
    format: "esm",
    splitting: true,
    minify: { syntax: true },
    external: ["../lib/*"],
    define: checkoutOnly,
    plugins: [shipping(importing(libraries, (arch) => `../lib/linux-${arch}/libaerostore.so`))],
  };
  const written = async (chosen: readonly string[]): Promise<string[]> =>
    Promise.all(chosen.map((name) => writeEntry(scratch, name, entries.get(name) ?? "")));
  const [portable, native] = [[...entries.keys()].filter(isPortable), nativeEntries(entries)];
  await Bun.build({ ...bundled, target: "bun", entrypoints: await written(native) });
  if (portable.length > 0) {
    await Bun.build({ ...bundled, target: "browser", entrypoints: await written(portable) });
  }
  const running = [...entries].filter(([name]) => !isPortable(name));
  const getters = running.map(
    ([name, path]) => `get ${JSON.stringify(name)}() {
    return require(${JSON.stringify(path)});
  },`,
  );
  await bundleForRunning(
    dist,
    "bundle",
    join(scratch, "bundle.cjs"),
    `module.exports = {\n${getters.join("\n")}\n};\n`,
    libraries,
  );
  for (const name of native) await Bun.write(join(dist, `${name}.cjs`), runningEntry(name));
  const main = JSON.stringify(join(source, "cli", "main.ts"));
  const command = `#!/usr/bin/env bun\nrequire(${main}).main();\n`;
  await bundleForRunning(dist, "cli", join(scratch, "cli.cjs"), command, libraries);
}

/** A module that Bun runs can require; one that a bundler took in has no such function. */
function runningEntry(name: string): string {
  return `module.exports =
  module.children === undefined
    ? require("./${name}.js")
    : module.require("./bundle.cjs")[${JSON.stringify(name)}];
`;
}

async function bundleForRunning(
  dist: string,
  name: string,
  entry: string,
  text: string,
  libraries: readonly PackedLibrary[],
): Promise<void> {
  await Bun.write(entry, text);
  await Bun.build({
    entrypoints: [entry],
    outdir: dist,
    naming: `${name}.cjs`,
    target: "bun",
    format: "cjs",
    bytecode: true,
    minify: { syntax: true },
    external: [`./${name}.*`],
    define: checkoutOnly,
    plugins: [shipping(locating(libraries, name))],
  });
}

/** Compiles the command line for `arch` into `outfile`, a program that needs nothing beside it. */
export async function bundleStandalone(
  outfile: string,
  arch: "x64" | "arm64",
  libraries: readonly PackedLibrary[],
): Promise<void> {
  const ours = libraries.filter((library) => library.arch === arch);
  await Bun.build({
    entrypoints: [join(source, "cli", "main.ts")],
    compile: { target: `bun-linux-${arch}`, outfile },
    target: "bun",
    format: "esm",
    bytecode: true,
    minify: { syntax: true },
    plugins: [shipping(importing(ours, (_, path) => path))],
  });
}

/** Bun puts the folder of the source in place of these, where it makes CommonJS. */
const checkoutOnly: Readonly<Record<string, string>> = { "import.meta.dir": '"/"' };

/** Puts a module that knows the engines in place of the one of a checkout. */
function shipping(contents: string): Bun.BunPlugin {
  return {
    name: "shipping",
    setup(build) {
      build.onLoad({ filter: /\/src\/ffi\/shipped\.ts$/ }, () => ({ contents, loader: "js" }));
    },
  };
}

/** For bundlers: they take in, or copy, the file that is imported. */
function importing(
  libraries: readonly PackedLibrary[],
  pathOf: (arch: string, path: string) => string,
): string {
  const imports = libraries.map(
    ({ arch, path }) =>
      `import ${arch} from ${JSON.stringify(pathOf(arch, path))} with { type: "file" };\n`,
  );
  const rows = libraries.map(
    ({ arch, sha256 }) => `${arch}: { path: placed(${arch}), sha256: "${sha256}" },\n`,
  );
  return `${imports.join("")}
// Where a bundler copied the file, it names it from the bundle on.
const placed = (path) =>
  path.startsWith(".") ? Bun.fileURLToPath(new URL(path, import.meta.url)) : path;
export const shippedLibraries = {\n${rows.join("")}};\n`;
}

/** For running: beside the bundle, whose own place only `require` knows. */
function locating(libraries: readonly PackedLibrary[], bundle: string): string {
  const rows = libraries.map(
    ({ arch, sha256 }) =>
      `${arch}: { path: root + "lib/linux-${arch}/libaerostore.so", sha256: "${sha256}" },\n`,
  );
  return `const root = require.resolve("./${bundle}.cjs").slice(0, -"dist/${bundle}.cjs".length);
export const shippedLibraries = {\n${rows.join("")}};\n`;
}
