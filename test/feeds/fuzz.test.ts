import { expect, test } from "bun:test";
import { fuzzFeeds } from "./fuzz.ts";

test("feeds: damaged records cost themselves, in every format and however cut", async () => {
  // `bun run soak feeds` takes others, and knows of records that still cost a neighbour.
  const seed = Number(process.env["AEROSTORE_SEED"] ?? 5);
  const { problems, counts } = await fuzzFeeds({ seed, inputs: 3_000 });
  if (problems.length > 0) {
    throw new Error(
      `AEROSTORE_SEED=${seed} bun test test/feeds/fuzz.test.ts\n${problems.join("\n")}`,
    );
  }
  expect(counts["mutants"]).toBe(3_000);
}, 120_000);
