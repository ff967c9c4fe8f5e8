import { expect, test } from "bun:test";
import { Crew, faultLibrary } from "../support/crew.ts";

const program = "test/crash/disk-child.ts";
const env = { AEROSTORE_LIBRARY: faultLibrary };

test("disk: a full disk refuses commits, and room lets them go on", async () => {
  await using crew = new Crew();
  const codes = {
    waiting: "IO_ERROR",
    awaiting: "IO_ERROR",
    committing: "IO_ERROR",
    reading: "none",
    checkpoint: "IO_ERROR",
  };
  // The second commit was visible when the disk was full, and is written when there is room.
  const rows = [1, 2, 4];
  expect(await crew.run(program, ["full"], { env })).toEqual({ codes, isStalled: true, rows });
  crew.removeSegment();
  expect(await crew.run(program, ["look"], { env })).toMatchObject({ rows, problems: [] });
});

test("disk: a failed sync poisons the log, and the next open reads the disk", async () => {
  await using crew = new Crew();
  expect(await crew.run(program, ["failing"], { env })).toEqual({
    codes: {
      waiting: "LOG_POISONED",
      committing: "LOG_POISONED",
      reading: "none",
      checkpoint: "LOG_POISONED",
      opening: "LOG_POISONED",
    },
    isPoisoned: true,
  });
  const found = await crew.run(program, ["look"], { env });
  expect(found).toMatchObject({ mode: "ColdReplay", problems: [] });
  expect(found).toHaveProperty("rows", expect.arrayContaining([1]));
  expect(found).not.toHaveProperty("rows", expect.arrayContaining([3]));
});

test("disk: a commit that is run again on a full disk waits for the disk, too", async () => {
  await using crew = new Crew();
  expect(await crew.run(program, ["retry"], { env })).toEqual({
    first: "IO_ERROR",
    full: "IO_ERROR",
    durable: "IO_ERROR",
    roomy: "none",
    isDurable: true,
  });
  crew.removeSegment();
  expect(await crew.run(program, ["look"], { env })).toMatchObject({ rows: [1, 2], problems: [] });
});

/** A writer poisons the log and dies; what the process says that would take its place. */
async function inherit(
  crew: Crew,
  environment: Readonly<Record<string, string>>,
): Promise<unknown> {
  const holder = crew.start(program, ["poison"], { env: environment });
  await holder.said("holding");
  const heir = crew.start(program, ["heir", holder.pid], { env: environment });
  await heir.said("ready");
  crew.stop();
  expect(await holder.said("poisoned")).toBe("poisoned");
  await holder.kill();
  return heir.result();
}

test("disk: a poisoned log stays as it is when its writer dies", async () => {
  await using crew = new Crew();
  const codes = { waiting: "LOG_POISONED", committing: "LOG_POISONED", checkpoint: "LOG_POISONED" };
  expect(await inherit(crew, env)).toEqual({ codes, raisedBy: 0, epochs: 0 });
  const found = await crew.run(program, ["look"], { env });
  expect(found).toMatchObject({ mode: "ColdReplay", problems: [] });
  expect(found).toHaveProperty("rows", expect.arrayContaining([1]));
});

test("disk: without the law, the next writer calls durable what the disk has not", async () => {
  await using crew = new Crew();
  const broken = { ...env, AEROSTORE_MUTANT: "poison_forgotten" };
  expect(await inherit(crew, broken)).not.toMatchObject({ raisedBy: 0, epochs: 0 });
});

for (const hits of [1, 2, 3]) {
  test(`disk: a kill between linking and unlinking a log file, the ${hits}. time`, async () => {
    await using crew = new Crew();
    // Where renaming cannot refuse an existing name, it is done in two steps.
    const child = crew.start(program, ["linking", hits], { env });
    expect((await child.ended).signal).toBe("SIGKILL");
    const rows = child.lines.length;
    crew.removeSegment();
    for (const mode of ["look", "linking", "look"]) {
      const found = await crew.run(program, mode === "look" ? [mode] : [mode, 0], { env });
      if (mode === "look") expect(found).toMatchObject({ problems: [] });
      if (mode === "look") expect(found).toHaveProperty("rows.length", expect.any(Number));
      crew.removeSegment();
    }
    expect(rows).toBeLessThan(4);
  });
}

test("disk: a log file that is removed under its writer is noticed in time", async () => {
  for (const how of ["removed", "renamed", "replaced"]) {
    await using crew = new Crew();
    const found = await crew.run(program, ["removal", how], { env });
    expect({ how, found }).toEqual({
      how,
      found: { waiting: "LOG_POISONED", awaiting: "LOG_POISONED", raisedBy: 0, told: true },
    });
  }
});

test("disk: without the look for it, a removed log file is not noticed", async () => {
  await using crew = new Crew();
  const broken = { ...env, AEROSTORE_MUTANT: "removal_unseen" };
  expect(await crew.run(program, ["removal", "removed"], { env: broken })).toMatchObject({
    waiting: "none",
  });
});

test("disk: a sync that fails while nobody waits for it poisons the log, too", async () => {
  await using crew = new Crew();
  const codes = { waiting: "LOG_POISONED", committing: "LOG_POISONED", reading: "none" };
  expect(await crew.run(program, ["beside"], { env })).toEqual({ codes });
  const found = await crew.run(program, ["look"], { env });
  expect(found).toMatchObject({ mode: "ColdReplay", problems: [] });
  expect(found).toHaveProperty("rows", expect.arrayContaining([1]));
  expect(found).not.toHaveProperty("rows", expect.arrayContaining([3]));
});

test("disk: a new log file that cannot be made leaves the old one in use", async () => {
  await using crew = new Crew();
  const expected = { code: "IO_ERROR", rows: 2, hasRotated: true };
  expect(await crew.run(program, ["rotation"], { env })).toEqual(expected);
  crew.removeSegment();
  expect(await crew.run(program, ["look"], { env })).toMatchObject({ rows: [1, 2] });
});

test("disk: a table that could not be created leaves nothing in the way", async () => {
  await using crew = new Crew();
  expect(await crew.run(program, ["table"], { env })).toEqual({
    codes: {
      waiting: "IO_ERROR",
      creating: "IO_ERROR",
      again: "IO_ERROR",
      using: "UNKNOWN_TABLE",
    },
    problems: [],
  });
  crew.removeSegment();
  expect(await crew.run(program, ["later"], { env })).toEqual({ rows: 1, problems: [] });
});
