/** Many inputs for the parser; `bun run soak parser` makes 10 million. */
import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runFuzz } from "./stapi-fuzz.ts";

test("stapi: 200,000 damaged queries are plans or errors of ours", () => {
  const seed = chooseSeed();
  const { problems, plans } = runFuzz({ seed, inputs: 200_000 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
  expect(plans).toBeGreaterThan(10_000);
}, 600_000);
