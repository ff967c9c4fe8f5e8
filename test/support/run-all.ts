/**
 * Everything that must hold before a commit: set-up, Zig tests, formatting, types, Bun tests. A
 * stage that fails does not stop the next. The last line is always `N passed, N failed`, where a
 * stage that failed without naming a test counts as one failure.
 *
 *   bun run test             everything
 *   bun run test wal abi     only test files whose path, and Zig tests whose name, contains one
 *
 * Each test file runs in a process of its own, so a fault in one is one failure and not the end.
 */
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { setUp, zigPath } from "../../tools/setup.ts";
import { buildSchedules, listCampaigns, runCampaign, runMutant } from "./schedules.ts";

/** Only ends what hangs; nothing that works comes near. */
const stageLimitMs = 60 * 60 * 1000;
const testLimitMs = 10 * 60 * 1000;

const workerCount = Math.min(availableParallelism(), 4);
/** Of each case, for a mutant. */
const mutantSeeds = 6_000;

const root = join(import.meta.dir, "..", "..");
const filters = process.argv.slice(2);

/** What one stage adds to the closing line. */
interface Tally {
  readonly passed: number;
  readonly failed: number;
}

interface Finished {
  readonly ok: boolean;
  readonly output: string;
}

async function run(command: readonly string[]): Promise<Finished> {
  const child = Bun.spawn([...command], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: stageLimitMs,
    killSignal: "SIGKILL",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const ok = (await child.exited) === 0;
  const ending = child.signalCode === null ? "" : `\nended by ${child.signalCode}\n`;
  return { ok, output: output + errors + ending };
}

function report(name: string, tally: Tally, ok: boolean, output: string): Tally {
  const failed = ok ? tally.failed : Math.max(tally.failed, 1);
  console.log(`${ok ? "ok  " : "FAIL"} ${name}${tally.passed > 0 ? ` (${tally.passed})` : ""}`);
  if (!ok) console.log(output.replaceAll(/^/gm, "     "));
  // What was left out is told even where nothing failed, and again before the closing line.
  else for (const [line] of output.matchAll(/^SKIPPED: .*/gm)) tellSkipped(line);
  return { passed: tally.passed, failed };
}

const skipped = new Set<string>();

function tellSkipped(line: string): void {
  console.log(`     ${line}`);
  skipped.add(line);
}

async function setUpStage(): Promise<Tally> {
  try {
    await setUp({ fault: true });
    return report("setup", { passed: 0, failed: 0 }, true, "");
  } catch (error) {
    return report("setup", { passed: 0, failed: 1 }, false, String(error));
  }
}

async function plainStage(name: string, command: readonly string[]): Promise<Tally> {
  const { ok, output } = await run(command);
  return report(name, { passed: 0, failed: 0 }, ok, output);
}

async function zigTestStage(): Promise<Tally> {
  const chosen = filters.map((filter) => `-Dtest-filter=${filter}`);
  const { ok, output } = await run([zigPath(), "build", "test", "--summary", "all", ...chosen]);
  const summary = /(\d+)\/(\d+) tests passed(?: \((.*)\))?/.exec(output);
  const [, passed = "0", total = "0", rest = ""] = summary ?? [];
  const skipped = /(\d+) skipped/.exec(rest)?.[1] ?? "0";
  const failed = Number(total) - Number(passed) - Number(skipped);
  return report("zig tests", { passed: Number(passed), failed }, ok && failed === 0, output);
}

async function testFileStage(file: string): Promise<Tally> {
  const command = [
    process.execPath,
    "test",
    "--only-failures",
    `--timeout=${testLimitMs}`,
    `./${file}`,
  ];
  const { ok, output } = await run(command);
  const passed = lastCount(output, /^ *(\d+) pass$/gm);
  const failed = lastCount(output, /^ *(\d+) fail$/gm);
  if (passed !== undefined) return report(file, { passed, failed: failed ?? 0 }, ok, output);
  const before = output.match(/^\((pass)\)/gm)?.length ?? 0;
  return report(file, { passed: before, failed: 1 }, false, output);
}

/**
 * All interleavings of small cases, thousands of seeds of larger ones, and the mutants that they
 * must find.
 */
async function scheduleStages(): Promise<Tally[]> {
  const tallies: Tally[] = [];
  const say = (name: string, ok: boolean, output: string): void => {
    tallies.push(report(name, { passed: ok ? 1 : 0, failed: 0 }, ok, output.slice(-20_000)));
  };
  try {
    await buildSchedules();
  } catch (error) {
    say("schedules", false, String(error));
    return tallies;
  }
  const { explore, random, mutants } = await listCampaigns();
  const chosen = (name: string): boolean =>
    filters.length === 0 || filters.some((filter) => name.includes(filter));
  const jobs = [
    ...[...explore, ...random].map((name) => async (): Promise<void> => {
      const title = `schedules: ${name}`;
      if (!chosen(title)) return;
      const { ok, output, schedules } = await runCampaign(name);
      say(`${title}, ${schedules}`, ok, output);
    }),
    ...mutants.map((mutant) => async (): Promise<void> => {
      const title = `schedules: mutant ${mutant}`;
      if (!chosen(title)) return;
      // What needs several to be stopped at their worst is explored, in the last of those cases.
      const cases = [...random, ...explore.toReversed()];
      const { caughtBy } = await runMutant(mutant, cases, mutantSeeds);
      say(title, caughtBy !== undefined, "no campaign has found it");
    }),
  ];
  await Promise.all(
    Array.from({ length: workerCount }, async () => {
      for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
    }),
  );
  return tallies;
}

function lastCount(output: string, pattern: RegExp): number | undefined {
  const last = [...output.matchAll(pattern)].at(-1)?.[1];
  return last === undefined ? undefined : Number(last);
}

async function testFileStages(): Promise<Tally[]> {
  const all = [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: root })].sort();
  const waiting = all
    .map((file) => relative(root, join(root, file)))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)));
  const tallies: Tally[] = [];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      tallies.push(await testFileStage(file));
    }
  };
  await Promise.all(Array.from({ length: workerCount }, worker));
  return tallies;
}

const bun = process.execPath;
const tallies: Tally[] = [await setUpStage(), await zigTestStage()];
if (filters.length === 0) {
  tallies.push(
    await plainStage("zig fmt", [zigPath(), "fmt", "--check", "zig", "build.zig"]),
    await plainStage("zig check", [zigPath(), "build", "check"]),
    await plainStage("bun fmt", [
      bun,
      "fmt",
      "--check",
      "src",
      "test",
      "bench",
      "tools",
      "package.json",
    ]),
    await plainStage("bun check", [bun, "check", "."]),
  );
}
tallies.push(...(await scheduleStages()), ...(await testFileStages()));

const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0);
const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0);
for (const line of skipped) console.log(line);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
