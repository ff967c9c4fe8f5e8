/**
 * What the demo's processes say to each other: options as one word of the command line, reports as
 * lines of JSON on standard output. A report is written with one call before anything else is done,
 * so what a process said survives its death.
 */
import { writeSync } from "node:fs";
import { AerostoreError } from "../errors.ts";

/** Where the demo's database is. */
export interface DemoDatabase {
  readonly directory: string;
  readonly shmPath: string;
}

/** What a writer is told. */
export interface WriterOptions extends DemoDatabase {
  readonly aircraft: number;
  readonly share: { readonly index: number; readonly of: number };
  readonly firstTick: number;
  /** Rows in one transaction. */
  readonly batch: number;
}

/** What a searcher is told. */
export interface SearcherOptions extends DemoDatabase {
  readonly aircraft: number;
}

/** One kind of search, as measured by one searcher. */
export interface SearchFigures {
  readonly count: number;
  readonly rows: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

export type Message =
  | { readonly kind: "ready" }
  /** All rows of a tick are committed. */
  | { readonly kind: "acknowledged"; readonly tick: number; readonly rows: number }
  /** Searches since this was last said; all of them gave what they should. */
  | { readonly kind: "searched"; readonly count: number }
  | {
      readonly kind: "done";
      readonly searches: Readonly<Record<string, SearchFigures>>;
    };

/** Feed seconds between two ticks, and the time of the first. */
export const tickSeconds = 5;
export const feedStart = 1_700_000_000;

/** The feed's time at a tick. */
export function timeOfTick(tick: number): number {
  return feedStart + tick * tickSeconds;
}

/** Says `message` to whoever started this process. */
export function say(message: Message): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}

/** Whether the starter has closed our standard input, which asks us to end. */
export class StopSignal {
  isStopped = false;

  constructor() {
    process.stdin.on("end", () => {
      this.isStopped = true;
    });
    process.stdin.resume();
  }

  /** Lets the event loop hear. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Runs a process of the demo on the options that it was given; what goes wrong is one line. */
export async function runChild<Options>(
  run: (options: Options) => Promise<void>,
  options: string | undefined,
): Promise<void> {
  try {
    await run(JSON.parse(options ?? "{}"));
  } catch (error) {
    const code = error instanceof AerostoreError ? `${error.code}: ` : "";
    writeSync(2, `${code}${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
