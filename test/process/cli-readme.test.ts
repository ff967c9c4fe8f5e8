/** What the README shows works as it stands there. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { CliSandbox } from "../support/cli.ts";
import { root } from "../support/source.ts";

const readme = await Bun.file(join(root, "README.md")).text();

function blocks(language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm");
  return [...readme.matchAll(pattern)].map((match) => match[1] ?? "");
}

test("the program runs, twice, on one database", async () => {
  using sandbox = new CliSandbox();
  const [program = ""] = blocks("ts");
  expect(program).toContain('"./aerostore_data"');
  const code = program.replace('"./aerostore_data"', JSON.stringify(sandbox.data));
  for (let run = 0; run < 2; run++) {
    const child = Bun.spawn([process.execPath, "-e", code], {
      cwd: root,
      env: { ...process.env, AEROSTORE_SHM_PATH: sandbox.shmPath },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect({ status: await child.exited, stdout, stderr }).toEqual({
      status: 0,
      stdout: "UAL123 31200\n",
      stderr: "",
    });
  }
  expect(await sandbox.json("get", "UAL123", "--table", "Flights")).toMatchObject([{ lat: 40.65 }]);
});

test("the command lines do what they say", async () => {
  using sandbox = new CliSandbox();
  const lines = blocks("sh").flatMap((block) => block.trimEnd().split("\n"));
  const commands = lines.flatMap((line) => {
    const [input, rest] = line.includes(" | ") ? line.split(" | ") : ["", line];
    const words = /^bun run aerostore (.*)$/.exec(rest ?? "")?.[1];
    return words === undefined ? [] : [{ input, words }];
  });
  expect(commands.length).toBeGreaterThanOrEqual(5);
  const tsv = "UAL9\t1\t2\t31000\t400\t7\nDAL1\t1\t2\t15000\t400\t7\n";
  await sandbox.write("flights.tsv.gz", Bun.gzipSync(Buffer.from(tsv)));
  const aerostore = sandbox.command("@").map((word) => `'${word}'`);
  for (const { input, words } of commands) {
    const [name = "", ...rest] = words.split(" ");
    const command = [...aerostore.map((word) => (word === "'@'" ? name : word)), ...rest].join(" ");
    const script = input === "" ? command : `${input} | ${command}`;
    const child = Bun.spawn(["sh", "-c", script], {
      cwd: sandbox.directory,
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect({ words, status: await child.exited, stderr }).toEqual({ words, status: 0, stderr: "" });
    if (name === "search") expect(stdout).toBe("UAL9\t1\t2\t31000\t400\t7\n");
  }
  expect(await Bun.file(sandbox.path("quotes.csv")).text()).toBe("symbol,bid,ask,ts\n");
});
