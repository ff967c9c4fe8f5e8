/** A mounted file system whose power can fail (`zig/testing/powerloss`), for child processes. */
import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { zigPath } from "../../tools/setup.ts";
import { root } from "./source.ts";

const program = join(root, "zig-out", "bin", "powerloss-fs");

/** What can be made to fail: `write` and `sync` with EIO, `space` with ENOSPC. */
export type DiskFault = "write" | "sync" | "space" | "short";

/** Builds the program. **Throws** what the compiler says. */
export async function buildLosingDisk(): Promise<void> {
  const child = Bun.spawn([zigPath(), "build", "powerloss-fs"], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(output + errors);
}

/** Lives until it is disposed of, or this process ends. */
export class LosingDisk implements AsyncDisposable {
  readonly mountPoint: string;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  private constructor(mountPoint: string, seed: number) {
    this.mountPoint = mountPoint;
    mkdirSync(mountPoint, { recursive: true });
    this.#child = Bun.spawn([program, mountPoint, String(seed)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = linesOf(this.#child.stdout);
  }

  /** Mounts an empty disk; a text says why this machine does not let us. */
  static async mount(mountPoint: string, seed: number): Promise<LosingDisk | string> {
    const disk = new LosingDisk(mountPoint, seed);
    const said = await disk.#answer();
    if (said === "mounted") return disk;
    await disk.#child.exited;
    return said.replace("unavailable: ", "");
  }

  /** Loses power. No process may have anything open there. */
  async lose(seed: number): Promise<string> {
    return this.#order(`lose ${seed}`);
  }

  /** Makes it empty. */
  async reset(seed: number): Promise<void> {
    await this.#order(`reset ${seed}`);
  }

  /** After `after` calls that go well, the next `count` fail. */
  async fail(kind: DiskFault, after: number, count: number): Promise<void> {
    await this.#order(`fail ${kind} ${after} ${count}`);
  }

  /** Whether files can be renamed without replacing others. */
  async setRenameFlags(has: boolean): Promise<void> {
    await this.#order(`rename ${has ? "on" : "off"}`);
  }

  /** Names in the top directory are on the disk when it returns. */
  syncNames(): void {
    const fd = openSync(this.mountPoint, "r");
    try {
      while (!isSynced(fd)) continue;
    } finally {
      closeSync(fd);
    }
  }

  async #order(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    await this.#child.stdin.flush();
    return this.#answer();
  }

  async #answer(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("the power-loss file system has ended");
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.end();
    await this.#child.exited;
  }
}

/** False when a fault that was meant for the others came to us; names are not lost by that. */
function isSynced(fd: number): boolean {
  try {
    fsyncSync(fd);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EIO") return false;
    throw error;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}
