/** Where output goes: results to standard output, everything else to standard error. */
import { writeSync } from "node:fs";
import { AerostoreError } from "../errors.ts";

/** The reader of the output has closed it: a command ends quietly. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

const pendingSizeMax = 64 * 1024;

/**
 * Standard output and standard error of one run. Output is collected and written in large pieces;
 * writing waits for a slow reader, so a result of any length needs no memory.
 */
export class Terminal {
  /** Whether results go to a person. */
  readonly isInteractive: boolean = process.stdout.isTTY === true;
  /** Whether messages do. */
  readonly showsProgress: boolean = process.stderr.isTTY === true;
  #pending = "";

  /** Width of the screen in characters. */
  get columns(): number {
    return process.stdout.columns > 0 ? process.stdout.columns : 80;
  }

  /** Height of the screen in lines. */
  get rows(): number {
    return process.stdout.rows > 0 ? process.stdout.rows : 24;
  }

  /** Adds text to standard output, as it is. **Throws** `OutputClosed`. */
  write(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= pendingSizeMax) this.flush();
  }

  /** Adds a line to standard output. **Throws** `OutputClosed`. */
  print(line = ""): void {
    this.write(`${line}\n`);
  }

  /** Writes what is collected. **Throws** `OutputClosed`. */
  flush(): void {
    const text = this.#pending;
    this.#pending = "";
    writeAll(1, text);
  }

  /** Writes a line to standard error at once. Never throws: there is nobody left to tell. */
  note(line: string): void {
    this.draw(`${line}\n`);
  }

  /** Writes text to standard error at once, as it is. */
  draw(text: string): void {
    try {
      writeAll(2, text);
    } catch (error) {
      if (!(error instanceof OutputClosed)) throw error;
    }
  }
}

function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(file, bytes, at);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE" || code === "EIO") throw new OutputClosed();
      if (code !== "EAGAIN") throw outputError(file, error);
      // A pipe that another program made non-blocking is full.
      Bun.sleepSync(1);
    }
  }
}

function outputError(file: number, error: unknown): AerostoreError {
  const stream = file === 1 ? "standard output" : "standard error";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const found = code === "ENOSPC" ? "no space is left on the device" : String(error);
  return new AerostoreError("IO_ERROR", `writing to ${stream}: ${found}`, { cause: error });
}

/**
 * Text for a screen: control characters, and those that turn the direction of writing, are shown as
 * escapes, so that stored data cannot move the cursor, change colours or show itself as other text.
 */
export function printable(text: string): string {
  return text.replace(controls, (control) => {
    const code = control.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
}

const controls = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A number with its thousands apart. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** A duration in the unit that suits it. */
export function formatDuration(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 60_000).toFixed(1)} min`;
}

/** A number of bytes in the unit that suits it. */
export function formatBytes(size: number): string {
  if (size < 1024) return `${size} bytes`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(size) / 10), units.length);
  return `${(size / 1024 ** power).toFixed(1)} ${units[power - 1] ?? ""}`;
}
