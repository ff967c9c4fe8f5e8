/** What the object form of a query accepts; checked by the type checker, never run. */
import { param } from "../../src/index.ts";
import type { SearchInput, SearchQuery } from "../../src/query/types.ts";
import { t } from "../../src/schema/column.ts";
import type { ColumnValue } from "../../src/schema/column.ts";
import { FlightState } from "../../src/flight/flight-state.ts";
import { defineTable } from "../../src/schema/table.ts";

const Quotes = defineTable("quotes", {
  symbol: t.string(12).primaryKey(),
  bid: t.decimal(4).nullable(),
  ts: t.i64().index(),
  side: t.enum(["buy", "sell"]).nullable(),
  raw: t.bytes(8),
  live: t.bool().nullable(),
});
type Quote = typeof Quotes.$row;
type Flight = typeof FlightState.$row;

function query<Row>(_: SearchQuery<Row>): void {}
function input<Row>(_: SearchInput<Row>): void {}

query<Flight>({
  compare: [
    [">", "altitude", 30_000],
    ["match", "flight_id", "UAL*"],
  ],
  sort: ["-altitude", "flight_id"],
  limit: 50,
  offset: 10,
});
query<Flight>({ compare: ["range", "lat", "46.1", 47.5], desc: true, fields: ["lat", "lon"] });
query<Quote>({
  compare: [
    ["=", "side", "buy"],
    ["in", "side", ["buy", param("side")]],
    ["true", "live"],
    ["true", "bid"],
    ["<=", "ts", 2n ** 60n],
    ["!=", "raw", new Uint8Array(2)],
    ["null", "side"],
    ["=", "bid", param("bid")],
  ],
  or: [["notnull", "bid"], [["=", "live", false]]],
  sort: "-bid",
  limit: param("limit"),
  countOnly: true,
});
query<Record<string, ColumnValue>>({
  compare: [
    ["match", "anything", "a*"],
    ["=", "other", 5],
    ["true", "third"],
  ],
  sort: ["-anything"],
});
input<Flight>("-compare {> altitude 1}");
input<Flight>(["-limit", 5]);
input<Flight>({ compare: [["notnull", "gs"]] });

// @ts-expect-error no such column
query<Flight>({ compare: [["=", "altitud", 1]] });
// @ts-expect-error no such operator
query<Flight>({ compare: [["=~", "altitude", 1]] });
// @ts-expect-error text against a number column
query<Flight>({ compare: [["=", "altitude", "high"]] });
// @ts-expect-error a number against a text column
query<Flight>({ compare: [["=", "flight_id", 5]] });
// @ts-expect-error a pattern against a number column
query<Flight>({ compare: [["match", "altitude", "3*"]] });
// @ts-expect-error a pattern against an enum
query<Quote>({ compare: [["match", "side", "b*"]] });
// @ts-expect-error no such label
query<Quote>({ compare: [["=", "side", "hold"]] });
// @ts-expect-error truth of text
query<Quote>({ compare: [["true", "symbol"]] });
// @ts-expect-error null is tested by an operator
query<Quote>({ compare: [["=", "bid", null]] });
// @ts-expect-error a range has two ends
query<Quote>({ compare: [["range", "bid", 1]] });
// @ts-expect-error in takes a list
query<Quote>({ compare: [["in", "side", "buy"]] });
// @ts-expect-error no such column to sort by
query<Quote>({ sort: ["-price"] });
// @ts-expect-error no such field
query<Quote>({ fields: ["price"] });
// @ts-expect-error no such option
query<Quote>({ top: 5 });
// @ts-expect-error a limit is a count
query<Quote>({ limit: "five" });
query<Quote>({ compare: [["in", "side", param("sides")]], delete: true });
query<Quote>({ update: { bid: 1.5, side: param("side") }, limit: 5 });
// @ts-expect-error no such column to set
query<Quote>({ update: { price: 1 } });
// @ts-expect-error a label that there is not
query<Quote>({ update: { side: "hold" } });
