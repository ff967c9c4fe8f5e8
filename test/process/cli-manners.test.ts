/** How the command line behaves beside its results: versions, errors, pipes, scripts. */
import { expect, test } from "bun:test";
import { openSync } from "node:fs";
import { CliSandbox, runCli } from "../support/cli.ts";
import manifest from "../../package.json" with { type: "json" };

test("cli: --version prints the version, then the engine", async () => {
  const { status, stdout, stderr } = await runCli(["--version"]);
  expect([status, stderr]).toEqual([0, ""]);
  const [version, engine = ""] = stdout.split("\n");
  expect(version).toBe(manifest.version);
  expect(engine).toMatch(/^engine: (?:checkout|environment), \/.*\.so$/);
});

test("cli: errors are JSON on standard error with --json", async () => {
  using sandbox = new CliSandbox();
  await sandbox.print("create", "quotes", "symbol:string(4):pk", "bid:decimal(2):index");
  const run = await sandbox.run(["search", "--json", "--table", "quotes", "-compare {> bit 1}"]);
  expect([run.status, run.stdout]).toEqual([1, ""]);
  expect(JSON.parse(run.stderr)).toMatchObject({
    error: { code: "UNKNOWN_FIELD", table: "quotes", column: "bit", retryable: false },
  });
  const wrong = await sandbox.run(["get", "--json"]);
  expect([wrong.status, JSON.parse(wrong.stderr).error.code]).toEqual([2, "USAGE"]);
});

test("cli: a full output is an error with a code", async () => {
  using sandbox = new CliSandbox();
  await sandbox.print("create", "quotes", "symbol:string(4):pk");
  const child = Bun.spawn(sandbox.command("tables"), {
    stdout: openSync("/dev/full", "w"),
    stderr: "pipe",
  });
  const stderr = await new Response(child.stderr).text();
  expect(await child.exited).toBe(1);
  expect(stderr).toStartWith("IO_ERROR: writing to standard output: no space");
});

test("cli: rejects are status 1 although the reader of the output has gone", async () => {
  using sandbox = new CliSandbox();
  await sandbox.print("create", "quotes", "symbol:string(4):pk", "bid:decimal(2)");
  const file = await sandbox.write("quotes.tsv", "A\t1\nB\tx\n");
  const command = sandbox.command("ingest", file, "--table", "quotes");
  const child = Bun.spawn(["bash", "-c", '"$@" > >(exec <&-; sleep 0); exit', "bash", ...command], {
    stdout: "ignore",
    stderr: "ignore",
  });
  expect(await child.exited).toBe(1);
});

test("cli: -update and -delete run without a question where no user could answer", async () => {
  using sandbox = new CliSandbox();
  await sandbox.print("create", "quotes", "symbol:string(4):pk", "bid:decimal(2)");
  const file = await sandbox.write("quotes.tsv", "A\t1\nB\t2\nC\t3\n");
  await sandbox.print("ingest", file, "--table", "quotes");
  const update = "-compare {> bid 1} -update {bid 5}";
  expect(await sandbox.print("search", "--table", "quotes", update)).toBe("2\n");
  expect(await sandbox.print("search", "--table", "quotes", "--yes", "-delete 1")).toBe("3\n");
  const count = await sandbox.run(["search", "--table", "quotes", "--count", "-delete 1"]);
  expect(count.stderr).toStartWith("PARSE_ERROR");
});

test("cli: export --safe keeps spreadsheets from computing", async () => {
  using sandbox = new CliSandbox();
  await sandbox.print("create", "notes", "id:i32:pk", "text:string(40)");
  const file = await sandbox.write("notes.tsv", "-1\t=1+1\n2\t@x\n3\tplain\n");
  await sandbox.print("ingest", file, "--table", "notes");
  const words = ["export", "--table", "notes", "--format", "csv", "--safe", "-sort id"];
  expect(await sandbox.print(...words)).toBe("-1,'=1+1\n2,'@x\n3,plain\n");
});

for (const shell of ["bash", "zsh", "fish"]) {
  test(`cli: completion ${shell} names every command`, async () => {
    const run = await runCli(["completion", shell]);
    expect(run.status).toBe(0);
    for (const word of ["search", "segments", "resize", "read-only"]) {
      expect(run.stdout).toContain(word);
    }
    const path = Bun.which(shell);
    if (path === null) return;
    const child = Bun.spawn([path, "-n"], { stdin: Buffer.from(run.stdout), stderr: "pipe" });
    expect([await child.exited, await new Response(child.stderr).text()]).toEqual([0, ""]);
  });
}

test("cli: Ctrl-C tells how many rows are in, and how to go on", async () => {
  using sandbox = new CliSandbox();
  await sandbox.print("create", "quotes", "symbol:string(8):pk", "bid:decimal(2)");
  const child = Bun.spawn(sandbox.command("ingest", "-", "--table", "quotes", "--format", "tsv"), {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const lines = Array.from({ length: 200_000 }, (_, index) => `S${index}\t1\n`).join("");
  child.stdin.write(lines);
  await child.stdin.flush();
  // Until the first rows are in.
  while (Number((await sandbox.run(["search", "--table", "quotes", "--count"])).stdout) === 0);
  child.kill("SIGINT");
  const stderr = await new Response(child.stderr).text();
  expect(await child.exited).toBe(130);
  expect(stderr).toMatch(/interrupted after [\d,]+ rows, which are in the table/);
});
