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

test("disk: a retry of a commit that a full disk refused succeeds only when it is on disk", async () => {
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

test("disk: a poisoned log stays as it is when its writer dies", async () => {
  await using crew = new Crew();
  const heir = crew.start(program, ["heir"], { env });
  await heir.said("ready");
  const holder = crew.start(program, ["poison"], { env });
  expect(await holder.said("poisoned")).toBe("poisoned");
  await holder.kill();
  crew.stop();
  const codes = { waiting: "LOG_POISONED", committing: "LOG_POISONED", checkpoint: "LOG_POISONED" };
  expect(await heir.result()).toEqual({ codes, raisedBy: 0, epochs: 0 });
  const found = await crew.run(program, ["look"], { env });
  expect(found).toMatchObject({ mode: "ColdReplay", problems: [] });
  expect(found).toHaveProperty("rows", expect.arrayContaining([1]));
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
