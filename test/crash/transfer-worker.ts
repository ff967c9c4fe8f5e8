/**
 * Moves money between accounts until told to stop; says the number of each transfer that is in.
 * Words: index, seed; or also a kill point and how many times it is passed.
 */
import type { Database, Transaction } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { armFault } from "../support/fault.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";
import {
  accountCount,
  Accounts,
  formatMoves,
  Ledger,
  ledgerKept,
  ledgerStride,
  parseMoves,
  Progress,
  sumOfBalances,
  tables,
  Totals,
} from "./transfer-tables.ts";
import type { Move } from "./transfer-tables.ts";

const worker = post.number(0);
const random = new Random(post.number(1));
const snapshotEvery = 16;
const stopLookEvery = 8;

/** Two to four accounts, amounts that add up to nothing; a few accounts are hot. */
function drawMoves(): Move[] {
  const accounts = new Set<number>();
  const size = random.between(2, 4);
  while (accounts.size < size) {
    accounts.add(random.below(random.oneIn(4) ? 4 : accountCount));
  }
  const [first = 0, ...others] = accounts;
  const moves = others.map((account) => ({ account, amount: random.between(1, 50) }));
  const sum = moves.reduce((total, { amount }) => total + amount, 0);
  return [{ account: first, amount: -sum }, ...moves];
}

function transfer(tx: Transaction, n: number, moves: readonly Move[]): void {
  const accounts = tx.table(Accounts);
  for (const { account, amount } of moves) {
    const row = accounts.get(account);
    if (row === undefined) throw new Error(`account ${account} is gone`);
    accounts.update(account, { balance: row.balance + amount });
    if (random.oneIn(8)) {
      // What is rolled back must leave no trace.
      const savepoint = tx.savepoint();
      accounts.update(random.below(accountCount), { balance: 999_999 });
      tx.rollbackTo(savepoint);
    }
  }
  const ledger = tx.table(Ledger);
  ledger.insert({ id: worker * ledgerStride + n, moves: formatMoves(moves) });
  if (n > ledgerKept) {
    const oldest = worker * ledgerStride + n - ledgerKept;
    settle(tx, ledger.get(oldest)?.moves ?? "");
    ledger.delete(oldest);
  }
  const before = tx.table(Progress).get(worker)?.done ?? 0;
  if (before !== n - 1) say(`lost ${worker}: behind transfer ${before} comes ${n}`);
  tx.table(Progress).upsert({ worker, done: n });
}

/** Moves what leaves the ledger to the totals. */
function settle(tx: Transaction, moves: string): void {
  const totals = tx.table(Totals);
  for (const { account, amount } of parseMoves(moves)) {
    const id = worker * accountCount + account;
    totals.upsert({ id, amount: Number(totals.get(id)?.amount ?? 0) + amount });
  }
}

function lookAtSum(db: Database): void {
  const query = random.oneIn(2) ? "-sort balance" : "";
  const { sum, count } = db.snapshot((view) => {
    const rows = view.table(Accounts).search(query).toArray();
    return { sum: rows.reduce((total, row) => total + row.balance, 0), count: rows.length };
  });
  if (sum !== sumOfBalances || count !== accountCount) {
    say(`torn ${count} accounts with a sum of ${sum} in "${query}"`);
  }
}

const db = await post.open({ tables });
let done = db.table(Progress).get(worker)?.done ?? 0;
say(`ready ${done}`);
if (post.words.length > 2) armFault(post.word(2), post.number(3));
while (done % stopLookEvery !== 0 || !post.isOver) {
  const n = done + 1;
  const moves = drawMoves();
  db.transact((tx) => transfer(tx, n, moves), { retries: 10_000 });
  done = n;
  say(String(n));
  if (n % snapshotEvery === 0) lookAtSum(db);
}
db.close();
