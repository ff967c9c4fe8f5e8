/** The command line when something is wrong: statuses, one line with a code, no stack traces. */
import { describe, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { type CliRun, CliSandbox, runCli } from "../support/cli.ts";

const names = [
  ..."demo create ingest search get explain tables stats check checkpoint config".split(" "),
  ..."export bench".split(" "),
];

/** One line with a code on standard error, and nothing else anywhere. */
function expectError({ status, stdout, stderr }: CliRun, code: string, part: string): void {
  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: "",
    stderr: expect.stringMatching(new RegExp(`^${code}: [^\\n]+\\n$`)),
  });
  expect(stderr).toContain(part);
}

describe("wrong usage", () => {
  test("no command: all of them, on standard error", async () => {
    const run = await runCli([]);
    expect({ ...run, stderr: "" }).toEqual({ status: 2, stdout: "", stderr: "" });
    for (const name of names) expect(run.stderr).toContain(`\n  ${name} `);
  });

  test("an unknown command: the nearest one", async () => {
    const run = await runCli(["serach"]);
    expect({ ...run, stderr: "" }).toEqual({ status: 2, stdout: "", stderr: "" });
    expect(run.stderr).toEndWith(
      '\naerostore: there is no command "serach"; did you mean search?\n',
    );
  });

  for (const name of names) {
    test(`${name}: --help prints its usage, and so does a wrong option`, async () => {
      const [help, wrong] = await Promise.all([
        runCli([name, "--help"]),
        runCli([name, "--no-such-option"]),
      ]);
      expect(help.status).toBe(0);
      expect(help.stdout).toStartWith(`usage: aerostore ${name}`);
      expect(help.stdout).toContain("--json");
      expect(help.stderr).toBe("");
      expect({ ...wrong, stderr: "" }).toEqual({ status: 2, stdout: "", stderr: "" });
      expect(wrong.stderr).toBe(
        `${help.stdout}\naerostore ${name}: there is no option --no-such-option\n`,
      );
    });
  }

  const wrong: readonly (readonly [words: string[], message: string])[] = [
    [["get"], "too few words"],
    [["get", "a", "b"], '"b" is one word too many'],
    [["create", "t"], "too few words"],
    [["create", "t", "id:u3:pk"], '"u3" is no type'],
    [["create", "t", "id:u32"], "exactly one column must be the primary key, not none"],
    [["create", "t", "id:f64:pk"], "a f64 cannot be a primary key"],
    [["create", "9t", "id:u32:pk"], "a table name has a letter or _"],
    [["ingest", "-", "--format", "xml"], "--format is one of tsv, csv, ndjson, readsb"],
    [["ingest", "-", "--batch", "0"], "--batch is a whole number from 1"],
    [["ingest", "-", "--format", "ndjson", "--header"], "--header is for tsv and csv"],
    [["export", "-delete 1"], "export prints rows"],
    [["export", "-countOnly", "1"], "export prints rows"],
    [["tables", "a", "b"], '"b" is one word too many'],
    [["stats", "a"], "one word too many: it takes none"],
    [["config", "list", "x"], 'config takes get or set, not "list"'],
    [["config", "set", "x"], "config set needs a value"],
    [["config", "get", "x", "y"], "config set changes a setting"],
    [["demo", "--seconds", "soon"], "--seconds is a whole number"],
  ];
  for (const [words, message] of wrong) {
    test(`${words.join(" ")}: ${message}`, async () => {
      using sandbox = new CliSandbox();
      const run = await sandbox.run(words);
      expect({ ...run, stderr: "" }).toEqual({ status: 2, stdout: "", stderr: "" });
      const usage = run.stderr.trimEnd().split("\n");
      const line = usage.at(-1) ?? "";
      expect(line).toStartWith(`aerostore ${words[0]}: `);
      expect(line).toContain(message);
      expect(usage[0]).toStartWith(`usage: aerostore ${words[0]}`);
      // Nothing was made of it.
      expect(await Bun.file(`${sandbox.data}/aerostore.id`).exists()).toBe(false);
    });
  }
});

describe("failures", () => {
  test("no database: an error, and none is made", async () => {
    using sandbox = new CliSandbox();
    for (const words of [["search"], ["get", "x"], ["tables"], ["stats"], ["config", "get", "x"]]) {
      expectError(await sandbox.run(words), "IO_ERROR", "there is no database");
    }
    expect(await Bun.file(sandbox.data).exists()).toBe(false);
  });

  test("mistakes in tables, columns, queries and values have their codes", async () => {
    using sandbox = new CliSandbox();
    await sandbox.print("create", "quotes", "symbol:string(4):pk", "bid:decimal(2):index");
    const cases: readonly (readonly [words: string[], code: string, part: string])[] = [
      [["search", "--table", "qoutes"], "UNKNOWN_TABLE", 'did you mean "quotes"?'],
      [["search"], "UNKNOWN_TABLE", "FlightState"],
      [["search", "--table", "quotes", "-compare {> bit 1}"], "UNKNOWN_FIELD", "bid"],
      [["search", "--table", "quotes", "-compare {> bid"], "PARSE_ERROR", "never closed"],
      [["search", "--table", "quotes", "-limt 5"], "PARSE_ERROR", "-limit"],
      [["explain", "--table", "quotes", "-sort"], "PARSE_ERROR", "-sort"],
      [["search", "--table", "quotes", "-compare {> bid x}"], "INVALID_VALUE", "quotes.bid"],
      [["get", "ABCDE", "--table", "quotes"], "INVALID_VALUE", "quotes.symbol"],
      [["create", "quotes", "symbol:u32:pk"], "SCHEMA_MISMATCH", "quotes"],
      [["ingest", sandbox.path("none.tsv"), "--table", "quotes"], "IO_ERROR", "none.tsv"],
      [["ingest", sandbox.directory, "--table", "quotes"], "IO_ERROR", "directory"],
      [["ingest", "-", "--table", "qoutes"], "UNKNOWN_TABLE", "quotes"],
      [["ingest", "-", "--table", "quotes", "--newest", "time"], "UNKNOWN_FIELD", "time"],
      [["config", "get", "aerostore.speed"], "[A-Z_]+", "aerostore.speed"],
    ];
    for (const [words, code, part] of cases) expectError(await sandbox.run(words), code, part);
  });

  test("--debug adds the stack", async () => {
    using sandbox = new CliSandbox();
    const run = await sandbox.run(["tables", "--debug"]);
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^IO_ERROR: .*\n[^]*\n +at /);
  });

  test("a data directory that cannot be made", async () => {
    using sandbox = new CliSandbox();
    await sandbox.write("data", "a file");
    const run = await sandbox.run(["create", "t", "id:u32:pk"]);
    expectError(run, "(?:IO_ERROR|PERMISSION)", sandbox.data);
  });

  test("a segment path where no file can be made", async () => {
    using sandbox = new CliSandbox();
    await mkdir(sandbox.shmPath);
    try {
      const run = await sandbox.run(["create", "t", "id:u32:pk"]);
      expectError(run, "[A-Z_]+", sandbox.shmPath);
    } finally {
      await Bun.$`rmdir ${sandbox.shmPath}`.quiet();
    }
  });

  test("the library is missing: how to build it", async () => {
    using sandbox = new CliSandbox();
    const env = { AEROSTORE_LIBRARY: sandbox.path("none.so") };
    const run = await sandbox.run(["create", "t", "id:u32:pk"], { env });
    expectError(run, "ABI_MISMATCH", "build");
  });

  test("whoever reads the output may stop reading", async () => {
    using sandbox = new CliSandbox();
    const rows = Array.from({ length: 50_000 }, (_, id) => `${id}\n`).join("");
    await sandbox.print("create", "t", "id:u32:pk");
    await sandbox.run(["ingest", "-", "--table", "t"], { stdin: rows });
    const child = Bun.spawn(sandbox.command("search", "--table", "t"), {
      stdout: "pipe",
      stderr: "pipe",
    });
    for await (const piece of child.stdout) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect(await child.stderr.text()).toBe("");
    expect(await child.exited).toBe(0);
  });
});
