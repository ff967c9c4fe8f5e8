/** Processes move money between accounts; the sum never changes. Start any number of them. */
import { defineTable, open, t } from "aerostore";

const Accounts = defineTable("Accounts", {
  id: t.u32().primaryKey(),
  balance: t.i64(),
});
const count = 100;

await using db = await open(process.argv[2], { tables: [Accounts] });
const accounts = db.table(Accounts);
db.transact((tx) => {
  const table = tx.table(Accounts);
  if (table.get(0) !== undefined) return;
  table.upsertMany(Array.from({ length: count }, (_, id) => ({ id, balance: 1_000 })));
});

for (let round = 0; round < 1_000; round++) {
  const [from, to] = [round % count, (round * 7 + 1) % count];
  if (from === to) continue;
  db.transact((tx) => {
    const table = tx.table(Accounts);
    const [payer, payee] = [table.get(from), table.get(to)];
    if (payer === undefined || payee === undefined) throw new Error("an account is gone");
    table.update(from, { balance: Number(payer.balance) - 1 });
    table.update(to, { balance: Number(payee.balance) + 1 });
  });
}

let sum = 0n;
for (const balance of accounts.search().column("balance")) sum += BigInt(balance);
console.log(`the sum is ${sum}, after ${db.stats().counters.retries} retries`);
if (sum !== BigInt(count * 1_000)) process.exitCode = 1;
