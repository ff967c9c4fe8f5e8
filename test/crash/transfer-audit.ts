/** Opens the bank (`open`) or proves at the end that it is what its ledger says (`audit`). */
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import {
  accountCount,
  Accounts,
  balanceAtStart,
  Ledger,
  ledgerKept,
  ledgerStride,
  parseMoves,
  Progress,
  tables,
  Totals,
} from "./transfer-tables.ts";
import type { Audit, Move } from "./transfer-tables.ts";

function found(db: Database): { problems: string[]; done: number[] } {
  return db.snapshot((view) => {
    const problems: string[] = [];
    const expected = Array.from({ length: accountCount }, () => balanceAtStart);
    const add = ({ account, amount }: Move): void => {
      expected[account] = (expected[account] ?? 0) + amount;
    };
    for (const { id, amount } of view.table(Totals).search()) {
      add({ account: id % accountCount, amount: Number(amount) });
    }
    const late = new Set<number>();
    for (const { id, moves } of view.table(Ledger).search()) {
      late.add(id);
      for (const move of parseMoves(moves)) add(move);
    }
    for (let account = 0; account < accountCount; account++) {
      const balance = view.table(Accounts).get(account)?.balance;
      if (balance !== expected[account]) {
        problems.push(`account ${account} has ${balance}, its ledger says ${expected[account]}`);
      }
    }
    const done: number[] = [];
    for (const { worker, done: count } of view.table(Progress).search()) {
      done[worker] = count;
      for (let n = Math.max(1, count - ledgerKept + 1); n <= count; n++) {
        const id = worker * ledgerStride + n;
        if (!late.delete(id))
          problems.push(`transfer ${n} of worker ${worker} is not in the ledger`);
      }
    }
    if (late.size > 0) problems.push(`${late.size} transfers in the ledger are of nobody`);
    return { problems, done: Array.from(done, (count) => count ?? 0) };
  });
}

const db = await post.open({ tables });
const accounts = db.table(Accounts);
if (post.word(0) === "open") {
  for (let id = 0; id < accountCount; id++) {
    accounts.insert({ id, balance: balanceAtStart, touched: 0 });
  }
  say("null");
} else {
  const { problems, done } = found(db);
  for (let id = 0; id < accountCount; id++) {
    const touched = (accounts.get(id)?.touched ?? 0) + 1;
    accounts.update(id, { touched });
    if (accounts.get(id)?.touched !== touched) problems.push(`account ${id} cannot be written`);
  }
  problems.push(...db.check().problems);
  const { counters, memory } = db.stats();
  const audit: Audit = {
    problems,
    done,
    mode: db.boot.mode,
    counters: { ...counters },
    memory: { ...memory },
  };
  say(JSON.stringify(audit));
}
db.close();
