/** A program that does nothing: what starting Bun costs. */
export {};
