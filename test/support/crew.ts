/**
 * A database of a test's own, and the child processes that work on it: they are killed, stopped and
 * continued by what they have said, never by time.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root } from "./source.ts";

/** The engine with kill points, and a disk that can be made to fail. */
export const faultLibrary: string = join(root, "zig-out/lib/libaerostore-fault.so");

/** How a child ended. */
export interface ChildEnd {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

export interface ChildOptions {
  /** Called with each line of the child's output. */
  readonly onLine?: (line: string, child: Child) => void;
  readonly env?: Readonly<Record<string, string>>;
  /** Kills the child when it has not ended by itself. For suites that look for hangs. */
  readonly limitMs?: number;
}

/** A child process that writes lines. */
export class Child {
  readonly name: string;
  readonly pid: number;
  readonly lines: string[] = [];
  /** Settles when the child has ended and all that it wrote has been read. */
  readonly ended: Promise<ChildEnd>;
  isRunning = true;
  readonly #waiters: { readonly prefix: string; readonly resolve: (line: string) => void }[] = [];

  constructor(name: string, command: string[], options: ChildOptions) {
    this.name = name;
    const child = Bun.spawn(command, {
      cwd: root,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...options.env },
      ...(options.limitMs === undefined
        ? {}
        : { timeout: options.limitMs, killSignal: "SIGKILL" as const }),
    });
    this.pid = child.pid;
    const read = async (): Promise<void> => {
      const decoder = new TextDecoder();
      let rest = "";
      for await (const bytes of child.stdout) {
        const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
        // What a killed child has not finished saying does not count.
        rest = parts.pop() ?? "";
        for (const line of parts) this.#take(line, options.onLine);
      }
    };
    this.ended = Promise.all([read(), child.stderr.text(), child.exited]).then(([, stderr]) => {
      this.isRunning = false;
      for (const { resolve } of this.#waiters) resolve("");
      const signal = child.signalCode === null ? null : String(child.signalCode);
      return { status: child.exitCode, signal, stderr };
    });
  }

  #take(line: string, onLine: ChildOptions["onLine"]): void {
    this.lines.push(line);
    for (const waiter of [...this.#waiters]) {
      if (!line.startsWith(waiter.prefix)) continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve(line);
    }
    onLine?.(line, this);
  }

  /** The first line with this prefix, said or to come; empty when the child ends without it. */
  async said(prefix: string): Promise<string> {
    const line = this.lines.find((each) => each.startsWith(prefix));
    if (line !== undefined || !this.isRunning) return line ?? "";
    return new Promise((resolve) => this.#waiters.push({ prefix, resolve }));
  }

  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM" | "SIGINT"): void {
    if (!this.isRunning) return;
    try {
      process.kill(this.pid, signal);
    } catch {
      // It has ended, and nobody has been told yet.
    }
  }

  /** Settles when the child stands still, by itself or by a signal. **Throws** when it ends. */
  async stopped(): Promise<void> {
    while (this.isRunning) {
      try {
        if (/\) T /.test(readFileSync(`/proc/${this.pid}/stat`, "utf8"))) return;
      } catch {
        // It has ended.
      }
      await Bun.sleep(1);
    }
    throw new Error(`${this.name} has ended: ${(await this.ended).stderr}`);
  }

  /** Kills the child; how it ended. */
  async kill(): Promise<ChildEnd> {
    this.signal("SIGKILL");
    return this.ended;
  }

  /** What the child printed as one JSON document. **Throws** unless it ended well. */
  async result(): Promise<unknown> {
    const { status, signal, stderr } = await this.ended;
    if (status !== 0) {
      throw new Error(`${this.name} ended with ${signal ?? status}: ${stderr || "(no output)"}`);
    }
    return JSON.parse(this.lines.at(-1) ?? "null");
  }
}

/** A directory and a segment that nobody else uses, and all children that work on them. */
export class Crew implements AsyncDisposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), "aerostore-crew-"));
  readonly data: string = join(this.directory, "data");
  readonly shmPath: string = join("/dev/shm", `${basename(this.directory)}.mmap`);
  readonly #stopFile: string = join(this.directory, "stop");
  readonly #children: Child[] = [];

  /** Starts `program`, from the root of the repository, with this crew's paths and `words`. */
  start(program: string, words: readonly (string | number)[], options: ChildOptions = {}): Child {
    const args = [this.data, this.shmPath, this.#stopFile, ...words.map(String)];
    const name = `${basename(program)} ${words.join(" ")}`;
    const child = new Child(name, [process.execPath, join(root, program), ...args], options);
    this.#children.push(child);
    return child;
  }

  /** Runs `program` to its end; what it printed last, as JSON. */
  async run(
    program: string,
    words: readonly (string | number)[],
    options: ChildOptions = {},
  ): Promise<unknown> {
    return this.start(program, words, options).result();
  }

  /** Asks all children that look at `Post.isOver` to end. */
  stop(): void {
    writeFileSync(this.#stopFile, "");
  }

  resume(): void {
    rmSync(this.#stopFile, { force: true });
  }

  removeSegment(): void {
    rmSync(this.shmPath, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.filter(({ isRunning }) => isRunning).map((c) => c.kill()));
    rmSync(this.directory, { recursive: true, force: true });
    this.removeSegment();
  }
}

/** What a child says: in one write each, so that a kill leaves whole lines. */
export function say(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      const isFull = error instanceof Error && "code" in error && error.code === "EAGAIN";
      if (!isFull) throw error;
      Bun.sleepSync(1);
    }
  }
}
