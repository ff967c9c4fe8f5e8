/** The Tcl package under the real tclsh: each file of test/tcl is a tcltest suite. */
import { describe, expect, test } from "bun:test";
import { readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { parseTclList } from "../../src/tcl/tcl-list.ts";
import { CliSandbox } from "../support/cli.ts";
import { root } from "../support/source.ts";

const directory = join(root, "test", "tcl");
const tclsh = Bun.which("tclsh");
const suites = readdirSync(directory).filter((name) => name.endsWith(".test"));

if (tclsh === null) {
  console.warn("SKIPPED: no tclsh, so the Tcl package is NOT tested; install Debian's tcl");
}

/** Runs a Tcl script in a sandbox; what it printed, errors behind the rest. */
async function runTcl(
  sandbox: CliSandbox,
  script: string,
  input = "",
): Promise<{ readonly status: number; readonly text: string }> {
  const child = Bun.spawn([tclsh ?? "tclsh", script], {
    cwd: sandbox.directory,
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    env: {
      ...process.env,
      AEROSTORE_BUN: process.execPath,
      AEROSTORE_SHM_PATH: sandbox.shmPath,
      AEROSTORE_TCL_DIR: sandbox.data,
    },
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, text: output + errors };
}

/** The Tcl examples of a document. */
async function snippetsOf(path: string): Promise<string[]> {
  const text = await Bun.file(join(root, path)).text();
  return Array.from(text.matchAll(/^```tcl\n(.*?)^```$/gms), ([, snippet = ""]) => snippet);
}

describe("tcl", () => {
  for (const name of suites) {
    test.skipIf(tclsh === null)(name, async () => {
      using sandbox = new CliSandbox();
      const { status, text } = await runTcl(sandbox, join(directory, name));
      const [, total, passed, skipped] =
        /Total\s+(\d+)\s+Passed\s+(\d+)\s+Skipped\s+(\d+)\s+Failed\s+0\b/.exec(text) ?? [];
      if (status !== 0 || total === undefined) throw new Error(text);
      expect({ passed, skipped }).toEqual({ passed: total, skipped: "0" });
      expect(Number(total)).toBeGreaterThan(0);
    });
  }

  for (const document of ["docs/tcl.md", "README.md"]) {
    test.skipIf(tclsh === null)(`the examples of ${document} run as printed`, async () => {
      const snippets = await snippetsOf(document);
      expect(snippets.length).toBeGreaterThan(0);
      for (const snippet of snippets) {
        using sandbox = new CliSandbox();
        // Examples are run from the top of a checkout, but leave their data here.
        symlinkSync(join(root, "src"), sandbox.path("src"));
        const { status, text } = await runTcl(sandbox, await sandbox.write("a.tcl", snippet));
        expect({ status, text }).toEqual({ status: 0, text: expect.not.stringContaining("ERROR") });
      }
    });
  }

  test.skipIf(tclsh === null)("lists are read as Tcl reads them", async () => {
    using sandbox = new CliSandbox();
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const texts = [...fixedLists, ...randomLists(seed, 20_000)];
    const script = await sandbox.write("lists.tcl", listReader);
    const hex = (text: string): string => Buffer.from(text).toString("hex");
    const { text } = await runTcl(sandbox, script, texts.map((each) => `${hex(each)}\n`).join(""));
    const told = text.split("\n");
    expect(told.length).toBe(texts.length + 1);
    texts.forEach((each, index) => {
      const elements = parseTclList(each);
      const ours =
        elements === undefined ? "none" : elements.map((part) => `${hex(part)},`).join("");
      if (ours !== told[index]) {
        throw new Error(`seed ${seed}, ${JSON.stringify(each)}: ${ours}, not ${told[index]}`);
      }
    });
  });
});

/** Prints, for each line of hexadecimal digits, the elements of the list that it is. */
const listReader = `
fconfigure stdin -translation lf
while {[gets stdin line] >= 0} {
    set text [encoding convertfrom utf-8 [binary format H* $line]]
    if {[catch { lrange $text 0 end } list]} { puts none; continue }
    set out ""
    foreach element $list {
        binary scan [encoding convertto utf-8 $element] H* hex
        append out $hex ,
    }
    puts $out
}
`;

const fixedLists: readonly string[] = [
  "",
  "a b",
  "{a b} {c {d e}}",
  '"a b"c',
  "{a}b",
  "a{b}c",
  "\\x4A \\xaf \\u00C9 \\U000000e9 \\u00e9 \\101 \\400 \\n \\q \\",
  "a\\\n   b {c\\\n  d}",
  "{\\}} \\{ \\}",
  "\u{1f600} {\u{1f600}}",
];

/** Texts of what lists are made of; a small alphabet, so that much of it matters. */
function randomLists(seed: number, count: number): string[] {
  const alphabet = [...'{}{}"\\\\ \n\tab0x7u\u00e9$[;#', "{a b}", '"c"'];
  let state = seed;
  const next = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + next(10) }, () => alphabet[next(alphabet.length)] ?? "").join(""),
  );
}
