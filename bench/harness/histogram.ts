/**
 * Durations in buckets that grow with the value: 32 for each doubling, so that a percentile is at
 * most 3 % too high (the upper end of its bucket) and never too low. Histograms of several
 * processes add up.
 */
const subBits = 5;
const subCount = 1 << subBits;
const bucketCount = (42 - subBits) * subCount;

/** A histogram between processes: bucket and count, in turn. */
export type Buckets = readonly number[];

export class Histogram {
  readonly #counts = new Float64Array(bucketCount);
  #count = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** The largest duration seen, exact until histograms are added. */
  get max(): number {
    return this.#max;
  }

  record(nanoseconds: number): void {
    const index = indexOf(nanoseconds);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    if (nanoseconds > this.#max) this.#max = nanoseconds;
  }

  add(buckets: Buckets): void {
    for (let i = 0; i + 1 < buckets.length; i += 2) {
      const index = buckets[i] ?? 0;
      const count = buckets[i + 1] ?? 0;
      this.#counts[index] = (this.#counts[index] ?? 0) + count;
      this.#count += count;
      this.#max = Math.max(this.#max, upperOf(index));
    }
  }

  /** The duration that this share of all (0 to 1) does not exceed; 0 when there are none. */
  percentile(share: number): number {
    const wanted = Math.max(1, Math.ceil(this.#count * share));
    let seen = 0;
    for (let i = 0; i < bucketCount; i++) {
      seen += this.#counts[i] ?? 0;
      if (seen >= wanted) return Math.min(upperOf(i), this.#max);
    }
    return 0;
  }

  buckets(): Buckets {
    const out: number[] = [];
    this.#counts.forEach((count, index) => {
      if (count > 0) out.push(index, count);
    });
    return out;
  }
}

function indexOf(nanoseconds: number): number {
  if (nanoseconds < subCount) return Math.max(0, Math.floor(nanoseconds));
  const exponent = 31 - Math.clz32(Math.min(nanoseconds, 0xffffffff));
  const high = nanoseconds >= 0x100000000 ? Math.floor(Math.log2(nanoseconds)) : exponent;
  const sub = Math.floor(nanoseconds / 2 ** (high - subBits)) - subCount;
  return Math.min((high - subBits + 1) * subCount + sub, bucketCount - 1);
}

/** The largest whole number of nanoseconds in a bucket. */
function upperOf(index: number): number {
  if (index < subCount) return index;
  const high = Math.floor(index / subCount) - 1 + subBits;
  const sub = (index % subCount) + subCount + 1;
  return sub * 2 ** (high - subBits) - 1;
}
