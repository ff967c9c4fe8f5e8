/** The command line as a child process, on a database of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root } from "./source.ts";

/** How a run ended, and what it printed. */
export interface CliRun {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly stdin?: string | Uint8Array<ArrayBuffer> | Bun.BunFile;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const program = join(root, "src", "cli", "main.ts");

/** A directory and a segment that nobody else uses; both are removed at the end. */
export class CliSandbox implements Disposable {
  /** For files of the test; the database is in `data` below it. */
  readonly directory: string = mkdtempSync(join(tmpdir(), "aerostore-cli-"));
  readonly data: string = join(this.directory, "data");
  readonly shmPath: string = join("/dev/shm", `${basename(this.directory)}.mmap`);

  /** Path of a file in the sandbox. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Writes a file; its path. */
  async write(name: string, content: string | Uint8Array<ArrayBuffer>): Promise<string> {
    await Bun.write(this.path(name), content);
    return this.path(name);
  }

  /** Words that put a command on this sandbox's database. */
  command(...words: readonly string[]): string[] {
    const [name = "", ...rest] = words;
    return [process.execPath, program, name, "--dir", this.data, "--shm", this.shmPath, ...rest];
  }

  /** Runs a command on this sandbox's database. */
  async run(words: readonly string[], options: CliOptions = {}): Promise<CliRun> {
    return runCommand(this.command(...words), options);
  }

  /** Runs a command that must succeed; what it printed. */
  async print(...words: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(words);
    if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}: ${stderr}`);
    return stdout;
  }

  /** Runs a command that must succeed with `--json`; the documents that it printed. */
  async json(...words: readonly string[]): Promise<unknown[]> {
    const output = await this.print(...words, "--json");
    return output
      .split("\n")
      .filter((line) => line !== "")
      .map((line): unknown => JSON.parse(line));
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.shmPath, { force: true });
  }
}

/** Runs the command line with words as they are, without a database of its own. */
export async function runCli(words: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  return runCommand([process.execPath, program, ...words], options);
}

async function runCommand(command: string[], options: CliOptions): Promise<CliRun> {
  const { stdin } = options;
  const child = Bun.spawn(command, {
    stdin: stdin === undefined ? "ignore" : typeof stdin === "string" ? Buffer.from(stdin) : stdin,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, stdout, stderr };
}

/** Runs a command on a terminal; everything that it drew. */
export async function runOnTerminal(command: string[]): Promise<CliRun> {
  const decoder = new TextDecoder();
  let screen = "";
  const child = Bun.spawn(command, {
    terminal: {
      cols: 120,
      rows: 40,
      data: (_terminal, bytes) => {
        screen += decoder.decode(bytes, { stream: true });
      },
    },
  });
  const status = await child.exited;
  child.terminal?.close();
  return { status, stdout: screen.replaceAll("\r\n", "\n"), stderr: "" };
}
