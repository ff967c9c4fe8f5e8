/**
 * A worker is killed at a named point of the commit path, or at any shared step, beside others that
 * go on; at the end nothing acknowledged is missing and every structure agrees with every other.
 */
import { Crew, faultLibrary } from "../support/crew.ts";
import type { Child } from "../support/crew.ts";
import { Random } from "../support/random.ts";
import type { Audit } from "./transfer-tables.ts";

/** Between every two shared stores of a commit, an abort, and the vacuum that follows a commit. */
export const commitPoints = [
  "install.filled",
  "install.named",
  "install.linked",
  "insert.named",
  "insert.linked",
  "commit.installed",
  "index.linked",
  "commit.linked",
  "commit.logged",
  "commit.taken",
  "commit.stored",
  "commit.csn",
  "commit.numbered",
  "commit.validated",
  "commit.decided",
  "finish.stamped",
  "finish.retired",
  "finish.settled",
  "finish.emptied",
  "finish.closing",
  "abort.unlinked",
  "abort.retired",
  "vacuum.taken",
  "paged.dropped",
  "vacuum.named",
  "index.closed",
  "vacuum.unlinked",
  "vacuum.slot.named",
  "vacuum.slot.closed",
  "vacuum.slot.half",
  "depot.named",
  "depot.claimed",
  "depot.moved",
] as const;

export interface PointReport {
  readonly point: string;
  /** Whether the worker died there. */
  readonly isHit: boolean;
  readonly problems: readonly string[];
}

const program = "test/crash/transfer-worker.ts";
const audit = "test/crash/transfer-audit.ts";
const env = { AEROSTORE_LIBRARY: faultLibrary };
const survivorCount = 2;
/** Transfers of each survivor behind a kill. */
const progressMin = 3;
/** A victim that has done so many without passing the point will not pass it. */
const transfersMax = 4_000;
const stepsMax = 20_000;

class Bank implements AsyncDisposable {
  readonly #crew = new Crew();
  readonly #random: Random;
  readonly #survivors: Child[] = [];
  /** Acknowledged transfers of each worker; the victims are worker 0. */
  readonly #acknowledged = new Map<number, number>();

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  async open(): Promise<void> {
    await this.#crew.run(audit, ["open"], { env });
    for (let index = 1; index <= survivorCount; index++) this.#survivors.push(this.#start(index));
  }

  #start(index: number, ...words: readonly (string | number)[]): Child {
    return this.#crew.start(program, [index, this.#random.below(2 ** 32), ...words], {
      env,
      onLine: (line, child) => {
        const count = Number(line);
        if (!Number.isFinite(count)) return;
        this.#acknowledged.set(index, count);
        if (index === 0 && count % transfersMax === 0) child.signal("SIGTERM");
      },
    });
  }

  /** One victim; true when it died of the point. */
  async kill(point: string, hits: number): Promise<{ isHit: boolean; problems: string[] }> {
    const victim = this.#start(0, point, hits);
    const { signal, status, stderr } = await victim.ended;
    const lines = [...victim.lines, ...this.#survivors.flatMap((each) => each.lines)];
    const problems = lines.filter((line) => /^(torn|lost) /.test(line));
    if (signal !== "SIGKILL" && signal !== "SIGTERM") {
      problems.push(`the victim ended with ${signal ?? status}: ${stderr.slice(-600)}`);
    }
    for (const [index, survivor] of this.#survivors.entries()) {
      const goal = (this.#acknowledged.get(index + 1) ?? 0) + progressMin;
      if ((await survivor.said(String(goal))) === "") {
        problems.push(`${survivor.name} has ended: ${(await survivor.ended).stderr.slice(-600)}`);
      }
    }
    return { isHit: signal === "SIGKILL", problems };
  }

  /** What the auditor finds when all have ended. */
  async close(): Promise<string[]> {
    this.#crew.stop();
    await Promise.all(this.#survivors.map(async ({ ended }) => ended));
    const found = (await this.#crew.run(audit, ["audit"], { env })) as Audit;
    const problems = [...found.problems];
    for (const [index, acknowledged] of this.#acknowledged) {
      const done = found.done[index] ?? 0;
      if (done < acknowledged) {
        problems.push(`worker ${index}: ${acknowledged} acknowledged, ${done} in the ledger`);
      }
    }
    return problems;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#crew[Symbol.asyncDispose]();
  }
}

/** One death at each of the points, one after the other on one database. */
export async function runPoint(
  seed: number,
  points: readonly string[],
): Promise<readonly PointReport[]> {
  await using bank = new Bank(seed);
  const random = new Random(seed);
  const reports: PointReport[] = [];
  await bank.open();
  for (const point of points) {
    const hits = /^(abort|vacuum|index.closed|depot)/.test(point) ? 1 : random.between(1, 20);
    const { isHit, problems } = await bank.kill(point, hits);
    const where = `${point}, hit ${hits}`;
    reports.push({ point, isHit, problems: problems.map((each) => `${where}: ${each}`) });
  }
  const problems = await bank.close();
  if (problems.length > 0) reports.push({ point: "the end", isHit: true, problems });
  return reports;
}

/** Deaths at any shared step. */
export async function runSteps(
  seed: number,
  kills: number,
): Promise<{ readonly problems: readonly string[]; readonly kills: number }> {
  await using bank = new Bank(seed);
  const random = new Random(seed);
  const problems: string[] = [];
  await bank.open();
  for (let kill = 0; kill < kills; kill++) {
    const steps = random.between(1, stepsMax);
    const found = await bank.kill("any step", steps);
    problems.push(...found.problems.map((each) => `step ${steps}: ${each}`));
  }
  problems.push(...(await bank.close()));
  return { problems, kills };
}
