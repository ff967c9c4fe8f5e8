/** Starting and ending the servers that some peers need beside the program. */
import { existsSync } from "node:fs";
import type { Service } from "./peer.ts";

export interface ServerSpec {
  readonly command: readonly string[];
  readonly log: string;
  /** Resolves when it answers; throws while it does not. */
  readonly probe: () => Promise<void>;
  /** How it is asked to end. */
  readonly signal: NodeJS.Signals;
  /** What ends it, and all that belongs to it, at once. */
  readonly crashSignal: NodeJS.Signals;
}

const startLimitMs = 20_000;

/** Starts a server and waits until it answers. **Throws** what it wrote when it ends instead. */
export async function startServer(spec: ServerSpec): Promise<Service> {
  let child = await launch(spec);
  return {
    stop: async () => {
      child.kill(spec.signal);
      await child.exited;
    },
    restart: async () => {
      child.kill(spec.crashSignal);
      await child.exited;
      child = await launch(spec);
    },
  };
}

async function launch(spec: ServerSpec): Promise<Bun.Subprocess> {
  const log = Bun.file(spec.log);
  const child = Bun.spawn([...spec.command], { stdin: "ignore", stdout: log, stderr: log });
  const deadline = Bun.nanoseconds() + startLimitMs * 1e6;
  for (;;) {
    try {
      await spec.probe();
      return child;
    } catch (error) {
      if (child.exitCode !== null || Bun.nanoseconds() > deadline) {
        child.kill("SIGKILL");
        throw new Error(`${spec.command[0]} did not start: ${await log.text()}`, { cause: error });
      }
      await Bun.sleep(2);
    }
  }
}

/** The program of this name on the PATH or in one of the folders. */
export function findProgram(name: string, folders: readonly string[]): string | undefined {
  const found = folders.map((folder) => `${folder}/${name}`).find((path) => existsSync(path));
  return found ?? Bun.which(name) ?? undefined;
}

/** What a program prints about its version. */
export async function versionOf(program: string | undefined): Promise<string | undefined> {
  if (program === undefined) return undefined;
  const child = Bun.spawn([program, "--version"], { stdout: "pipe", stderr: "ignore" });
  const text = (await child.stdout.text()).trim();
  return (await child.exited) === 0 ? text : undefined;
}
