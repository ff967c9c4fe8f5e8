import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Child, Crew } from "../support/crew.ts";
import { chooseSeed } from "../support/random.ts";
import { root } from "../support/source.ts";
import { endings, runRestarts, runSteps, stepsFrom } from "./restart.ts";

test("restart: however a writer ends, the next process attaches to all that it wrote", async () => {
  const seed = chooseSeed();
  const problems = await runRestarts({ seed, rounds: 18, endings, coldEvery: 6 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
});

test("restart: a kill at any step of attaching or closing loses nothing", async () => {
  const open = await runSteps({ part: "open", isCold: false, steps: stepsFrom(1, 1e6, 1.4) });
  const close = await runSteps({ part: "close", isCold: false, steps: stepsFrom(1, 1e6, 1.4) });
  expect([...open.problems, ...close.problems]).toEqual([]);
  expect(Math.min(open.kills, close.kills)).toBeGreaterThan(3);
});

test("restart: a kill at any step of recovery leads to another recovery", async () => {
  const { problems, kills } = await runSteps({
    part: "open",
    isCold: true,
    steps: stepsFrom(1, 1e7, 1.6),
  });
  expect(problems).toEqual([]);
  expect(kills).toBeGreaterThan(5);
});

test("restart: a kill in any state of the boot machine leads to another boot", async () => {
  for (const isCold of [false, true]) {
    const { problems, kills } = await runSteps({
      part: "states",
      isCold,
      steps: stepsFrom(1, 100, 1),
    });
    expect(problems).toEqual([]);
    expect(kills).toBeGreaterThan(isCold ? 5 : 2);
  }
});

/** A program that says how it came up each time that it is run or run again. */
const reloaded = (crew: Crew, run: number): string => `
  import { defineTable, open, t } from ${JSON.stringify(join(root, "src/index.ts"))};
  const Runs = defineTable("runs", { id: t.u32().primaryKey(), rank: t.u32().index() });
  const db = await open(${JSON.stringify(crew.data)}, {
    shmPath: ${JSON.stringify(crew.shmPath)},
    tables: [Runs],
    maxBytes: ${4 << 20},
  });
  db.table(Runs).upsert({ id: ${run}, rank: ${run} });
  console.log("run ${run}", db.boot.mode, db.table(Runs).count());
  // What an earlier run has left open is closed when nothing refers to it any more.
  globalThis.collecting ??= setInterval(() => Bun.gc(true), 1);
  if (process.argv.includes("close")) {
    clearInterval(globalThis.collecting);
    db.close();
  }
`;

for (const flag of ["--hot", "--watch"]) {
  test(`restart: bun ${flag} attaches warm at each reload`, async () => {
    await using crew = new Crew();
    const program = join(crew.directory, "program.ts");
    const runs = 12;
    writeFileSync(program, reloaded(crew, 1));
    const child = new Child(`bun ${flag}`, [process.execPath, flag, program], {});
    for (let run = 1; run <= runs; run++) {
      const line = await child.said(`run ${run} `);
      expect(line).toBe(`run ${run} ${run === 1 ? "ColdReplay" : "WarmAttach"} ${run}`);
      if (run < runs) writeFileSync(program, reloaded(crew, run + 1));
    }
    await child.kill();
    writeFileSync(program, reloaded(crew, runs + 1));
    const last = new Child("bun", [process.execPath, program, "close"], {});
    expect(await last.said("run")).toBe(`run ${runs + 1} WarmAttach ${runs + 1}`);
    expect((await last.ended).status).toBe(0);
  });
}
