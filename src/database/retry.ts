/**
 * Waiting between attempts of a transaction that lost a conflict: truncated exponential backoff
 * with full jitter, so that those who collided once do not collide again in step.
 */

const backoffMsBase = 1;
const backoffMsMax = 16;

/** How long to wait before attempt `attempt` (from 1), with `random` from 0 to 1. */
export function backoffMs(attempt: number, random: number): number {
  return Math.min(backoffMsBase * 2 ** (attempt - 1), backoffMsMax) * random;
}

/** Blocks the thread for at most `backoffMsMax` milliseconds. */
export function backOff(attempt: number): void {
  pause(backoffMs(attempt, Math.random()));
}

/** Blocks the thread. For milliseconds at most: nothing else of it runs meanwhile. */
export function pause(ms: number): void {
  Bun.sleepSync(ms);
}
