/** The shell: completion, tables that fit, statements from a script, and a person at a terminal. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { complete, isOpen } from "../../src/cli/shell/complete.ts";
import { cutText, fitWidths } from "../../src/terminal/rows.ts";
import { CliSandbox } from "../support/cli.ts";

const vocabulary = {
  commands: ["use", "get", "exit"],
  tables: ["flights", "quotes"],
  columns: ["flight_id", "altitude", "alt"],
};

describe("completion", () => {
  const cases: readonly (readonly [line: string, matches: readonly string[]])[] = [
    ["g", ["get "]],
    ["-lim", ["-limit "]],
    ["use f", ["flights "]],
    ["-compare {nul", ["null "]],
    ["-compare {> al", ["altitude ", "alt "]],
    ["-compare {{> altitude 1} {match_c", ["match_case "]],
    ["-compare {> altitude ", []],
    ["-sort -al", ["-altitude ", "-alt "]],
    ["-sort {altitude fl", ["flight_id "]],
    ["search -sort altitude -off", ["-offset "]],
    ["-fields {flight_id} -des", ["-desc "]],
  ];
  for (const [line, matches] of cases) {
    test(`${line}: ${matches.join("")}`, () => {
      expect(complete(line, vocabulary)[0]).toEqual(matches);
    });
  }

  test("a statement goes on while a brace or a quote is open", () => {
    expect(["-compare {{> a 1}", '= "a', '-compare {= a "}"', "} {"].map(isOpen)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(['-compare {= a "{"}', "-limit 5", '"\\""'].map(isOpen)).toEqual([false, false, false]);
  });
});

describe("tables that fit the screen", () => {
  test("the widest columns give way, none below its least width", () => {
    expect(fitWidths([10, 40, 5], 40)).toEqual([10, 21, 5]);
    expect(fitWidths([10, 40, 30], 40)).toEqual([10, 13, 13]);
    expect(fitWidths([4, 30, 30], 10)).toEqual([4, 8, 8]);
    expect(fitWidths([4, 30], 80)).toEqual([4, 30]);
  });

  test("text is cut by its width on the screen", () => {
    expect(["abcdef", "abcde", "日本語", ""].map((text) => cutText(text, 5))).toEqual([
      "abcd…",
      "abcde",
      "日本…",
      "",
    ]);
  });
});

async function withFlights(): Promise<CliSandbox> {
  const sandbox = new CliSandbox();
  await sandbox.print("create", "flights", "id:string(8):pk", "alt:i32:index", "note:string(200)");
  const lines = Array.from({ length: 60 }, (_, i) => `F${i}\t${i * 100}\t${"x".repeat(150)}`);
  const file = await sandbox.write("flights.tsv", `${lines.join("\n")}\n`);
  await sandbox.print("ingest", file, "--table", "flights");
  return sandbox;
}

test("statements of a script: rows as lines, errors by code, exit status 1 after one", async () => {
  using sandbox = await withFlights();
  const script = [
    "-sort -alt -limit 2 -fields {id alt}",
    "-compare {",
    "  {< alt 200}",
    "} -sort alt -fields id",
    "count -compare {>= alt 3000}",
    "get F7",
    "get none",
    "-compare {= nothing 1}",
    "format json",
    "-limit 1 -fields id -compare {= id F3}",
    "nonsense",
    "exit",
    "count",
  ];
  const stdin = `${script.join("\n")}\n`;
  const { status, stdout, stderr } = await sandbox.run(["shell", "--tsv"], { stdin });
  const lines = stdout.split("\n");
  expect(lines.slice(0, 5)).toEqual(["F59\t5900", "F58\t5800", "F0", "F1", "30"]);
  expect(lines[5]).toBe(`F7\t700\t${"x".repeat(150)}`);
  expect(lines.slice(6)).toEqual(['{"id":"F3"}', ""]);
  expect(stderr).toContain("UNKNOWN_FIELD: flights has no column");
  expect(stderr).toContain('INVALID_VALUE: "nonsense" is no statement');
  expect(stderr).toContain("flights has no row none\n");
  expect(status).toBe(1);
});

test("at a terminal: completion, pages, a table that fits, Ctrl-C, history", async () => {
  using sandbox = await withFlights();
  const state = sandbox.path("state");
  const decoder = new TextDecoder();
  let screen = "";
  /** What to type when the screen shows a text for the first time behind the last one. */
  const typed: (readonly [seen: string, keys: string])[] = [
    ["flights> ", "-so\t"],
    ["rt ", "-al\t"],
    ["t ", "-fie\t"],
    ["lds ", "id\r"],
    ["20 rows; Enter", "q\r"],
    ["20 rows in", "count -compare {> alt\u0003"],
    ["flights> ", "-compare {= id F5}\r"],
    ["1 row in", "exit\r"],
  ];
  let from = 0;
  const child = Bun.spawn(sandbox.command("shell"), {
    env: { ...process.env, XDG_STATE_HOME: state },
    terminal: {
      cols: 60,
      rows: 25,
      data: (terminal, bytes) => {
        screen += decoder.decode(bytes, { stream: true });
        const [next] = typed;
        if (next === undefined) return;
        const at = screen.indexOf(next[0], from);
        if (at < 0) return;
        from = at + next[0].length;
        typed.shift();
        terminal.write(next[1]);
      },
    },
  });
  expect(await child.exited).toBe(0);
  child.terminal?.close();
  const plain = Bun.stripANSI(screen).replaceAll("\r\n", "\n");
  expect(plain).toContain("F40\n");
  expect(plain).not.toContain("F39\n");
  expect(plain).toContain("…");
  const row = plain.split("\n").find((line) => line.startsWith("F5 "));
  expect(Bun.stringWidth(row ?? "")).toBe(60);
  expect(readFileSync(`${state}/aerostore/history`, "utf8")).toBe(
    "-sort -alt -fields id\n-compare {= id F5}\nexit\n",
  );
}, 60_000);
