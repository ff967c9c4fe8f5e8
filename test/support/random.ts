/** Random numbers that a seed repeats. */

/** The seed of this run: `AEROSTORE_SEED`, or a new one. Print it with every failure. */
export function chooseSeed(): number {
  const given = Number(process.env["AEROSTORE_SEED"]);
  if (Number.isInteger(given) && given > 0) return given;
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
}

/** A small generator (mulberry32) with the draws that tests need. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to and without 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 up to and without `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True once in `times`, on average. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    if (chosen === undefined) throw new RangeError("nothing to pick from");
    return chosen;
  }

  /** A generator of its own, so that one participant's draws do not shift another's. */
  fork(): Random {
    return new Random(this.below(2 ** 32));
  }
}
