/**
 * Everything that must hold before a commit: set-up, Zig tests, formatting, types, Bun tests. A
 * stage that fails does not stop the next. The last line is always `N passed, N failed`, where a
 * stage that failed without naming a test counts as one failure.
 *
 *   bun run test             everything, in at most 15 minutes on two cores
 *   bun run test fast        for every save, under a minute: types, format, rules, units, and a
 *                            test of each suite, on a Debug build of the engine
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
const fastPrefix = "zig-out/fast";
const faultLibrary = "lib/libaerostore-fault.so";
const filters = process.argv.slice(2);
const isFast = filters.length === 1 && filters[0] === "fast";
/** Files of the fast tier: the units, and a test of each suite. */
const fastFiles: readonly string[] = [
  "test/unit",
  "test/compat/golden.test.ts",
  "test/crash/outcome.test.ts",
  "test/isolation/wound.test.ts",
  "test/process/cli-words.test.ts",
  "test/property/codec.property.test.ts",
  "test/stress/sessions.test.ts",
];
/** Zig tests of the fast tier, by a part of their names. */
const fastZigTests: readonly string[] = ["ring", "skiplist", "commit", "wal", "predicate"];

/** What one stage adds to the closing line. */
interface Tally {
  readonly passed: number;
  readonly failed: number;
}

interface Finished {
  readonly ok: boolean;
  readonly output: string;
}

async function run(
  command: readonly string[],
  env: Record<string, string | undefined> = process.env,
): Promise<Finished> {
  const child = Bun.spawn([...command], {
    cwd: root,
    env,
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

async function zigTestStage(names: readonly string[]): Promise<Tally> {
  const chosen = names.map((name) => `-Dtest-filter=${name}`);
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
  return report(file, testCounts(output), ok && hasSummary(output), output);
}

const passedPattern = /^ *(\d+) pass$/gm;

function hasSummary(output: string): boolean {
  return lastCount(output, passedPattern) !== undefined;
}

/** Counts of a run of `bun test`; one that ended before its summary has failed once. */
function testCounts(output: string): Tally {
  const passed = lastCount(output, passedPattern);
  if (passed !== undefined) return { passed, failed: lastCount(output, /^ *(\d+) fail$/gm) ?? 0 };
  return { passed: output.match(/^\((pass)\)/gm)?.length ?? 0, failed: 1 };
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

function formatStages(): Promise<Tally[]> {
  return Promise.all([
    plainStage("zig fmt", [zigPath(), "fmt", "--check", "zig", "build.zig"]),
    plainStage("bun fmt", [bun, "fmt", "--check", "src", "test", "bench", "tools", "package.json"]),
    plainStage("bun check", [bun, "check", "."]),
  ]);
}

/** One library does for all: the one with kill points does whatever the other does. */
async function fastLibraryStages(): Promise<Tally[]> {
  const build = [zigPath(), "build", "fault-library", "-Doptimize=Debug", "--prefix", fastPrefix];
  const built = await plainStage("debug library", build);
  if (built.failed > 0) return [built];
  const env = { ...process.env, AEROSTORE_LIBRARY: join(root, fastPrefix, faultLibrary) };
  const command = [bun, "test", "--only-failures", `--timeout=${testLimitMs}`];
  const { ok, output } = await run([...command, ...fastFiles.map((file) => `./${file}`)], env);
  return [built, report("units and a test of each suite", testCounts(output), ok, output)];
}

async function runFast(): Promise<Tally[]> {
  const zigTests = async (): Promise<Tally[]> => [await zigTestStage(fastZigTests)];
  return (await Promise.all([formatStages(), fastLibraryStages(), zigTests()])).flat();
}

async function runChosen(): Promise<Tally[]> {
  const tallies: Tally[] = [await setUpStage(), await zigTestStage(filters)];
  if (filters.length === 0) {
    const check = await plainStage("zig check", [zigPath(), "build", "check"]);
    tallies.push(...(await formatStages()), check);
  }
  tallies.push(...(await scheduleStages()), ...(await testFileStages()));
  return tallies;
}

const tallies = await (isFast ? runFast() : runChosen());
const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0);
const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0);
for (const line of skipped) console.log(line);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
