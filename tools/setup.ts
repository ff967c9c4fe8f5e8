/**
 * Makes a fresh checkout ready to run: installs the packages (which brings Zig) when `node_modules`
 * does not match `bun.lock`, and builds the engine when a source changed. Every package
 * script starts with it. With nothing to do it takes 0.2 s, touches no network and prints nothing;
 * what it prints goes to stderr. `start.ts` does without it while nothing that it looked at has
 * changed (`stamp.ts`).
 *
 * It must run in a checkout that has nothing installed, so it imports only Bun's own modules.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { stampPath } from "./stamp.ts";
import type { Stamped } from "./stamp.ts";

const root = join(import.meta.dir, "..");
const installedPackages = "node_modules/{*,@*/*}/package.json";

/** What went wrong during set-up, as one message for the user. */
export class SetupError extends Error {
  override readonly name = "SetupError";
}

export interface SetupOptions {
  /** Also build the library with kill points, which crash tests use. */
  readonly fault?: boolean;
}

/** Installs and builds what is missing. **Throws** `SetupError` with what to do. */
export async function setUp(options: SetupOptions = {}): Promise<void> {
  using _turn = takeTurn();
  const missing = findMismatchedPackage();
  if (missing !== undefined) {
    console.error(`setup: installing packages (${missing})`);
    await run([process.execPath, "install", "--no-save"], "installing the packages failed");
    const still = findMismatchedPackage();
    if (still !== undefined) throw new SetupError(`setup: after installing, still: ${still}`);
  }
  const inputs = stampFiles("bun.lock", "build.zig", "zig/**/*.zig", installedPackages);
  const library = join("zig-out", "lib", "libaerostore.so");
  if (!existsSync(join(root, library))) console.error("setup: building the engine");
  const build = [zigPath(), "build", ...(options.fault === true ? ["-Dfault=true"] : [])];
  await run(build, "building the engine failed");
  await writeStamp([...inputs, ...stampFiles(library)]);
}

/** The files that the patterns name, with the times of their last changes. */
function stampFiles(...patterns: readonly string[]): Stamped[] {
  return patterns.flatMap((pattern) =>
    [...new Bun.Glob(pattern).scanSync({ cwd: root })].map((path): Stamped => {
      return [path, Bun.file(join(root, path)).lastModified];
    }),
  );
}

async function writeStamp(files: readonly Stamped[]): Promise<void> {
  const written = `${stampPath}.${process.pid}`;
  await Bun.write(written, JSON.stringify(files));
  renameSync(written, stampPath);
}

/**
 * One set-up at a time: two that install into one folder trip over each other. The lock is
 * SQLite's, because Bun has no other that ends with the process that holds it.
 */
function takeTurn(): Disposable {
  const folder = join(root, "zig-out");
  try {
    mkdirSync(folder, { recursive: true });
    const lock = new Database(join(folder, "setup.lock"));
    if (!tryLock(lock)) {
      console.error("setup: waiting for another set-up");
      lock.run(`PRAGMA busy_timeout = ${turnMsMax}`);
      lock.run("BEGIN EXCLUSIVE");
    }
    return { [Symbol.dispose]: () => lock.close() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SetupError(`setup: ${root} has to be set up, but cannot be locked (${reason})`);
  }
}

const turnMsMax = 30 * 60 * 1000;

function tryLock(lock: Database): boolean {
  try {
    lock.run("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if (error instanceof SQLiteError && error.code === "SQLITE_BUSY") return false;
    throw error;
  }
}

/** Path of the Zig compiler that the packages brought. */
export function zigPath(): string {
  return join(root, "node_modules", "@zigc", `${process.platform}-${process.arch}`, "bin", "zig");
}

/** The first way in which `node_modules` differs from `bun.lock`, in words. */
function findMismatchedPackage(): string | undefined {
  const lock = readFileSync(join(root, "bun.lock"), "utf8");
  for (const line of lock.split("\n")) {
    const entry = /^ {4}"([^"]+)": \["(@?[^"@]+)@([^"]+)"/.exec(line);
    if (entry === null || belongsToAnotherMachine(line)) continue;
    const [, path = "", name = "", version = ""] = entry;
    if (path !== name) continue;
    const installed = installedVersion(name);
    if (installed !== version) {
      return `${name} is ${installed ?? "missing"}, bun.lock has ${version}`;
    }
  }
  return existsSync(zigPath()) ? undefined : `no Zig for ${process.platform}-${process.arch}`;
}

function belongsToAnotherMachine(line: string): boolean {
  const os = /"os": "([^"]+)"/.exec(line)?.[1];
  const cpu = /"cpu": "([^"]+)"/.exec(line)?.[1];
  return (os ?? process.platform) !== process.platform || (cpu ?? process.arch) !== process.arch;
}

function installedVersion(name: string): string | undefined {
  try {
    const text = readFileSync(join(root, "node_modules", name, "package.json"), "utf8");
    return /"version"\s*:\s*"([^"]+)"/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

async function run(command: string[], failure: string): Promise<void> {
  const child = Bun.spawn(command, { cwd: root, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, errors, status] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (status !== 0)
    throw new SetupError(`setup: ${failure} (${command.join(" ")})\n${output}${errors}`);
}

/** Sets up, or ends the process with the reason why that is not possible. */
export async function setUpOrExit(options?: SetupOptions): Promise<void> {
  try {
    await setUp(options);
  } catch (error) {
    console.error(error instanceof SetupError ? error.message : error);
    process.exit(1);
  }
}

if (import.meta.main) await setUpOrExit({ fault: process.argv.includes("--fault") });
