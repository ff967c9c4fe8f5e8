/** Numbers that follow from a seed (sfc32): the same data and operations for every peer. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.imul(seed, 0x9e3779b1) | 0;
    this.#c = 0x243f6a88;
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }

  /** 0 to `count - 1`. */
  below(count: number): number {
    return Math.floor((this.next() / 4_294_967_296) * count);
  }

  /** `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** From 0 up to but not including 1. */
  unit(): number {
    return this.next() / 4_294_967_296;
  }
}
