/** The voice of the tour: headings, lines, and one line that is redrawn while something runs. */
import type { Terminal } from "../terminal/terminal.ts";

const redrawMs = 100;
const lineMs = 1_000;

/** Speaks to standard output, or to standard error when that is for JSON. */
export class Narrator {
  readonly #terminal: Terminal;
  readonly #toErrors: boolean;
  readonly #isLive: boolean;
  #step = 0;
  #shownAt = 0;
  #isDrawn = false;

  constructor(terminal: Terminal, toErrors: boolean) {
    this.#terminal = terminal;
    this.#toErrors = toErrors;
    this.#isLive = toErrors ? terminal.showsProgress : terminal.isInteractive;
  }

  /** Begins the next part of the tour. */
  heading(text: string): void {
    this.#step += 1;
    const title = `${this.#step}  ${text}`;
    this.line();
    this.line(this.#isLive ? `\x1b[1m${title}\x1b[0m` : title);
  }

  /** One line. */
  line(text = ""): void {
    this.#say(`${this.#eraser()}${text}\n`);
    this.#isDrawn = false;
    this.#shownAt = performance.now();
  }

  /** Lines within a part. */
  lines(lines: readonly string[]): void {
    for (const line of lines) this.line(`   ${line}`);
  }

  /** What goes on right now; shown a few times a second, elsewhere once. */
  status(text: () => string): void {
    const now = performance.now();
    if (now - this.#shownAt < (this.#isLive ? redrawMs : lineMs)) return;
    this.#shownAt = now;
    if (!this.#isLive) {
      this.line(`   ${text()}`);
      return;
    }
    this.#say(`${this.#eraser()}   ${text()}`);
    this.#isDrawn = true;
  }

  #eraser(): string {
    return this.#isDrawn ? "\r\x1b[K" : "";
  }

  #say(text: string): void {
    if (this.#toErrors) {
      this.#terminal.draw(text);
      return;
    }
    this.#terminal.write(text);
    this.#terminal.flush();
  }
}
