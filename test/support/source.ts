/** The repository's own text, as the tests of the house rules read it. */
import { join } from "node:path";

export const root: string = join(import.meta.dir, "..", "..");

export interface SourceFile {
  /** From the root of the repository, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** `lines` without what stands in comments and strings. */
  readonly code: readonly string[];
}

export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, lines: text.split("\n"), code: blank(text, path).split("\n") };
}

/** All files that people write: code, tests, docs. Not what is generated, installed or built. */
export async function readSources(): Promise<SourceFile[]> {
  const patterns = ["{zig,src,test,bench,docs,examples}/**/*.{zig,ts,md}", "*.{zig,md}"];
  const paths = patterns.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync({ cwd: root })]);
  return Promise.all(
    paths
      .sort()
      .filter((path) => !path.endsWith(".gen.ts") && !/^zig\/scratch/.test(path))
      .map(async (path) => sourceFile(path, await Bun.file(join(root, path)).text())),
  );
}

/** What is not code, by extension. A regular expression counts where no value can end before it. */
const notCode = {
  ts: anyOf([
    /\/\/.*/,
    /\/\*[^]*?\*\//,
    /"(?:[^"\\\n]|\\.)*"/,
    /'(?:[^'\\\n]|\\.)*'/,
    /`(?:[^`\\]|\\[^])*`/,
    /(?<=[(,=:[!&|?{};]\s*|^\s*|return\s+)\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//,
  ]),
  zig: anyOf([/\/\/.*/, /\\\\.*/, /"(?:[^"\\\n]|\\.)*"/, /'(?:[^'\\\n]|\\.)*'/]),
};

function anyOf(patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join("|"), "gm");
}

/** Replaces comments and strings by spaces, so that lines and columns stay what they are. */
function blank(text: string, path: string): string {
  const pattern = path.endsWith(".zig")
    ? notCode.zig
    : path.endsWith(".ts")
      ? notCode.ts
      : undefined;
  if (pattern === undefined) return text;
  return text.replaceAll(pattern, (found) => found.replaceAll(/[^\n]/g, " "));
}

/** Module paths that a TypeScript or Zig file imports, with the line (from 1) of each. */
export function importsOf(file: SourceFile): { path: string; line: number; typeOnly: boolean }[] {
  const pattern = file.path.endsWith(".zig")
    ? /@import\("([^"]+)"\)/g
    : /(?:^|\n)\s*(?:import|export)\s(type\s)?(?:[^"';]*?\sfrom\s)?["']([^"']+)["']/g;
  return [...file.text.matchAll(pattern)].map((match) => ({
    path: match.at(-1) ?? "",
    line: file.text.slice(0, match.index + match[0].length).split("\n").length,
    typeOnly: match.length > 2 && match[1] !== undefined,
  }));
}

/** Where a relative import of `file` leads, from the root of the repository. */
export function resolveImport(file: SourceFile, path: string): string | undefined {
  const isRelative = file.path.endsWith(".zig") ? path.endsWith(".zig") : path.startsWith(".");
  if (!isRelative) return undefined;
  const parts = file.path.split("/").slice(0, -1);
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
