/**
 * Instructions per operation against those recorded in `bench/instructions.json`. After a change
 * that is worth its cost, and after every improvement: `bun run bench instructions --record`.
 */
import { describe, expect, test } from "bun:test";
import {
  countInstructions,
  findGrowth,
  hasCallgrind,
  loadInstructions,
} from "../../bench/instructions.ts";

describe("instructions", () => {
  test("growth over 5 % is reported with both figures", () => {
    const recorded = { upsert: 1_000, get: 100, search: 10_000, commit: 2_000 };
    const now = { upsert: 1_050, get: 106, search: 9_000, commit: 2_110 };
    expect(findGrowth(recorded, now)).toEqual([
      "get: 106 instructions, 100 recorded (6.0 % more)",
      "commit: 2110 instructions, 2000 recorded (5.5 % more)",
    ]);
  });

  const isHere = hasCallgrind();
  if (!isHere) {
    console.warn("SKIPPED: instructions per operation are not compared: valgrind is missing");
  }

  // Building the driver takes a while the first time.
  test.skipIf(!isHere)(
    "an operation takes no more instructions than recorded",
    async () => {
      expect(findGrowth(await loadInstructions(), await countInstructions())).toEqual([]);
    },
    600_000,
  );
});
