/** The tour, small: it proves what it says, and leaves nothing behind. */
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCli } from "../support/cli.ts";

test("the demo verifies every row, tells figures, and cleans up", async () => {
  const temporary = mkdtempSync(join(tmpdir(), "aerostore-demo-test-"));
  try {
    const words = ["demo", "--aircraft", "600", "--seconds", "1", "--json"];
    const { status, stdout, stderr } = await runCli(words, { env: { TMPDIR: temporary } });
    expect({ status, stderr }).toEqual({ status: 0, stderr });
    const figures = JSON.parse(stdout);
    expect(figures).toMatchObject({
      aircraft: 600,
      processes: { writers: 3, searchers: 2 },
      killed: { lostRows: 0, acknowledgedRows: 200 },
      ok: true,
    });
    expect(figures.rowsVerified).toBeGreaterThanOrEqual(600);
    expect(figures.rowsCommitted).toBeGreaterThanOrEqual(600);
    expect(figures.searches).toBeGreaterThan(0);
    const headings = stderr.split("\n").filter((line) => /^\d {2}\S/.test(line));
    expect(headings.map((line) => line.slice(0, 1))).toEqual(["1", "2", "3", "4", "5", "6", "7"]);
    for (const part of ["by primary key", "SIGKILL", "WarmAttach", "check: ok", "all equal"]) {
      expect(stderr).toContain(part);
    }
    expect(readdirSync(temporary)).toEqual([]);
    const segment = /\/dev\/shm\/(aerostore-demo-\S+\.mmap)/.exec(stderr)?.[1] ?? "";
    expect(segment).not.toBe("");
    expect(readdirSync("/dev/shm")).not.toContain(segment);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});
