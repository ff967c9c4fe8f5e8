import { expect, test } from "bun:test";
import { open } from "../../src/index.ts";
import { Crew, faultLibrary } from "../support/crew.ts";
import { Rows } from "./wound-child.ts";

test.each(["commit.csn", "commit.numbered"])(
  "wound: a commit that others aborted at %s, in no conflict with them, is made again",
  async (point) => {
    await using crew = new Crew();
    const options = { tables: [Rows], shmPath: crew.shmPath, maxBytes: 16 << 20 };
    using db = await open(crew.data, options);
    const env = { AEROSTORE_LIBRARY: faultLibrary };
    const child = crew.start("test/isolation/wound-child.ts", [point], { env });
    await child.stopped();
    const rows = db.table(Rows);
    expect(rows.get(1)).toBeUndefined();
    rows.insert({ id: 2, n: 2 }); // decides what is below it
    child.signal("SIGCONT");
    const said = (await child.result()) as { retries: number; wounded: number };
    expect(said.wounded).toBe(1);
    expect(said.retries).toBeGreaterThanOrEqual(1);
    expect(rows.get(1)?.n).toBe(1);
    expect(db.check().problems).toEqual([]);
  },
);
