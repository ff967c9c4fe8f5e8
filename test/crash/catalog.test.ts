/**
 * Tables that several processes create at once, with creators killed at every named point: all
 * agree on the tables, and what was acknowledged is there after a cold start.
 */
import { expect, test } from "bun:test";
import { Crew, faultLibrary } from "../support/crew.ts";

const program = "test/crash/catalog-child.ts";
const env = { AEROSTORE_LIBRARY: faultLibrary };

/** Between every two shared stores of a creation. */
const points = [
  "catalog.named",
  "catalog.claimed",
  "catalog.built",
  "catalog.checked",
  "commit.logged",
  "commit.taken",
  "commit.csn",
  "commit.numbered",
  "commit.decided",
  "catalog.used",
  "catalog.stamped",
  "finish.closing",
];

interface Made {
  readonly code: string;
  readonly key: number;
}

interface Seen {
  readonly key: number;
  readonly problems: readonly string[];
}

interface Look {
  readonly names: readonly string[];
  readonly keys: readonly number[];
  readonly problems: readonly string[];
}

/** What a cold start finds. */
async function look(crew: Crew): Promise<Look> {
  crew.removeSegment();
  return (await crew.run(program, ["look"], { env })) as Look;
}

for (const point of points) {
  test(`catalog: a waiter gets its table after a creator died at ${point}`, async () => {
    await using crew = new Crew();
    const waiting = crew.start(program, ["wait"], { env });
    await waiting.said("open");
    const creator = crew.start(program, ["create", "one", point, 1], { env });
    expect((await creator.ended).signal).toBe("SIGKILL");
    crew.stop();
    const seen = (await waiting.result()) as Seen;
    expect(seen.problems).toEqual([]);
    expect(await look(crew)).toMatchObject({
      names: ["Before", "Shared"],
      keys: [seen.key],
      problems: [],
    });
  });
}

async function race(schemas: readonly string[]): Promise<{ made: Made[]; look: Look }> {
  await using crew = new Crew();
  const creators = schemas.map((schema) => crew.start(program, ["create", schema], { env }));
  for (const creator of creators) await creator.said("open");
  crew.stop();
  const made = await Promise.all(creators.map(async (each) => (await each.result()) as Made));
  return { made, look: await look(crew) };
}

test("catalog: creators of one table at once all get it, and every row is there", async () => {
  const { made, look } = await race(["one", "one", "one"]);
  expect(made.map(({ code }) => code)).toEqual(["ok", "ok", "ok"]);
  expect(look).toMatchObject({ names: ["Before", "Shared"], problems: [] });
  expect(look.keys).toEqual(made.map(({ key }) => key).toSorted((a, b) => a - b));
});

test("catalog: of creators with different columns one wins, the others are told", async () => {
  for (let round = 0; round < 3; round++) {
    const { made, look } = await race(["one", "other", "one", "other"]);
    expect(made.map(({ code }) => code).toSorted()).toEqual([
      "SCHEMA_MISMATCH",
      "SCHEMA_MISMATCH",
      "ok",
      "ok",
    ]);
    expect(look).toMatchObject({ names: ["Before", "Shared"], problems: [] });
    const keys = made.filter(({ code }) => code === "ok").map(({ key }) => key);
    expect(look.keys).toEqual(keys.toSorted((a, b) => a - b));
  }
});
