/** Lines that a person types, with editing and history, or that a script holds. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
import type { Completion } from "./complete.ts";

const historyMax = 1_000;

/** The file that keeps what was typed: below `XDG_STATE_HOME`, or `~/.local/state`. */
export function historyPath(): string {
  const state = process.env["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state");
  return join(state, "aerostore", "history");
}

/** Reads standard input line by line; `close` keeps the history. */
export class LineReader implements Disposable {
  readonly isInteractive: boolean = process.stdin.isTTY === true;
  readonly #interface: Interface;
  readonly #history: string[];
  readonly #lines: string[] = [];
  #waiting: ((line: string | undefined) => void) | undefined;
  #isClosed = false;

  constructor(completer: (line: string) => Completion) {
    this.#history = this.isInteractive ? loadHistory() : [];
    this.#interface = createInterface({
      input: process.stdin,
      ...(this.isInteractive ? { output: process.stdout } : {}),
      terminal: this.isInteractive,
      historySize: historyMax,
      history: this.#history.toReversed(),
      completer: (line: string): [string[], string] => {
        const [matches, word] = completer(line);
        return [[...matches], word];
      },
    });
    this.#interface.on("line", (line) => this.#give(line));
    this.#interface.on("close", () => {
      this.#isClosed = true;
      this.#waiting?.(undefined);
      this.#waiting = undefined;
    });
    // Ctrl-C gives up what is being typed.
    this.#interface.on("SIGINT", () => {
      process.stdout.write("^C\n");
      this.#interface.write(null, { ctrl: true, name: "e" });
      this.#interface.write(null, { ctrl: true, name: "u" });
      this.#give("\u0003");
    });
  }

  /** The next line; `undefined` at the end, and `interrupted` for Ctrl-C. */
  async read(prompt: string): Promise<string | undefined> {
    const line = this.#lines.shift();
    if (line !== undefined || this.#isClosed) return line;
    if (this.isInteractive) {
      this.#interface.setPrompt(prompt);
      this.#interface.prompt();
    }
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Adds a statement to what the next session can recall. */
  remember(statement: string): void {
    if (statement !== this.#history.at(-1)) this.#history.push(statement);
  }

  [Symbol.dispose](): void {
    this.#interface.close();
    if (this.isInteractive) saveHistory(this.#history.slice(-historyMax));
  }

  #give(line: string): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#lines.push(line);
    else waiting(line);
  }
}

/** What `LineReader.read` gives for Ctrl-C. */
export const interrupted = "\u0003";

function loadHistory(): string[] {
  try {
    return readFileSync(historyPath(), "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}

/** A history that cannot be kept is no reason to fail. */
function saveHistory(lines: readonly string[]): void {
  try {
    mkdirSync(dirname(historyPath()), { recursive: true, mode: 0o700 });
    writeFileSync(historyPath(), `${lines.join("\n")}\n`, { mode: 0o600 });
  } catch {}
}
