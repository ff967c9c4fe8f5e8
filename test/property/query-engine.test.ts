/** Queries through the engine; `bun run soak queries` makes 200,000. */
import { expect, test } from "bun:test";
import { chooseSeed } from "../support/random.ts";
import { runQueries } from "./query-engine.ts";

test("queries: every route of the engine finds what the query means", async () => {
  const seed = chooseSeed();
  const { problems, queries, executions } = await runQueries({ seed, tables: 320, queries: 60 });
  expect({ seed, problems }).toEqual({ seed, problems: [] });
  expect(queries).toBe(320 * 60);
  expect(executions).toBeGreaterThan(queries * 2);
}, 600_000);
