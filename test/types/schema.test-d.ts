/** What is inferred from declarations; checked by the type checker, never run. */
import { t } from "../../src/schema/column.ts";
import { FlightState } from "../../src/flight/flight-state.ts";
import { defineTable } from "../../src/schema/table.ts";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

const Quotes = defineTable("quotes", {
  symbol: t.string(12).primaryKey(),
  bid: t.decimal(4),
  ask: t.decimal(4).nullable(),
  size: t.u32().default(0),
  ts: t.i64().index(),
  side: t.enum(["buy", "sell"]).nullable().index(),
  raw: t.bytes(8).nullable(),
  live: t.bool().default(true),
});

holds<
  Equal<
    typeof Quotes.$row,
    {
      symbol: string;
      bid: number | string;
      ask: number | string | null;
      size: number;
      ts: number | bigint;
      side: "buy" | "sell" | null;
      raw: Uint8Array | null;
      live: boolean;
    }
  >
>();
holds<
  Equal<
    typeof Quotes.$insert,
    {
      symbol: string;
      bid: number | string;
      ts: number | bigint;
      ask?: number | string | null;
      size?: number;
      side?: "buy" | "sell" | null;
      raw?: Uint8Array | null;
      live?: boolean;
    }
  >
>();
holds<Equal<typeof Quotes.$key, string>>();
holds<
  Equal<
    typeof FlightState.$row,
    {
      flight_id: string;
      lat: number;
      lon: number;
      altitude: number;
      gs: number;
      updated_at: number | bigint;
    }
  >
>();

const upsert = (row: typeof Quotes.$upsert): unknown => row;
const patch = (row: typeof Quotes.$patch): unknown => row;
const insert = (row: typeof Quotes.$insert): unknown => row;
upsert({ symbol: "A" });
upsert({ symbol: "A", ask: null, bid: "1.25" });
patch({ bid: 1 });
patch({});
insert({ symbol: "A", bid: 1, ts: 1n });

// @ts-expect-error the key is missing
upsert({ bid: 1 });
// @ts-expect-error no such column
upsert({ symbol: "A", bids: 1 });
// @ts-expect-error not nullable
upsert({ symbol: "A", bid: null });
// @ts-expect-error a patch has no key
patch({ symbol: "A" });
// @ts-expect-error required columns are missing
insert({ symbol: "A" });
// @ts-expect-error not a label
patch({ side: "hold" });
// @ts-expect-error the default is of the wrong type
t.i32().default("x");
