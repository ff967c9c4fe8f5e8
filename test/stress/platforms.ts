/**
 * The package, as `bun run package` made it, on every platform that this machine can run: glibc,
 * musl, and arm64 under emulation. What is missing here is skipped, loudly.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { zigPath } from "../../tools/setup.ts";
import { root } from "../support/source.ts";
import { Stranger } from "../support/stranger.ts";
import type { Round } from "./suite.ts";

const tarball = join(root, "zig-out", "package", `aerostore-${manifest.version}.tgz`);
const emulator = "qemu-aarch64-static";
/** Where Debian has the C library of arm64. */
const arm64Root = "/usr/aarch64-linux-gnu";
const muslLoader = "/lib/ld-musl-x86_64.so.1";
/** Zig tests that say most about another processor: what is built on atomics, and on bytes. */
const arm64ZigTests = ["scheduler", "ring", "skiplist", "checksum", "wal", "commit"];

/** What a platform lacks here, or `undefined`. */
type Missing = string | undefined;

interface Platform {
  readonly name: string;
  /** How Bun is started there. */
  readonly prepare: (folder: string) => Promise<readonly string[] | Missing>;
}

const platforms: readonly Platform[] = [
  { name: `glibc ${process.arch}`, prepare: async () => [process.execPath] },
  { name: "arm64 under emulation", prepare: prepareArm64 },
  { name: "musl x64", prepare: prepareMusl },
];

/** Installs Bun for another platform from the registry; the path of the program. */
async function installBun(folder: string, name: string): Promise<string | undefined> {
  const installed = join(folder, name);
  mkdirSync(installed, { recursive: true });
  await Bun.write(join(installed, "package.json"), "{}");
  const wanted = `@oven/bun-${name}@${Bun.version}`;
  const command = [process.execPath, "add", "--no-save", "--cpu=*", "--os=*", wanted];
  const added = await Bun.$`${command}`.cwd(installed).nothrow().quiet();
  const program = join(installed, "node_modules", "@oven", `bun-${name}`, "bin", "bun");
  return added.exitCode === 0 && existsSync(program) ? program : undefined;
}

async function prepareArm64(folder: string): Promise<readonly string[] | Missing> {
  if (Bun.which(emulator) === null) return `${emulator} (apt-get install qemu-user-static)`;
  if (!existsSync(arm64Root)) return "libc6-arm64-cross libgcc-s1-arm64-cross (apt-get install)";
  const bun = await installBun(folder, "linux-aarch64");
  return bun === undefined ? "Bun for arm64 from the registry" : [emulator, "-L", arm64Root, bun];
}

async function prepareMusl(folder: string): Promise<readonly string[] | Missing> {
  if (process.arch !== "x64" || !existsSync(muslLoader))
    return `${muslLoader} (apt-get install musl)`;
  const bun = await installBun(folder, "linux-x64-musl");
  if (bun === undefined) return "Bun for musl from the registry";
  const { exitCode } = await Bun.$`${bun} --version`.nothrow().quiet();
  return exitCode === 0 ? [bun] : "libstdc++ for musl, which Bun needs (Alpine has it)";
}

/** One round. A platform that is missing is no problem, but is told. */
export async function runPlatforms(): Promise<Round> {
  if (!existsSync(tarball)) {
    return { problems: [`there is no ${tarball}: run \`bun run package\` first`], counts: {} };
  }
  const folder = mkdtempSync(join(tmpdir(), "aerostore-platforms-"));
  const problems: string[] = [];
  const counts: Record<string, number> = {};
  const skip = (name: string, missing: string): void => {
    console.log(`SKIPPED: ${name}: missing is ${missing}`);
    counts[`${name} skipped`] = 1;
  };
  for (const { name, prepare } of platforms) {
    const bun = await prepare(folder);
    if (typeof bun === "string" || bun === undefined) {
      skip(name, bun ?? "way to start it");
      continue;
    }
    const found = await runProgram(bun);
    problems.push(...found.map((problem) => `${name}: ${problem}`));
    counts[name] = 1;
  }
  if (process.arch !== "x64" || !existsSync(muslLoader)) {
    skip("the engine under musl", `${muslLoader} (apt-get install musl)`);
  } else {
    problems.push(...(await loadUnderMusl(folder)));
    counts["the engine loaded by musl"] = 1;
  }
  if (Bun.which(emulator) === null) {
    skip("Zig tests for arm64", `${emulator} (apt-get install qemu-user-static)`);
  } else {
    const { passed, problem } = await runZigTests(folder);
    if (problem !== undefined) problems.push(problem);
    counts["Zig tests for arm64"] = passed;
  }
  rmSync(folder, { recursive: true });
  return { problems, counts };
}

/** Filled and killed, then opened warm, then cold; what was not as it must be. */
async function runProgram(bun: readonly string[]): Promise<string[]> {
  using stranger = new Stranger();
  await stranger.install(tarball);
  cpSync(join(import.meta.dir, "platform-program.ts"), join(stranger.folder, "program.ts"));
  const run = async (step: string): Promise<string> => {
    const { output, errors } = await stranger.run([...bun, "program.ts", step, "data"]);
    return (output + errors).trim();
  };
  const steps: readonly (readonly [string, string, string])[] = [
    ["filled", await run("fill"), "filled 1999 500 package"],
    ["opened warm", await run("verify"), "WarmAttach 2000 1000000 unsynced true"],
  ];
  stranger.dropSegment();
  const cold: readonly [string, string, string] = [
    "opened cold",
    await run("verify"),
    "ColdReplay 2000 1000000 unsynced true",
  ];
  return [...steps, cold].flatMap(([name, found, expected]) =>
    found === expected ? [] : [`${name}: ${found}, not ${expected}`],
  );
}

/** A program of musl loads the engine and asks for its hash: Bun itself may not run here. */
async function loadUnderMusl(folder: string): Promise<string[]> {
  const library = join(root, "zig-out/package/package/lib/linux-x64/libaerostore.so");
  const source = join(folder, "load.c");
  const program = join(folder, "load");
  await Bun.write(
    source,
    `#include <dlfcn.h>
     #include <stdio.h>
     int main(int count, char **words) {
       void *library = dlopen(words[1], RTLD_NOW);
       if (!library) return puts(dlerror()), 1;
       unsigned long (*hash)(void) = (unsigned long (*)(void))dlsym(library, "aerostore_abi_hash");
       return hash && hash() != 0 ? 0 : 2;
     }`,
  );
  // Without Zig's own run-time checks, which ask for a younger musl than Debian's.
  const target = ["-target", "x86_64-linux-musl", "-dynamic", "-O2", "-fno-sanitize=undefined"];
  const built = await Bun.$`${zigPath()} cc ${target} ${source} -o ${program}`.nothrow().quiet();
  if (built.exitCode !== 0) return [`building a program for musl: ${built.stderr.toString()}`];
  const ran = await Bun.$`${muslLoader} ${program} ${library}`.nothrow().quiet();
  return ran.exitCode === 0
    ? []
    : [`the engine under musl: ${ran.stdout.toString()}${ran.stderr.toString()}`];
}

async function runZigTests(folder: string): Promise<{ passed: number; problem?: string }> {
  // Zig looks for the emulator by this name.
  symlinkSync(Bun.which(emulator) ?? "", join(folder, "qemu-aarch64"));
  const filters = arm64ZigTests.map((name) => `-Dtest-filter=${name}`);
  const target = ["-Dtarget=aarch64-linux-musl", "-Dcpu=generic+crc", "-Doptimize=ReleaseSafe"];
  const words = ["build", "test", "-fqemu", "--summary", "all", ...target, ...filters];
  const env = { ...process.env, PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  const { exitCode, stderr } = await Bun.$`${zigPath()} ${words}`
    .cwd(root)
    .env(env)
    .nothrow()
    .quiet();
  const passed = Number(/(\d+)\/\d+ tests passed/.exec(stderr.toString())?.[1] ?? 0);
  if (exitCode === 0 && passed > 0) return { passed };
  return { passed, problem: `Zig tests for arm64: ${stderr.toString().slice(-2_000)}` };
}
