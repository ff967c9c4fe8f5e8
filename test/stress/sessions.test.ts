import { expect, test } from "bun:test";
import { runSessions } from "./sessions.ts";

// All 4,096 take minutes, since the kernel walks a list of locks for each: `bun run soak sessions`.
test("sessions: as many at once as the segment has places, and they come back", async () => {
  expect(await runSessions(512)).toEqual({ problems: [], sessions: 512 });
});
