/**
 * A full tmpfs is the error of a statement, never a signal, and what was committed stays readable.
 * Mounts a small tmpfs in a namespace of its own; skipped where that is not allowed.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CliSandbox } from "../support/cli.ts";
import { root } from "../support/source.ts";

/** Of a user's own, or of root where there are none of users. What is mounted goes with it. */
const namespace = [
  ["unshare", "--user", "--map-root-user", "--mount"],
  ["unshare", "--mount"],
].find((words) => {
  const command = [...words, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"];
  return Bun.which("unshare") !== null && Bun.spawnSync(command).exitCode === 0;
});
if (namespace === undefined) {
  console.warn("SKIPPED: this machine does not let us mount a tmpfs in a namespace");
}

const program = join(root, "src", "cli", "main.ts");

interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script in a namespace where there is a tmpfs of `size` at `folder`. */
async function runWith(folder: string, size: string, script: string): Promise<Run> {
  const mount = `mount -t tmpfs -o size=${size} tmpfs '${folder}'`;
  const child = Bun.spawn([...(namespace ?? []), "sh", "-ec", `${mount}\n${script}`], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, stdout, stderr };
}

/** Runs `script` where `run name words…` is a command on a tmpfs of `size`. */
async function runOn(sandbox: CliSandbox, size: string, script: string): Promise<Run> {
  const folder = sandbox.path("small");
  mkdirSync(folder);
  const run =
    `run() { name=$1; shift; '${process.execPath}' '${program}' "$name" --dir '${sandbox.data}' ` +
    `--shm '${folder}/segment' "$@" || echo "$name: $?"; }`;
  return runWith(folder, size, `${run}\n${script}`);
}

describe.skipIf(namespace === undefined)("a full tmpfs", () => {
  test("no room for a segment: an error that says what to do, and no file", async () => {
    using sandbox = new CliSandbox();
    const script = `run create t id:u32:pk\nls -A '${sandbox.path("small")}'`;
    const { status, stdout, stderr } = await runOn(sandbox, "1m", script);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "create: 1\n" });
    expect(stderr).toMatch(/^SEGMENT_FULL: [^\n]*segment[^\n]*--shm-size[^\n]*\n$/);
  });

  test("no room for more rows: whole batches are in, and can be searched", async () => {
    using sandbox = new CliSandbox();
    const rows = Array.from({ length: 400_000 }, (_, id) => `${id}\t${id % 1000}\tx\n`);
    const input = await sandbox.write("rows.tsv", rows.join(""));
    const script = [
      "run create t id:u32:pk n:i32:index 'text:string(60)'",
      `run ingest '${input}' --table t --batch 500`,
      "run search --table t --count",
      "run search --table t '-sort id -limit 1'",
      "run check",
    ].join("\n");
    const { status, stdout, stderr } = await runOn(sandbox, "32m", script);
    expect(status).toBe(0);
    const [created, ended, count, first, checked] = stdout.split("\n");
    expect([created, ended, first, checked]).toEqual([
      "table t (id, n, text)",
      "ingest: 1",
      "0\t0\tx",
      "ok",
    ]);
    expect(Number(count)).toBeGreaterThan(0);
    expect(Number(count) % 500).toBe(0);
    expect(stderr).toMatch(/^SEGMENT_FULL: [^\n]*table t[^\n]*\n$/);
  });

  test("a container's /dev/shm: each statement says so, nothing is half-written", async () => {
    using sandbox = new CliSandbox();
    const child = join(root, "test", "process", "full-tmpfs-child.ts");
    const command = `'${process.execPath}' '${child}' '${sandbox.data}'`;
    const { status, stdout, stderr } = await runWith("/dev/shm", "64m", command);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      shmPath: expect.stringMatching(/^\/dev\/shm\//),
      single: "SEGMENT_FULL",
      batch: "SEGMENT_FULL",
      transaction: "SEGMENT_FULL",
      unchanged: { count: true, missing: true, first: true, index: true, check: true },
      after: { deleted: true, count: true, check: true },
    });
  });
});
