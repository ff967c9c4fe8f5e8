/** The mechanical rules of the house, one row each; the message says what to do instead. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { importsOf, readSources, resolveImport, root, sourceFile } from "../support/source.ts";
import type { SourceFile } from "../support/source.ts";

interface Rule {
  readonly name: string;
  readonly instead: string;
  readonly applies: (path: string) => boolean;
  /** Lines (from 1) that break the rule. */
  readonly find: (file: SourceFile) => readonly number[];
  /** Files that break the rule on their last line, so that the rule itself is tested. */
  readonly bad: readonly (readonly [path: string, text: string])[];
}

const isZig = (path: string): boolean => path.endsWith(".zig");
const isTs = (path: string): boolean => path.endsWith(".ts");
const isCode = (path: string): boolean => isZig(path) || isTs(path);
const isSource = (path: string): boolean => isTs(path) && path.startsWith("src/");
const isDoc = (path: string): boolean => path.endsWith(".md");

const sources = await readSources();
/** A field or parameter that is a shared word, or leads to one; a function that gives them. */
const declaredWord =
  /^\s+(?:pub .*fn )?(\w+)(?:: (?:\[[^\]]*\])?\*?|\([^)]*\) \[\*\])(?:\w+\.)*(?:Word|Value)\(/;
/** A step on a shared word, by the word's name. */
const wordStep = /(\w+)(?:\(\))?(?:\[[^\]]*\])?\.(?:load|store|cas|swap|add)\(/g;

const pairedWords = findPairedWords(sources);

function linesWith(lines: readonly string[], pattern: RegExp): number[] {
  return lines.flatMap((line, i) => (pattern.test(line) ? [i + 1] : []));
}

/** Folders from the bottom up; a file may import its own level and those below. */
const zigLevels: Readonly<Record<string, number>> = {
  "os.zig": 0,
  "limits.zig": 0,
  "checksum.zig": 0,
  "manifest.zig": 0,
  "panic.zig": 0,
  "status.zig": 0,
  instrument: 1,
  row: 1,
  segment: 2,
  index: 3,
  table: 4,
  wal: 4,
  checkpoint: 5,
  ingest: 5,
  txn: 6,
  query: 6,
  read: 7,
  changes: 7,
  runtime: 8,
  "boundary.zig": 9,
  "abi.zig": 9,
  "crafted.zig": 10,
  "driver.zig": 10,
  "encode_bench.zig": 10,
  "scan_bench.zig": 10,
  "schedules.zig": 10,
  "test.zig": 10,
};
const srcLevels: Readonly<Record<string, number>> = {
  "errors.ts": 0,
  ffi: 1,
  geo: 1,
  schema: 2,
  query: 3,
  boot: 3,
  recovery: 3,
  session: 4,
  search: 5,
  admin: 5,
  changes: 5,
  ingest: 5,
  flight: 6,
  database: 6,
  "index.ts": 7,
  terminal: 8,
  follow: 8,
  http: 8,
  client: 8,
  tcl: 9,
  demo: 9,
  cli: 10,
};

/**
 * Files that switch off Zig's checks of bounds and overflow, and how often. Each place says in its
 * line why nothing there can go out of bounds: in loops over rows the checks cost several percent,
 * and `undefined` buffers would be filled with a pattern first.
 */
const unsafePlaces: Readonly<Record<string, number>> = {
  "zig/index/prefetch.zig": 3,
  "zig/index/skiplist.zig": 5,
  "zig/query/executor.zig": 3,
  "zig/query/predicate.zig": 2,
  "zig/query/sort.zig": 1,
  "zig/read/source.zig": 6,
  "zig/row/key.zig": 1,
  "zig/runtime/search.zig": 1,
  "zig/segment/layout.zig": 1,
  "zig/segment/segment.zig": 1,
  "zig/txn/index_entries.zig": 1,
  "zig/txn/radix_sort.zig": 2,
  "zig/txn/vacuum.zig": 3,
};
const unsafe = /@setRuntimeSafety\(false\)/;

/** Lines that switch checks off without a reason, or in a file where that is not agreed on. */
function findUnsafe(file: SourceFile): number[] {
  const lines = linesWith(file.code, unsafe);
  const bare = lines.filter((line) => !/; \/\/ [\w`]/.test(file.lines[line - 1] ?? ""));
  return lines.length > (unsafePlaces[file.path] ?? 0) ? lines : bare;
}

/** Types that only a cast can make: brands. */
const brands = new Set(
  sources.flatMap(({ text }) =>
    Array.from(text.matchAll(/type (\w+) = [^;]*\b__brand\b/g), (match) => match[1] ?? ""),
  ),
);

/** Casts to anything but a brand, outside import and export lists. */
function findCasts(file: SourceFile): number[] {
  const code = file.code
    .join("\n")
    .replaceAll(/^(?:import|export)\b[^;]*?;/gm, (list) =>
      /\bfrom\b|^export (?:type )?\{/.test(list) ? list.replaceAll(/[^\n]/g, " ") : list,
    );
  return code.split("\n").flatMap((line, i) => {
    // `[E in Names as Other<E>]` renames the members of a type.
    const casts = [...line.replace(/\[\w+ in .* as /, "[").matchAll(/\bas (?!const\b)([\w.]+)/g)];
    return casts.some((match) => !brands.has(match[1] ?? "")) ? [i + 1] : [];
  });
}

/** The level of a path, by its folder. */
function levelOf(path: string): number | undefined {
  const [top = "", second = ""] = path.split("/");
  if (top === "zig") return zigLevels[second];
  if (top === "src") return srcLevels[second];
  return undefined;
}

function findUpwardImports(file: SourceFile): number[] {
  // Models and schedulers stand beside what they test: they may import all, and all may import the
  if (file.path.startsWith("zig/testing/")) return [];
  const own = levelOf(file.path);
  return importsOf(file).flatMap(({ path, line }) => {
    const target = resolveImport(file, path);
    const level = target === undefined ? undefined : levelOf(target);
    return own !== undefined && level !== undefined && level > own ? [line] : [];
  });
}

/** Names of shared words whose declaration says in a comment what pairs with what. */
function findPairedWords(files: readonly SourceFile[]): Set<string> {
  const words = new Set<string>();
  for (const { lines } of files.filter((file) => isZig(file.path))) {
    lines.forEach((line, i) => {
      const word = declaredWord.exec(line)?.[1];
      if (word === undefined) return;
      let first = i;
      while (/^\s*\/\/\//.test(lines[first - 1] ?? "")) first--;
      if (/\/\/.*\bpairs?\b/i.test(lines.slice(first, i + 1).join("\n"))) words.add(word);
    });
  }
  return words;
}

/** Orders that no comment pairs: at the call, up to 3 lines above, or at the declaration. */
function findUnpaired(file: SourceFile): number[] {
  return linesWith(file.code, /\((?:.*[ (])?\.(?:acquire|release|acq_rel)\b/).filter((line) => {
    const near = file.lines.slice(Math.max(0, line - 4), line).join("\n");
    if (/\/\/.*\bpairs?\b/i.test(near)) return false;
    const code = file.code[line - 1] ?? "";
    const words = [...code.matchAll(wordStep)].map((match) => match[1] ?? "");
    return words.length === 0 || !words.some((word) => pairedWords.has(word));
  });
}

/** Headings of the first level, outside code blocks; line 0 when there is none. */
function findTitleProblems(file: SourceFile): number[] {
  let fenced = false;
  const titles = file.lines.flatMap((line, i) => {
    if (line.startsWith("```")) fenced = !fenced;
    return !fenced && line.startsWith("# ") ? [i + 1] : [];
  });
  return titles.length === 0 ? [1] : titles.filter((line) => line !== 1);
}

const rules: readonly Rule[] = [
  {
    name: "at most 100 columns",
    instead: "break the line",
    applies: isCode,
    find: ({ lines }) => linesWith(lines, /^.{101}/u),
    bad: [["src/a.ts", `// ${"x".repeat(98)}`]],
  },
  {
    name: "at most 700 lines",
    instead: "split the file by what its parts do",
    applies: isCode,
    find: ({ lines }) => (lines.length > 701 ? [lines.length] : []),
    bad: [["zig/a.zig", "\n".repeat(701)]],
  },
  {
    name: "no any",
    instead: "name the type, or use unknown and narrow it",
    applies: isTs,
    find: ({ code }) => linesWith(code, /(?:[:<,|&(=]|\bas|\bsatisfies)\s*any\b/),
    bad: [["src/a.ts", "const x: any = 1;"]],
  },
  {
    name: "no non-null assertion",
    instead: "test for undefined and throw, or give a default with ??",
    applies: isTs,
    find: ({ code }) => linesWith(code, /[\w)\]]!(?!=)/),
    bad: [["test/unit/a.test.ts", "const x = list[0]!.name;"]],
  },
  {
    name: "only src/ffi imports bun:ffi",
    instead: "add a function to src/ffi",
    applies: (path) => isTs(path) && !path.startsWith("src/ffi/"),
    find: (file) => importsOf(file).flatMap(({ path, line }) => (path === "bun:ffi" ? [line] : [])),
    bad: [["src/query/a.ts", '// x\nimport { dlopen } from "bun:ffi";']],
  },
  {
    name: "imports point down",
    instead: "move what is shared to the lower folder, or pass it in",
    applies: (path) => levelOf(path) !== undefined,
    find: findUpwardImports,
    bad: [
      ["zig/segment/a.zig", 'const x = 1;\nconst txn = @import("../txn/commit.zig");'],
      ["src/query/a.ts", '\nimport type { Database } from "../database/database.ts";'],
      ["src/ffi/a.ts", 'import {\n  a,\n} from "../schema/table.ts";'],
    ],
  },
  {
    name: "every folder and root file of zig and src has a level",
    instead: "give it one in zigLevels or srcLevels",
    applies: (path) => isCode(path) && /^(?:zig|src)\//.test(path),
    find: ({ path }) =>
      levelOf(path) === undefined && !path.startsWith("zig/testing/") ? [1] : [],
    bad: [
      ["zig/misplaced.zig", "//! x"],
      ["src/misplaced/a.ts", "export const x = 1;"],
    ],
  },
  {
    name: "casts only in src/ffi, or to a brand",
    instead: "narrow the type by a test, or do it in src/ffi",
    // A watched table keeps rows of every shape under one; its callers get theirs back.
    applies: (path) =>
      isSource(path) && !path.startsWith("src/ffi/") && path !== "src/database/watch.ts",
    find: findCasts,
    bad: [["src/query/a.ts", 'import { a as b } from "x";\nconst x = y as Plan;']],
  },
  {
    name: "checks are switched off in listed places only, each with its reason",
    instead: "leave them on; or list the place in unsafePlaces, with a reason in its line",
    applies: isZig,
    find: findUnsafe,
    bad: [
      ["zig/txn/a.zig", "    @setRuntimeSafety(false); // no reason is enough here"],
      ["zig/row/key.zig", "    @setRuntimeSafety(false);"],
    ],
  },
  {
    name: "nothing left to be done in comments",
    instead: "do it, or write down the limit in docs/CAVEATS.md",
    applies: (path) => isCode(path) || isDoc(path),
    find: ({ lines }) => linesWith(lines, /\b(?:TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b/),
    bad: [["src/a.ts", `// ${"TO"}${"DO"}: later`]],
  },
  {
    name: "no std.Io locks",
    instead: "they are private to a process: use a word of zig/segment and a futex of zig/os.zig",
    applies: isZig,
    find: ({ code }) => linesWith(code, /\bIo\.(?:Mutex|Condition|RwLock|Semaphore|Threaded)\b/),
    bad: [["zig/a.zig", "const Lock = std.Io.Mutex;"]],
  },
  {
    name: "no libc or kernel calls outside os.zig",
    instead: "add a function to zig/os.zig",
    // The log's files are behind an interface of their own, so that tests can simulate the disk.
    applies: (path) =>
      isZig(path) &&
      !/^zig\/(?:os|panic|wal\/storage|testing\/seeds|testing\/powerloss\/main)\.zig$/.test(path),
    find: ({ code }) => linesWith(code, /\bstd\.(?:os\.linux|posix|c)\b/),
    bad: [["zig/a.zig", "const linux = std.os.linux;"]],
  },
  {
    name: "only zig/abi.zig exports",
    instead: "add a function to `exports` in zig/abi.zig",
    applies: (path) => path.startsWith("zig/") && path !== "zig/manifest.zig",
    find: ({ code }) => linesWith(code, /@export\(|^\s*(?:pub )?export\b/),
    bad: [["zig/a.zig", "export fn f() void {}"]],
  },
  {
    name: "every Zig file says what it is",
    instead: "open it with //! lines: what, invariants, concurrency, memory",
    applies: isZig,
    find: ({ lines }) => (lines[0]?.startsWith("//!") ? [] : [1]),
    bad: [["zig/a.zig", "const x = 1;"]],
  },
  {
    name: "acquire and release name each other",
    instead:
      "write `// pairs with …` at the call or up to 3 lines above it, " +
      "or once in the comment where the word is declared",
    applies: (path) => isZig(path) && !/^zig\/testing\/|_test\.zig$/.test(path),
    find: findUnpaired,
    bad: [["zig/a.zig", "//! x\n    const x = slot.unheard_of.load(.acquire);"]],
  },
  {
    name: "no Math.random in src",
    instead: "use crypto.getRandomValues, or take a random source as an argument",
    // A pause before the next attempt needs no better source.
    applies: (path) =>
      isSource(path) && !path.startsWith("src/client/") && path !== "src/database/retry.ts",
    find: ({ code }) => linesWith(code, /\bMath\.random\b/),
    bad: [["src/a.ts", "const x = Math.random();"]],
  },
  {
    name: "named exports only",
    instead: "export it by its name",
    applies: isTs,
    find: ({ code }) => linesWith(code, /^export default\b/),
    bad: [["src/a.ts", "export default 1;"]],
  },
  {
    name: "one title per document, on its first line",
    instead: "start with `# Title`, use ## below",
    applies: isDoc,
    find: findTitleProblems,
    bad: [["docs/a.md", "# A\n```\n# comment\n```\n# B"]],
  },
  {
    name: "file names: snake_case in Zig, kebab-case in TypeScript",
    instead: "rename it",
    applies: isCode,
    find: ({ path }) => {
      const name = path.split("/").at(-1) ?? "";
      return (isZig(path) ? /^[a-z0-9_]+\.zig$/ : /^[a-z0-9.-]+\.ts$/).test(name) ? [] : [1];
    },
    bad: [["src/schemaBytes.ts", "export const x = 1;"]],
  },
  {
    name: "no folder for what has no name",
    instead: "name the folder after the subsystem",
    applies: isCode,
    find: ({ path }) => (/(?:^|\/)(?:utils?|helpers?|common|misc)[/.]/.test(path) ? [1] : []),
    bad: [["src/utils/a.ts", "export const x = 1;"]],
  },
];

describe("tidy: every rule catches what it forbids", () => {
  for (const { name, find, bad } of rules) {
    test(name, () => {
      for (const [path, text] of bad) {
        const file = sourceFile(path, text);
        expect(find(file)).toEqual([file.lines.length]);
      }
    });
  }
});

describe("tidy", () => {
  test("reads the sources", () => {
    const paths = sources.map(({ path }) => path);
    expect(paths).toContain("zig/abi.zig");
    expect(paths).toContain("src/ffi/library.ts");
    expect(paths).toContain("build.zig");
  });

  for (const { name, instead, applies, find } of rules) {
    test(name, () => {
      const found = sources
        .filter(({ path }) => applies(path))
        .flatMap((file) => find(file).map((line) => `${file.path}:${line}`));
      if (found.length > 0) throw new Error(`${name}: ${instead}\n${found.join("\n")}`);
    });
  }

  test("zig/test.zig imports every Zig file, so that all tests run", () => {
    const engine = sources.find(({ path }) => path === "zig/test.zig");
    const imported = new Set(engine && importsOf(engine).map(({ path }) => `zig/${path}`));
    const missing = sources
      .filter(
        ({ path }) =>
          path !== "build.zig" && isZig(path) && !/^zig\/(?:test|schedules)\.zig$/.test(path),
      )
      .filter(({ path }) => !/^zig\/testing\/(?:explore|schedule)_test\.zig$/.test(path))
      .filter(({ path }) => !imported.has(path))
      .map(({ path }) => `add to zig/test.zig: _ = @import("${path.slice("zig/".length)}");`);
    expect(missing).toEqual([]);
  });

  test("modules of src do not import each other in circles", () => {
    const imports = new Map(
      sources
        .filter(({ path }) => isSource(path))
        .map((file) => [
          file.path,
          importsOf(file).flatMap(({ path, typeOnly }) =>
            typeOnly ? [] : (resolveImport(file, path) ?? []),
          ),
        ]),
    );
    expect(findCircle(imports)).toEqual([]);
    const small = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["b"]],
    ]);
    expect(findCircle(small)).toEqual(["b", "c", "b"]);
  });

  test("files of different folders of zig do not import each other in circles", () => {
    const files = sources.filter(
      ({ path }) => /^zig\/.*\.zig$/.test(path) && !/^zig\/testing\/|_test\.zig$/.test(path),
    );
    const paths = new Set(files.map(({ path }) => path));
    const imports = new Map(
      files.map((file) => [
        file.path,
        importsOf(file).flatMap(({ path }) => resolveImport(file, path) ?? []),
      ]),
    );
    const crossing = findCircles(imports).filter(
      (circle) => new Set(circle.map((path) => path.split("/")[1])).size > 1,
    );
    expect(paths.size).toBeGreaterThan(100);
    expect(crossing).toEqual([]);
    const small = new Map([
      ["a", ["b"]],
      ["b", ["c", "d"]],
      ["c", ["b"]],
      ["d", []],
    ]);
    expect(findCircles(small)).toEqual([["b", "c"]]);
  });

  test("the top level has only what the house plan names", () => {
    const planned =
      /^(?:\..*|package\.json|CHANGELOG\.md|bun\.lock|bunfig\.toml|build\.zig|README\.md)$/;
    const folders =
      /^(?:zig|src|test|bench|docs|examples|tools|node_modules|zig-out|aerostore_data)$/;
    const extra = readdirSync(root).filter((name) => !planned.test(name) && !folders.test(name));
    expect(extra).toEqual([]);
  });
});

/** The first circle met, as the path from a module back to itself. */
function findCircle(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const visit = (module: string, trail: readonly string[]): string[] => {
    if (trail.includes(module)) return [...trail.slice(trail.indexOf(module)), module];
    if (done.has(module)) return [];
    for (const next of imports.get(module) ?? []) {
      const circle = visit(next, [...trail, module]);
      if (circle.length > 0) return circle;
    }
    done.add(module);
    return [];
  };
  for (const module of imports.keys()) {
    const circle = visit(module, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

/** Sets of modules that reach each other, each sorted. */
function findCircles(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const reached = new Map<string, ReadonlySet<string>>();
  for (const module of imports.keys()) {
    const seen = new Set<string>();
    const open = [...(imports.get(module) ?? [])];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...(imports.get(next) ?? []));
    }
    reached.set(module, seen);
  }
  const circles = new Map<string, string[]>();
  for (const [module, seen] of reached) {
    if (!seen.has(module)) continue;
    const circle = [...seen].filter((other) => reached.get(other)?.has(module) === true).sort();
    circles.set(circle.join(), circle);
  }
  return [...circles.values()];
}
