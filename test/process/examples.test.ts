/** The examples do what they say. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../support/source.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

async function run(name: string, temporary: TemporaryDatabase): Promise<string> {
  const child = Bun.spawn([process.execPath, join(root, "examples", name), temporary.directory], {
    env: { ...process.env, AEROSTORE_SHM_PATH: temporary.shmPath },
    stderr: "inherit",
  });
  const output = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return output;
}

test("examples: the quickstart finds what it wrote, also the second time", async () => {
  using temporary = new TemporaryDatabase();
  expect(await run("quickstart.ts", temporary)).toContain("SWR40 36000 seen 1 times");
  const again = await run("quickstart.ts", temporary);
  expect(again).toContain("WarmAttach");
  expect(again).toContain("UAL123 31000 seen 2 times");
});

test("examples: transfers of two processes keep the sum", async () => {
  using temporary = new TemporaryDatabase();
  const outputs = await Promise.all([run("transfer.ts", temporary), run("transfer.ts", temporary)]);
  for (const output of outputs) expect(output).toContain("the sum is 100000");
});
