/** A process that the demo started: what it says, how it ends. */
import type { Message } from "./messages.ts";

/** How a process ended. */
export interface Ending {
  readonly status: number;
  /** The signal that ended it, if one did. */
  readonly signal: NodeJS.Signals | number | null;
  /** What it wrote to standard error. */
  readonly errors: string;
}

/** One child process. Every line of its output is a message. */
export class Child {
  readonly name: string;
  /** Resolves after its last message was heard. */
  readonly ended: Promise<Ending>;
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #hear: (message: Message) => void;
  #ending: Ending | undefined;

  /** Starts the command line with the word `program` and `options` as its argument. */
  constructor(name: string, program: string, options: object, hear: (message: Message) => void) {
    this.name = name;
    this.#hear = hear;
    // A compiled program is its own command line.
    const own = Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main];
    this.#process = Bun.spawn([process.execPath, ...own, program, JSON.stringify(options)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.ended = this.#follow();
    // Whoever waits for it hears of a failure; until then it must not end the demo.
    this.ended.catch(() => undefined);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** How it ended; `undefined` while it runs. */
  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Asks it to end in order. */
  stop(): void {
    this.#process.stdin.end();
  }

  /** Ends it at once, wherever it is. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  async #follow(): Promise<Ending> {
    const errors = this.#process.stderr.text();
    let rest = "";
    const decoder = new TextDecoder();
    for await (const piece of this.#process.stdout) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
      // A process that was killed while it wrote leaves half a line: it was not said.
      rest = lines.pop() ?? "";
      for (const line of lines) this.#hear(JSON.parse(line));
    }
    const status = await this.#process.exited;
    const signal = this.#process.signalCode;
    const ending = { status, signal, errors: await errors };
    this.#ending = ending;
    return ending;
  }
}
