/** Living receivers, over real sockets that fail. */
import { expect, test } from "bun:test";
import { Aircraft } from "../../src/flight/index.ts";
import { connectSbs, followUrl, listenSbs } from "../../src/follow/follow.ts";
import type { FollowStats } from "../../src/follow/follow.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

/** Lines of one airframe each, a second apart. */
function sbsLines(count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const hex = (0x4b0000 + i).toString(16).toUpperCase();
    const second = String(i % 60).padStart(2, "0");
    const time = `2026/01/02,03:04:${second}.000`;
    return `MSG,3,1,1,${hex},1,${time},${time},,${1_000 + i},,,47.${100_000 + i},8.5,,,0,0,0,0\r\n`;
  });
}

/** Collects the steps of a follower, and tells when one satisfies a condition. */
class Steps {
  readonly all: FollowStats[] = [];
  #waiting: (() => void)[] = [];

  readonly onStep = (stats: FollowStats): void => {
    this.all.push(stats);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  async until(condition: (stats: FollowStats) => boolean): Promise<FollowStats> {
    for (;;) {
      const found = this.all.find(condition);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

const pauses = { pauseMsMin: 1, pauseMsMax: 2 };

test("follow: a document is fetched again and again, across failures", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Aircraft] });
  let asked = 0;
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch() {
      asked += 1;
      if (asked === 2) return new Response("no", { status: 500 });
      const now = Date.now() / 1_000;
      const aircraft = [
        { hex: "4b1801", alt_baro: 1_000 * asked, seen: 0, lat: 47, lon: 8, seen_pos: 0 },
      ];
      return Response.json({ now, aircraft });
    },
  });
  const ending = new AbortController();
  const steps = new Steps();
  const options = { ...pauses, signal: ending.signal, onStep: steps.onStep };
  const done = followUrl(db.table("Aircraft"), server.url.href, 1, options);
  const stats = await steps.until(({ sources, failures }) => sources >= 3 && failures === 1);
  ending.abort();
  await done;
  expect(stats).toMatchObject({ inserted: 1, rejected: 0, gaps: 1, lastError: undefined });
  expect(db.table(Aircraft).get("4b1801")?.altitude).toBeGreaterThanOrEqual(3_000);
});

test("follow: a stream that splits lines, drops and returns gives all whole lines", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Aircraft] });
  const text = sbsLines(40).join("");
  // Cut in the middle of a line: the rest of it comes with the next connection.
  const parts = [text.slice(0, 1_075), text.slice(1_075)];
  let connections = 0;
  using server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        const part = parts[connections] ?? "";
        connections += 1;
        for (let at = 0; at < part.length; at += 7) socket.write(part.slice(at, at + 7));
        socket.end();
      },
      data() {},
    },
  });
  const ending = new AbortController();
  const steps = new Steps();
  const options = { ...pauses, signal: ending.signal, onStep: steps.onStep };
  const address = { host: "127.0.0.1", port: server.port };
  const done = connectSbs(db.table("Aircraft"), address, options);
  const stats = await steps.until(({ sources }) => sources === 2);
  ending.abort();
  await done;
  // The first half of the line that was cut is dropped, the other one is no line.
  expect(stats.inserted).toBe(39);
  expect(stats.rejected).toBe(1);
  expect(db.table(Aircraft).count()).toBe(39);
});

test("follow: any number of senders connect to a port that listens", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Aircraft] });
  const ending = new AbortController();
  const steps = new Steps();
  const options = { ...pauses, signal: ending.signal, onStep: steps.onStep };
  const address = { host: "127.0.0.1", port: 0 };
  const listener = listenSbs(db.table("Aircraft"), address, options);
  const lines = sbsLines(20);
  for (const part of [lines.slice(0, 10), lines.slice(10)]) {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: listener.port,
      socket: { data() {} },
    });
    socket.write(part.join(""));
    socket.end();
  }
  await steps.until(() => db.table(Aircraft).count() === 20);
  ending.abort();
  await listener.ended;
});

test("follow: a receiver that is not there is a gap, counted once", async () => {
  using temporary = new TemporaryDatabase();
  const db = await temporary.open({ tables: [Aircraft] });
  const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const address = { host: "127.0.0.1", port: free.port };
  free.stop(true);
  const ending = new AbortController();
  const steps = new Steps();
  const options = { ...pauses, signal: ending.signal, onStep: steps.onStep };
  const done = connectSbs(db.table("Aircraft"), address, options);
  const stats = await steps.until(({ failures }) => failures === 3);
  ending.abort();
  await done;
  expect(stats).toMatchObject({ gaps: 1, sources: 0 });
  expect(stats.lastError).toBeString();
});
