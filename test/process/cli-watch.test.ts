import { expect, test } from "bun:test";
import { defineTable, t } from "../../src/index.ts";
import { root } from "../support/source.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32() });

test("cli: watch prints rows and changes as they come, and ends on a signal", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Rows] });
  db.table(Rows).upsert({ id: 1, n: 1 });
  const start = (...words: string[]): Bun.Subprocess<"ignore", "pipe", "inherit"> =>
    Bun.spawn(
      [process.execPath, "src/cli/main.ts", ...words, "--dir", temporary.directory, "--json"],
      { cwd: root, stdin: "ignore", stdout: "pipe", env: { ...process.env } },
    );
  const watched = start("watch", "-compare {> n 0}", "--table", "Rows");
  const changes = start("watch", "--changes", "--from", "oldest");
  const read = async (
    child: typeof watched,
    enough: (line: string) => boolean,
  ): Promise<string> => {
    let text = "";
    for await (const chunk of child.stdout) {
      text += new TextDecoder().decode(chunk);
      if (text.split("\n").some(enough)) break;
    }
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    return text;
  };
  expect(await read(watched, (line) => line.includes('"reset":true'))).toContain('"id":1');
  expect(await read(changes, (line) => line.includes('"insert"'))).toContain('"table":"Rows"');
  await db.changes({ name: "one" })[Symbol.asyncDispose]();
  const listed = start("subscriptions");
  expect(await new Response(listed.stdout).json()).toMatchObject({ name: "one", live: false });
  const dropped = start("subscriptions", "drop", "one");
  expect(await dropped.exited).toBe(0);
  expect(db.subscriptions()).toEqual([]);
});
