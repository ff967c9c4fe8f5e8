/** Counts of requests and how long they took, for `/metrics`. One per server. */

/** Upper bounds of the buckets, in seconds. */
export const bucketBounds: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

export interface RequestCounts {
  readonly path: string;
  readonly method: string;
  readonly status: number;
  count: number;
  seconds: number;
  /** Requests in each bucket, not cumulative; the last is for what took longer than all bounds. */
  readonly buckets: number[];
}

/** Paths are patterns, so that there are few of them. */
export class RequestMeter {
  readonly #counts = new Map<string, RequestCounts>();

  count(path: string, method: string, status: number, elapsedMs: number): void {
    const key = `${method} ${path} ${status}`;
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      const buckets = new Array<number>(bucketBounds.length + 1).fill(0);
      counts = { path, method, status, count: 0, seconds: 0, buckets };
      this.#counts.set(key, counts);
    }
    const seconds = elapsedMs / 1_000;
    counts.count += 1;
    counts.seconds += seconds;
    const found = bucketBounds.findIndex((bound) => seconds <= bound);
    const at = found < 0 ? bucketBounds.length : found;
    counts.buckets[at] = (counts.buckets[at] ?? 0) + 1;
  }

  all(): readonly RequestCounts[] {
    return [...this.#counts.values()];
  }
}
