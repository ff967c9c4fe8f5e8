/** What `bun run soak` runs. */

/** What a round found, with the numbers that are added up over all rounds. */
export interface Round {
  readonly problems: readonly string[];
  /** Those named `ms of …` are of the worst round. */
  readonly counts: Readonly<Record<string, number>>;
  /** More for the record, as Markdown. */
  readonly note?: string;
}

export interface Suite {
  readonly about: string;
  /** Rounds when none are asked for. */
  readonly rounds: number;
  /** `transactions`: how many the round should do, where it can choose. */
  readonly run: (seed: number, transactions: number) => Promise<Round>;
  /** Transactions of one round, when none are asked for. */
  readonly transactions: number;
}
