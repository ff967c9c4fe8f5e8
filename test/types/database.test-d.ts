/** What the API takes and gives; checked by the type checker, never run. */
import { defineTable, open, param, t } from "../../src/index.ts";
import type { CommitToken, Result } from "../../src/index.ts";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<Expected>() {
  return <Given>(_value: Given, ..._same: Equal<Given, Expected> extends true ? [] : [never]) => {};
}

const Quotes = defineTable("quotes", {
  symbol: t.string(12).primaryKey(),
  bid: t.decimal(4),
  size: t.u32().nullable(),
  ts: t.i64(),
  live: t.bool(),
  side: t.enum(["buy", "sell"]),
});
type Quote = typeof Quotes.$row;

export async function check(): Promise<void> {
  await using db = await open("./data", { tables: [Quotes], onBoot: ({ state }) => state });
  const quotes = db.table(Quotes);
  is<Quote | undefined>()(quotes.get("A"));
  is<boolean>()(quotes.upsert({ symbol: "A", bid: "1.25" }));
  is<Result<Quote>>()(quotes.search({ compare: [">", "bid", 1] }));
  is<Quote[]>()(quotes.search().toArray());
  is<BigInt64Array | BigUint64Array>()(quotes.search().column("ts"));
  is<Uint8Array>()(quotes.search().column("live"));
  is<(number | null)[]>()(quotes.search().column("size"));
  is<("buy" | "sell")[]>()(quotes.search().column("side"));
  is<number>()(quotes.search().column("bid")[0] ?? 0);
  is<number>()(db.transact((tx) => tx.table(Quotes).count()));
  is<Quote | undefined>()(db.snapshot((view) => view.table(Quotes).get("A")));
  is<CommitToken>()(db.begin().token);
  db.table("quotes").upsert({ anything: 1 });

  // @ts-expect-error the key is a string
  quotes.get(1);
  // @ts-expect-error no such column
  quotes.update("A", { bids: 1 });
  // @ts-expect-error the key cannot be patched
  quotes.updateWhere("-compare {}", { symbol: "B" });
  quotes.execute({ update: { bid: 1, ts: param("ts") } });
  // @ts-expect-error nor by a query in object form
  quotes.search({ update: { symbol: "B" } });
  // @ts-expect-error required columns are missing
  quotes.insert({ symbol: "A" });
  // @ts-expect-error no such column
  quotes.search({ compare: [">", "bids", 1] });
  // @ts-expect-error no such column
  quotes.search().column("bids");
  // Rows have the columns that the query names, and no others.
  const narrow = quotes.search({ fields: ["symbol", "ts"], limit: 1 });
  is<{ symbol: string; ts: number | bigint } | undefined>()(narrow.first());
  // @ts-expect-error bid was not read
  narrow.first()?.bid;
  is<{ symbol: string }[]>()(quotes.prepare({ fields: ["symbol"] }).all());
  // @ts-expect-error only a transaction locks
  quotes.lockForUpdate("A");
}
