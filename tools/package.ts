/**
 * Makes and checks the package, `zig-out/package/aerostore-VERSION.tgz`:
 *
 *   bun run package                  the tarball
 *   bun run package --standalone     also the command line as one program for each processor
 *
 * Nothing is published. A version that `CHANGELOG.md` does not name is refused.
 */
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bundlePackage, bundleStandalone, isPortable } from "./bundle.ts";
import type { Entries, PackedLibrary } from "./bundle.ts";
import { checkPackage } from "./check-package.ts";
import { packLibraries } from "./libraries.ts";
import { declareTypes } from "./types.ts";

const root = join(import.meta.dir, "..");
const made = join(root, "zig-out", "package");

interface CheckoutManifest {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string>>;
}

const manifest: CheckoutManifest = await Bun.file(join(root, "package.json")).json();

/** What a program may import, as the checkout's `exports` have it: a line there is an entry here. */
export function listEntries(): Entries {
  const modules = Object.entries(manifest.exports).filter(([, path]) => path.endsWith(".ts"));
  return new Map(
    modules.map(([name, path]) => [name === "." ? "index" : name.slice(2), join(root, path)]),
  );
}

/** The `package.json` that users get: nothing to install, nothing to run at installing. */
function renderManifest(entries: Entries): string {
  const { version, description, license, engines } = manifest;
  const exports = [...entries.keys()].map((name) => [
    name === "index" ? "." : `./${name}`,
    {
      types: `./dist/${name}.d.ts`,
      ...(isPortable(name) ? {} : { bun: `./dist/${name}.cjs` }),
      default: `./dist/${name}.js`,
    },
  ]);
  const text = {
    name: "aerostore",
    version,
    description,
    license,
    type: "module",
    engines,
    exports: { ...Object.fromEntries(exports), "./package.json": "./package.json" },
    bin: { aerostore: "dist/cli.cjs" },
  };
  return `${JSON.stringify(text, undefined, 2)}\n`;
}

/** **Throws** where the places that name a version do not agree. */
function checkVersion(): void {
  const { version } = manifest;
  const changes = readFileSync(join(root, "CHANGELOG.md"), "utf8");
  if (
    !changes.split("\n").some((line) => line.split(" ").slice(0, 2).join(" ") === `## ${version}`)
  ) {
    throw new Error(`CHANGELOG.md has no section "## ${version}": say there what changed`);
  }
  for (const name of ["pkgIndex.tcl", "aerostore.tcl"]) {
    const text = readFileSync(join(root, "src", "tcl", name), "utf8");
    if (!text.includes(`aerostore ${version}`)) {
      throw new Error(`src/tcl/${name} is of another version than package.json, ${version}`);
    }
  }
}

/**
 * Lays out the package in `folder`, with the engines that are in `folder/lib`; `scratch` is for
 * files on the way. Types are declared by the tools in `installed`, and left out without.
 */
export async function layOut(
  folder: string,
  scratch: string,
  libraries: readonly PackedLibrary[],
  installed?: string,
): Promise<void> {
  const entries = listEntries();
  await bundlePackage(folder, scratch, entries, libraries);
  if (installed !== undefined) {
    await declareTypes(join(folder, "dist"), entries, installed, join(scratch, "types"));
  }
  const tcl = new Bun.Glob("*.tcl").scanSync({ cwd: join(root, "src", "tcl") });
  for (const name of tcl) cpSync(join(root, "src", "tcl", name), join(folder, "tcl", name));
  for (const name of ["README.md", "CHANGELOG.md"]) cpSync(join(root, name), join(folder, name));
  await Bun.write(join(folder, "package.json"), renderManifest(entries));
}

/** Installs what only packaging needs. */
async function installTools(): Promise<string> {
  const installed = join(root, "zig-out", "packaging");
  cpSync(join(root, "tools", "packaging"), installed, { recursive: true });
  await Bun.$`${process.execPath} install --frozen-lockfile`.cwd(installed).quiet();
  return installed;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: { standalone: { type: "boolean" } },
  });
  checkVersion();
  const folder = join(made, "package");
  const scratch = join(made, "scratch");
  for (const path of [folder, scratch]) {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
  }
  const say = (line: string): void => console.error(`package: ${line}`);
  say("building the engines for x64 and arm64");
  const [libraries, installed] = [await packLibraries(folder), await installTools()];
  say("bundling, and declaring the types");
  await layOut(folder, scratch, libraries, installed);
  const tarball = join(made, `aerostore-${manifest.version}.tgz`);
  await Bun.$`${process.execPath} pm pack --filename ${tarball} --quiet`.cwd(folder).quiet();
  await checkPackage({ folder, tarball, installed, scratch, say });
  rmSync(scratch, { recursive: true });
  console.log(tarball);
  if (values.standalone !== true) return;
  for (const arch of ["x64", "arm64"] as const) {
    const program = join(made, `aerostore-${manifest.version}-linux-${arch}`);
    await bundleStandalone(program, arch, libraries);
    console.log(program);
  }
}

if (import.meta.main) await main();
