/** A checkout is made ready once, and then starts at once. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../support/source.ts";

test("setup: where it has nothing to do, the command line just starts", () => {
  const start = join(root, "tools", "start.ts");
  const child = Bun.spawnSync([process.execPath, start, "--help"], { stderr: "pipe" });
  expect(child.stderr.toString()).toBe("");
  expect(child.stdout.toString()).toStartWith("usage: aerostore <command>");
});

test("setup: it waits for the one that is at work in the same checkout", async () => {
  const other = new Database(join(root, "zig-out", "setup.lock"));
  other.run("BEGIN EXCLUSIVE");
  const setup = Bun.spawn([process.execPath, join(root, "tools", "setup.ts")], { stderr: "pipe" });
  const lines = setup.stderr.pipeThrough(new TextDecoderStream()).getReader();
  expect((await lines.read()).value).toBe("setup: waiting for another set-up\n");
  other.close();
  expect(await setup.exited).toBe(0);
});

test("setup: a program of the checkout may import the package by its name", () => {
  const program = `import { t } from "aerostore";
     import { FlightState } from "aerostore/flight";
     console.log(typeof t, FlightState.name);`;
  const child = Bun.spawnSync([process.execPath, "-e", program], { cwd: root, stderr: "pipe" });
  expect(child.stdout.toString()).toBe("object FlightState\n");
});
