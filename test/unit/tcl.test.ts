/** The Tcl package under the real tclsh: each file of test/tcl is a tcltest suite. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { CliSandbox } from "../support/cli.ts";
import { root } from "../support/source.ts";

const directory = join(root, "test", "tcl");
const tclsh = Bun.which("tclsh");
const suites = readdirSync(directory).filter((name) => name.endsWith(".test"));

if (tclsh === null) {
  console.warn("SKIPPED: there is no tclsh, so the Tcl package is NOT tested; install Debian's tcl");
}

/** The tests of one suite, on a database of its own; what it printed. */
async function runSuite(name: string): Promise<{ readonly status: number; readonly text: string }> {
  using sandbox = new CliSandbox();
  const child = Bun.spawn([tclsh ?? "tclsh", join(directory, name)], {
    cwd: sandbox.directory,
    stdin: "ignore",
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

describe("tcl", () => {
  for (const name of suites) {
    test.skipIf(tclsh === null)(name, async () => {
      const { status, text } = await runSuite(name);
      const [, total, passed, skipped] =
        /Total\s+(\d+)\s+Passed\s+(\d+)\s+Skipped\s+(\d+)\s+Failed\s+0\b/.exec(text) ?? [];
      if (status !== 0 || total === undefined) throw new Error(text);
      expect({ passed, skipped }).toEqual({ passed: total, skipped: "0" });
      expect(Number(total)).toBeGreaterThan(0);
    });
  }
});
