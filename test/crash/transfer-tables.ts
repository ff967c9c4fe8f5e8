/** The bank of the transfer suite: what its workers and its auditor agree on. */
import { defineTable, t } from "../../src/index.ts";

export const accountCount = 48;
export const balanceAtStart = 1_000;
export const sumOfBalances: number = accountCount * balanceAtStart;
/** Ledger keys of one worker begin at its index times this. */
export const ledgerStride = 1_000_000;

export const Accounts = defineTable("Accounts", {
  id: t.u32().primaryKey(),
  balance: t.i32().index(),
  /** Raised by whoever wants to prove that the row can be written. */
  touched: t.u32(),
});

/** Transfers of one worker that the ledger keeps; older ones are only in its totals. */
export const ledgerKept = 64;

/** One row for each late transfer: with the totals, the state must be what these add up to. */
export const Ledger = defineTable("Ledger", {
  id: t.u32().primaryKey(),
  /** `account:amount` words. */
  moves: t.string(64),
});

/** What the transfers that left the ledger come to, by worker and account. */
export const Totals = defineTable("Totals", {
  /** Worker times `accountCount`, plus account. */
  id: t.u32().primaryKey(),
  amount: t.i64(),
});

/** How far each worker has come, written in the same transactions. */
export const Progress = defineTable("Progress", {
  worker: t.u32().primaryKey(),
  done: t.u32(),
});

export const tables = [Accounts, Ledger, Totals, Progress] as const;

/** What the auditor prints at the end. */
export interface Audit {
  readonly problems: readonly string[];
  /** How far each worker got. */
  readonly done: readonly number[];
  readonly mode: string;
  readonly counters: Readonly<Record<string, number>>;
  readonly memory: Readonly<Record<string, number>>;
}

export interface Move {
  readonly account: number;
  readonly amount: number;
}

export function formatMoves(moves: readonly Move[]): string {
  return moves.map(({ account, amount }) => `${account}:${amount}`).join(" ");
}

export function parseMoves(text: string): Move[] {
  return text.split(" ").map((word) => {
    const [account = 0, amount = 0] = word.split(":").map(Number);
    return { account, amount };
  });
}
