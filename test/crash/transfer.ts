/**
 * Workers move money; some are killed or stopped after a random number of acknowledged transfers.
 * At the end the accounts must be what the ledger says, and every acknowledged transfer be in it.
 */
import { Crew } from "../support/crew.ts";
import type { Child, ChildEnd } from "../support/crew.ts";
import { Random } from "../support/random.ts";
import type { Audit } from "./transfer-tables.ts";

export interface TransferOptions {
  readonly seed: number;
  readonly workers: number;
  /** Kills and stops. */
  readonly events: number;
  /** Between two events, on average. Default: as soon as the others have got on. */
  readonly pauseMs?: number;
  /** A stopped worker goes on after at most so long; else when the others have got on. */
  readonly stopMs?: number;
  /** Of the segment. Default: as small as in other tests. */
  readonly segmentBytes?: number;
}

export interface TransferReport {
  readonly problems: readonly string[];
  readonly acknowledged: number;
  readonly kills: number;
  readonly stops: number;
  /** Longest time between two acknowledgements of a worker that was not stopped. */
  readonly longestStallMs: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly memory: Readonly<Record<string, number>>;
}

/** What every other worker has to get done between two events. */
const progressMin = 4;
const program = "test/crash/transfer-worker.ts";
const audit = "test/crash/transfer-audit.ts";

/** One place in the crew: whoever is killed is followed by another process. */
class Place {
  child: Child | undefined;
  acknowledged = 0;
  /** Told at each acknowledgement. */
  onProgress: () => void = () => undefined;
  saidAt = 0;
  longestStallMs = 0;

  isStopped = false;

  isPast(count: number): boolean {
    return this.acknowledged >= count;
  }
}

export async function runTransfers(options: TransferOptions): Promise<TransferReport> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const problems: string[] = [];
  const places = Array.from({ length: options.workers }, () => new Place());
  const expected = new Set<Child>();
  const stopped: Promise<void>[] = [];
  let [kills, stops] = [0, 0];
  let wake = (): void => undefined;
  const { segmentBytes } = options;
  const env = segmentBytes === undefined ? {} : { AEROSTORE_TEST_BYTES: String(segmentBytes) };

  const start = (index: number, place: Place): void => {
    place.saidAt = 0;
    const child = crew.start(program, [index, random.below(2 ** 32)], {
      env,
      onLine: (line) => {
        if (line.startsWith("ready ")) return;
        if (/^(torn|lost) /.test(line)) return void problems.push(line);
        const now = performance.now();
        if (place.saidAt > 0) {
          place.longestStallMs = Math.max(place.longestStallMs, now - place.saidAt);
        }
        place.saidAt = now;
        place.acknowledged = Number(line);
        wake();
      },
    });
    place.child = child;
    void child.ended.then((end) => {
      if (!expected.has(child)) problems.push(describeEnd(child, end));
      wake();
    });
  };
  /** Waits until each of `who` has acknowledged `count` more, or something is wrong. */
  const progress = async (who: readonly Place[], count: number): Promise<void> => {
    const goals = who.map((place) => ({ place, goal: place.acknowledged + count }));
    while (problems.length === 0 && goals.some(({ place, goal }) => !place.isPast(goal))) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };

  await crew.run(audit, ["open"], { env });
  places.forEach((place, index) => start(index, place));
  await progress(places, 1);
  for (let event = 0; event < options.events && problems.length === 0; event++) {
    if (options.pauseMs !== undefined) await Bun.sleep(random.below(2 * options.pauseMs));
    const index = random.below(places.length);
    const place = places[index];
    const child = place?.child;
    if (place === undefined || child === undefined || place.isStopped) continue;
    const others = places.filter((each) => each !== place && !each.isStopped);
    await progress([place], random.between(1, 40));
    if (random.oneIn(4)) {
      stops++;
      child.signal("SIGSTOP");
      if (options.stopMs !== undefined) {
        stopped.push(resume(place, child, random.below(options.stopMs)));
        continue;
      }
      await progress(others, progressMin + random.below(60));
      place.saidAt = 0;
      child.signal("SIGCONT");
      await progress([place], 1);
    } else {
      kills++;
      expected.add(child);
      await Promise.all([child.kill(), progress(others, progressMin)]);
      start(index, place);
      if (random.oneIn(2)) await progress([place], 1);
    }
  }
  await Promise.all(stopped);
  for (const { child } of places) if (child !== undefined) expected.add(child);
  crew.stop();
  const ends = await Promise.all(places.map(async ({ child }) => child?.ended));
  places.forEach(({ child }, index) => {
    const end = ends[index];
    if (child !== undefined && end !== undefined && end.status !== 0) {
      problems.push(describeEnd(child, end));
    }
  });
  const found = (await crew.run(audit, ["audit"], { env })) as Audit;
  problems.push(...found.problems);
  places.forEach(({ acknowledged }, index) => {
    const done = found.done[index] ?? 0;
    if (done < acknowledged) {
      problems.push(`worker ${index}: ${acknowledged} acknowledged, ${done} in the ledger`);
    }
  });
  return {
    problems,
    acknowledged: places.reduce((sum, place) => sum + place.acknowledged, 0),
    kills,
    stops,
    longestStallMs: Math.max(...places.map((place) => place.longestStallMs)),
    counters: found.counters,
    memory: found.memory,
  };
}

/** Lets a stopped worker go on after a while; the time that it stood is no stall. */
async function resume(place: Place, child: Child, afterMs: number): Promise<void> {
  place.isStopped = true;
  await Bun.sleep(afterMs);
  place.saidAt = 0;
  place.isStopped = false;
  child.signal("SIGCONT");
}

function describeEnd(child: Child, { status, signal, stderr }: ChildEnd): string {
  return `${child.name} ended with ${signal ?? status}: ${stderr.slice(-600)}`;
}
