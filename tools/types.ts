/**
 * Declares the types of the package: the TypeScript compiler writes a declaration for each source,
 * without what is for the package itself (`@internal`), and Rollup puts together what an entry
 * leads to.
 */
import { join, relative } from "node:path";
import type { Entries } from "./bundle.ts";

const root = join(import.meta.dir, "..");
const source = join(root, "src");
/** What the declarations take from the language beyond a compiler's oldest default. */
const languageLibraries = ["es2020", "esnext.disposable"];

/**
 * Writes `NAME.d.ts` for each of `entries` to `target`. `installed` is a folder in which
 * `tools/packaging` is installed, `scratch` one to write to. **Throws** where a tool refuses.
 */
export async function declareTypes(
  target: string,
  entries: Entries,
  installed: string,
  scratch: string,
): Promise<void> {
  const config = join(scratch, "tsconfig.json");
  const options = {
    noEmit: false,
    emitDeclarationOnly: true,
    stripInternal: true,
    outDir: scratch,
    rootDir: source,
    typeRoots: [join(root, "node_modules", "@types")],
  };
  const base = { extends: join(source, "tsconfig.json"), include: [] };
  const files = [...entries.values()];
  await Bun.write(config, JSON.stringify({ ...base, compilerOptions: options, files }));
  await runTool(installed, ["typescript/bin/tsc", "-p", config]);
  const from = [...entries].map(([name, path]): [string, string] => {
    return [`${name}.d`, join(scratch, relative(source, path)).replace(/\.ts$/, ".d.ts")];
  });
  const head = languageLibraries.map((name) => `/// <reference lib="${name}" />`).join("\n");
  const types = JSON.stringify({ from: Object.fromEntries(from), to: target, head });
  const rollup = join(installed, "rollup.config.js");
  await runTool(installed, ["rollup/dist/bin/rollup", "--silent", "-c", rollup], { TYPES: types });
  for (const name of new Bun.Glob("*.d.ts").scanSync({ cwd: target })) {
    const file = Bun.file(join(target, name));
    const text = await file.text();
    const foreign = /\bfrom ['"]((?!\.)[^'"]+)|import\(['"]((?!\.)[^'"]+)/.exec(text)?.[0];
    if (foreign !== undefined) throw new Error(`${name} needs another package: ${foreign}`);
    const path = entries.get(name.replace(/\.d\.ts$/, ""));
    if (path !== undefined) await file.write(separateTypes(text, await valuesOf(path)));
  }
}

/** The names that a module exports at run time. */
async function valuesOf(path: string): Promise<ReadonlySet<string>> {
  const { exports } = new Bun.Transpiler({ loader: "ts" }).scan(await Bun.file(path).text());
  return new Set(exports);
}

/** Makes exports that are types only say so: Rollup exports a class as one that can be made. */
function separateTypes(text: string, values: ReadonlySet<string>): string {
  return text.replaceAll(/^export \{ (.*) \}(.*);$/gm, (_, list: string, from: string) => {
    const isValue = (each: string): boolean => values.has(each.split(" as ").at(-1) ?? "");
    const { value = [], type = [] } = Object.groupBy(list.split(", "), (each) => {
      return isValue(each) ? "value" : "type";
    });
    const lines = [
      ...(value.length > 0 ? [`export { ${value.join(", ")} }${from};`] : []),
      ...(type.length > 0 ? [`export type { ${type.join(", ")} }${from};`] : []),
    ];
    return lines.join("\n");
  });
}

/** Runs a program of an installed package. **Throws** what it printed where it failed. */
export async function runTool(
  installed: string,
  [program = "", ...words]: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const command = [process.execPath, join(installed, "node_modules", program), ...words];
  const env = { ...process.env, ...environment };
  const child = Bun.spawn(command, { cwd: installed, env, stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${program} refused:\n${output}${errors}`);
  return output;
}
