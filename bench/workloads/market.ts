/**
 * Market ticks: the last trade of each symbol, and order books whose levels are rows that come and
 * go. A level's place is its symbol and price in one number, so that a book is a range of the
 * index.
 */
import { Control } from "../harness/control.ts";
import { together, total } from "../harness/crew.ts";
import { agree } from "../harness/drive.ts";
import { latencyName, runPlayers, workAs } from "../harness/players.ts";
import type { Casting, Player } from "../harness/players.ts";
import { Random } from "../harness/random.ts";
import type { Bench, Case, Outcome, Workload } from "../harness/workload.ts";
import type { Store } from "../peers/peer.ts";
import { flat, foldDecimal, foldText, mix } from "./model.ts";
import type { Query, Shape } from "./model.ts";

interface Quote {
  readonly symbol: string;
  readonly last: number;
  readonly volume: number;
  readonly at: number;
}

interface Level {
  readonly level_id: string;
  readonly place: number;
  readonly size: number;
  readonly at: number;
}

const quotes: Shape<Quote> = {
  name: "quotes",
  columns: [
    { name: "symbol", kind: "string", size: 12 },
    { name: "last", kind: "decimal", scale: 4 },
    { name: "volume", kind: "i64" },
    { name: "at", kind: "i64" },
  ],
  values: (row) => [row.symbol, row.last, row.volume, row.at],
  make: ([symbol, last, volume, at]) => ({
    symbol: String(symbol),
    last: Number(last),
    volume: Number(volume),
    at: Number(at),
  }),
  fold: foldQuote,
};

const levels: Shape<Level> = {
  name: "levels",
  columns: [
    { name: "level_id", kind: "string", size: 24 },
    { name: "place", kind: "i64", indexed: true },
    { name: "size", kind: "i32" },
    { name: "at", kind: "i64" },
  ],
  values: (row) => [row.level_id, row.place, row.size, row.at],
  make: ([id, place, size, at]) => ({
    level_id: String(id),
    place: Number(place),
    size: Number(size),
    at: Number(at),
  }),
  fold: foldLevel,
};

function foldQuote({ symbol, last, volume, at }: Quote): number {
  return mix(mix(mix(foldText(symbol), foldDecimal(last)), volume | 0), at | 0);
}

function foldLevel({ level_id, place, size, at }: Level): number {
  return mix(mix(mix(foldText(level_id), place % 1_000_003), size), at | 0);
}

const book: Query = {
  where: [
    { column: "place", op: ">=", value: 0 },
    { column: "place", op: "<", value: 1 },
  ],
  sort: { column: "place", descending: false, distinct: true },
  limit: 10,
};

const placesPerSymbol = 10_000;
const pricesPerBook = 100;
const preparedCount = 1 << 16;
const kinds = { quote: 0, level: 1, removal: 2, book: 3 } as const;
type Kind = (typeof kinds)[keyof typeof kinds];

interface Operation {
  readonly kind: Kind;
  readonly symbol: number;
  readonly price: number;
  readonly name: string;
  readonly id: string;
}

const symbolName = (index: number): string => flat(`SYM${index}`);
const levelName = (symbol: number, price: number): string => flat(`SYM${symbol}:${price}`);

/** Seven of ten are trades, two change a level or take it away, one reads the top of a book. */
function prepareOperations(symbols: number, seed: number): Operation[] {
  const random = new Random(seed);
  return Array.from({ length: preparedCount }, () => {
    // A few symbols have most of the trade.
    const symbol = Math.floor(random.unit() ** 2 * symbols);
    const price = random.below(pricesPerBook);
    const draw = random.below(20);
    const kind: Kind =
      draw < 14 ? kinds.quote : draw < 16 ? kinds.level : draw < 18 ? kinds.removal : kinds.book;
    return { kind, symbol, price, name: symbolName(symbol), id: levelName(symbol, price) };
  });
}

type Found = readonly Level[] | undefined;

function makePlayer(
  store: Store,
  control: Control,
  operations: readonly Operation[],
): Player<Found> {
  const quoteTable = store.table(quotes);
  const levelTable = store.table(levels);
  const search = levelTable.search?.(book);
  if (search === undefined) throw new Error("the peer cannot search a range");
  const at = (index: number): Operation => {
    const operation = operations[index & (preparedCount - 1)];
    if (operation === undefined) throw new RangeError("no operation");
    return operation;
  };
  const none = (result: unknown): undefined | Promise<undefined> =>
    result instanceof Promise ? result.then(() => undefined) : undefined;
  return {
    steps: {
      step: (index) => {
        const { kind, symbol, price, name, id } = at(index);
        const from = symbol * placesPerSymbol;
        if (kind === kinds.book) return search([from, from + placesPerSymbol]);
        if (kind === kinds.removal) return none(levelTable.delete(id));
        const now = control.draw();
        if (kind === kinds.level) {
          const size = 100 + (index % 900);
          return none(levelTable.upsert({ level_id: id, place: from + price, size, at: now }));
        }
        const last = (1_000_000 + (now % 50_000)) / 1e4;
        return none(quoteTable.upsert({ symbol: name, last, volume: index, at: now }));
      },
      take: (found) =>
        found === undefined
          ? 1
          : found.reduce((sum, row) => mix(sum, foldLevel(row)), found.length),
      kind: (index) => at(index).kind,
    },
  };
}

const casting: Casting<Found> = (bench, store, control, worker) => {
  const symbols = bench.parameters["symbols"] ?? 0;
  const seed = bench.settings.seed * 1_000 + worker;
  return makePlayer(store, control, prepareOperations(symbols, seed));
};

async function run(bench: Bench): Promise<Outcome> {
  const symbols = bench.parameters["symbols"] ?? 0;
  const store = await bench.open();
  const quoteTable = store.table(quotes);
  await quoteTable.load(
    Array.from({ length: symbols }, (_, i) => ({
      symbol: symbolName(i),
      last: (1_000_000 + i) / 1e4,
      volume: 0,
      at: 0,
    })),
  );
  const filled: Level[] = [];
  for (let symbol = 0; symbol < symbols; symbol++) {
    for (let price = 0; price < pricesPerBook; price += 10) {
      const place = symbol * placesPerSymbol + price;
      filled.push({ level_id: levelName(symbol, price), place, size: 100, at: 0 });
    }
  }
  await store.table(levels).load(filled);
  const control = await Control.create(bench.place);
  const rehearsal = makePlayer(store, control, prepareOperations(symbols, bench.settings.seed));
  const agreed = bench.settings.smoke ? 300 : 5_000;
  let checksum = await agree(rehearsal.steps, agreed);
  for (const { name } of prepareOperations(symbols, bench.settings.seed).slice(0, agreed)) {
    const row = await quoteTable.get(name);
    checksum = mix(checksum, row === undefined ? 7 : foldQuote(row));
  }
  const processes = bench.parameters["processes"] ?? 1;
  const { reports, seconds } = await runPlayers(bench, store, control, processes, casting);
  await store.close();
  const percentile = (kind: Kind, share: number): number =>
    together(reports, latencyName(kind)).percentile(share) / 1e3;
  return {
    metrics: {
      rate: total(reports, "operations") / seconds,
      "quote p50": percentile(kinds.quote, 0.5),
      "quote p99": percentile(kinds.quote, 0.99),
      "level p99": percentile(kinds.level, 0.99),
      "removal p99": percentile(kinds.removal, 0.99),
      "book p99": percentile(kinds.book, 0.99),
    },
    checksum,
    latency: together(reports, latencyName(kinds.quote)).buckets(),
  };
}

export const market: Workload = {
  name: "market",
  about:
    "Last trades of symbols, order-book levels that come and go, and the top ten levels of a " +
    "book; each its own transaction",
  metrics: [
    { name: "rate", unit: "/s", better: "higher" },
    { name: "quote p50", unit: "us", better: "lower" },
    { name: "quote p99", unit: "us", better: "lower" },
    { name: "level p99", unit: "us", better: "lower" },
    { name: "removal p99", unit: "us", better: "lower" },
    { name: "book p99", unit: "us", better: "lower" },
  ],
  shapes: [quotes, levels],
  cases: (settings) => {
    const symbols = settings.smoke ? 100 : 10_000;
    return settings.processes
      .filter((processes) => processes <= 2)
      .map((processes): Case => ({
        name: `${symbols} symbols, ${processes} process${processes === 1 ? "" : "es"}`,
        parameters: { symbols, processes },
        needs: processes === 1 ? ["range"] : ["range", "processes"],
      }));
  },
  run,
  work: workAs(casting),
};
