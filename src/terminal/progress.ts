/** How far long work is: a bar that is redrawn on a terminal, a line now and then elsewhere. */
import { formatBytes, formatCount, type Terminal } from "./terminal.ts";

const barWidth = 28;
/** Between two drawings of the bar, and between two plain lines. */
const redrawMs = 80;
const lineMs = 5_000;

/** How far something is. */
export interface ProgressState {
  readonly rows: number;
  readonly bytes: number;
  /** What the bar is about: bytes if they are known, else rows. */
  readonly totalBytes: number | undefined;
  readonly totalRows?: number;
  readonly elapsedMs: number;
}

/** Shows the progress of one job on standard error. */
export class Progress implements Disposable {
  readonly #terminal: Terminal;
  readonly #label: string;
  #shownAt: number;
  #drawn = false;

  constructor(terminal: Terminal, label: string) {
    this.#terminal = terminal;
    this.#label = label;
    this.#shownAt = performance.now();
  }

  /** Shows `state`, unless something was shown a moment ago. */
  update(state: ProgressState): void {
    const now = performance.now();
    const live = this.#terminal.showsProgress;
    if (now - this.#shownAt < (live ? redrawMs : lineMs)) return;
    this.#shownAt = now;
    if (!live) {
      this.#terminal.note(`${this.#label}: ${progressText(state)}`);
      return;
    }
    const part = partOf(state);
    const bar = part === undefined ? "" : `${barText(part)} `;
    this.#terminal.draw(`\r\x1b[K${this.#label} ${bar}${progressText(state)}`);
    this.#drawn = true;
  }

  /** Takes the bar away. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#drawn) this.#terminal.draw("\r\x1b[K");
    this.#drawn = false;
  }
}

function partOf({ rows, bytes, totalBytes, totalRows }: ProgressState): number | undefined {
  if (totalBytes !== undefined) return bytes / Math.max(1, totalBytes);
  return totalRows === undefined ? undefined : rows / Math.max(1, totalRows);
}

/** A bar that is filled up to `part`, 0 to 1. */
export function barText(part: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * barWidth);
  return `${"█".repeat(filled)}${"░".repeat(barWidth - filled)}`;
}

function progressText({ rows, bytes, totalBytes, elapsedMs }: ProgressState): string {
  const total = totalBytes === undefined ? "" : ` of ${formatBytes(totalBytes)}`;
  const rate = formatCount(rows / Math.max(0.001, elapsedMs / 1000));
  return `${formatCount(rows)} rows, ${formatBytes(bytes)}${total}, ${rate} rows/s`;
}
