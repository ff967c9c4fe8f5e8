/** What callers can say about text, and what is taken from a look at it. */
import { afterAll, expect, test } from "bun:test";
import { t } from "../../src/schema/column.ts";
import { defineTable } from "../../src/schema/table.ts";
import { corpus, FeedBench, FlightState } from "../support/feed.ts";
import { codeOf } from "../support/temporary-database.ts";

const bench = new FeedBench();
afterAll(() => bench[Symbol.dispose]());

const quotes = defineTable("quotes", {
  symbol: t.string(12).primaryKey(),
  last: t.decimal(4).nullable(),
  size: t.u32().nullable(),
  open: t.bool().nullable(),
  at: t.timestamp().nullable(),
});
const paths = defineTable("paths", { id: t.string(8).primaryKey(), path: t.string(40) });

test("dialects: a separator, a header and further columns are seen, and said", async () => {
  const semicolon = await bench.load(await corpus("csv-semicolon.csv"), { name: "x.csv" });
  expect(semicolon.rows).toMatchObject([{ flight_id: "AAL1", lat: 40.1, altitude: 1000 }]);
  expect(semicolon.look).toBe("semicolon-separated, no header, 6 columns");
  const extra = await bench.load(await corpus("csv-extra-column.csv"), {}, quotes);
  expect(extra.rows).toMatchObject([{ symbol: "AAPL", last: 1.5 }]);
  expect(extra.look).toBe("comma-separated, header, 3 columns, 1 not in the table (ignored)");
  const header = { header: true };
  const strict = (): Promise<unknown> => bench.load("symbol,exchange\nA,Q\n", header, quotes);
  expect(await codeOf(strict)).toBe("UNKNOWN_FIELD");
  const asked = await bench.load(
    "symbol\texchange\nA\tQ\n",
    { ...header, ignoreUnknown: true },
    quotes,
  );
  expect(asked.rows).toMatchObject([{ symbol: "A" }]);
  const spaced = await bench.load("Symbol|Last|At\nA|1|\n", {}, quotes);
  expect(spaced.rows).toMatchObject([{ symbol: "A", last: 1, at: null }]);
  const told = await bench.load("sep=;\nsymbol;last\nA;2\n", { name: "a.csv" }, quotes);
  expect(told.rows).toMatchObject([{ symbol: "A", last: 2 }]);
  const none = await bench.load("symbol,last,size,open,at\n", { header: false }, quotes);
  expect(none.rejects).toMatchObject([{ line: 1, column: 2 }]);
  const empty = await bench.load("\nsymbol,1,2,,\n", { format: "csv" }, quotes);
  expect(empty.rows).toMatchObject([{ symbol: "symbol", last: 1 }]);
});

test("dialects: columns are mapped, renamed and ignored by name and by number", async () => {
  const file = "a,b,Close Price,size\nX,?,1.5,7\n";
  const byName = await bench.load(file, { columns: "a=symbol,b=-,Close Price=last" }, quotes);
  expect(byName.rows).toMatchObject([{ symbol: "X", last: 1.5, size: 7 }]);
  const byNumber = await bench.load(
    "?,X,7,1.5,more\n",
    { columns: { 2: "symbol", 4: "last" }, format: "csv" },
    quotes,
  );
  expect(byNumber.rows).toMatchObject([{ symbol: "X", last: 1.5, size: null }]);
  const listed = await bench.load(
    "?;1,5;X\n",
    { columns: "-,last,symbol", decimalComma: true },
    quotes,
  );
  expect(listed.rows).toMatchObject([{ symbol: "X", last: 1.5 }]);
  const json = await bench.load(
    '{"T":"X","p":"1.5","size":3}\n',
    { columns: { T: "symbol", p: "last", size: "-" } },
    quotes,
  );
  expect(json.rows).toMatchObject([{ symbol: "X", last: 1.5, size: null }]);
  const mapped = defineTable("mapped", { id: t.string(8).primaryKey(), speed: t.f64().nullable() });
  const readsb = await bench.load(
    '{"now":1700000000,"aircraft":[{"hex":"AB","ias":200}]}',
    { columns: { hex: "id", ias: "speed" } },
    mapped,
  );
  expect(readsb.rows).toEqual([{ id: "AB", speed: 200 }]);
  for (const columns of ["a=nothing", "zz=last,a=symbol", "a=,b"]) {
    const code = await codeOf(() => bench.load(file, { columns }, quotes));
    expect(["UNKNOWN_FIELD", "PARSE_ERROR"].includes(code) || code.startsWith("TypeError")).toBe(
      true,
    );
  }
});

test("dialects: words for null, comments, lines to skip, booleans, rounding", async () => {
  const text =
    "exported today\n# a comment\nsymbol,last,size,open\n# another\n" +
    "A,NA,1,TRUE\nB,1.00005,NaN,no\nC,-1.00005,null,On\n";
  const { rows, rejects } = await bench.load(
    text,
    { skip: 1, comment: "#", null: ["NA", "NaN", "null"], round: true },
    quotes,
  );
  expect(rejects).toEqual([]);
  expect(rows).toMatchObject([
    { symbol: "A", last: null, size: 1, open: true },
    { symbol: "B", last: 1.0001, size: null, open: false },
    { symbol: "C", last: -1.0001, size: null, open: true },
  ]);
  const bad = await bench.load(`${text}D,x,1,maybe\n`, { skip: 1, comment: "#" }, quotes);
  expect(bad.rejects.at(-1)).toMatchObject({ line: 8, column: 2 });
});

test("dialects: times of every form", async () => {
  const text = await corpus("csv-iso-time.csv");
  const { rows } = await bench.load(text, {}, quotes);
  expect(rows).toMatchObject([
    { symbol: "B", at: 1_704_164_645_123 },
    { symbol: "C", at: 1_704_164_645_000 },
  ]);
  for (const [timeUnit, given] of [
    ["s", "1700000000.25"],
    ["ms", "1700000000250"],
    ["us", "1700000000250000"],
    ["ns", "1700000000250000000"],
  ] as const) {
    for (const source of [`symbol,at\nX,${given}\n`, `{"symbol":"X","at":${given}}\n`]) {
      const loaded = await bench.load(source, { timeUnit }, quotes);
      expect(loaded.rows).toMatchObject([{ at: 1_700_000_000_250 }]);
    }
  }
  const wrong = await bench.load("symbol,at\nX,1700000000250\nY,noon\n", { timeUnit: "s" }, quotes);
  expect(wrong.rejects.map(({ code }) => code)).toEqual(["out_of_range", "not_a_time"]);
});

test("dialects: backslashes stay when they are said to be no escapes", async () => {
  const text = await corpus("tsv-backslash.tsv");
  const { rows } = await bench.load(text, { escape: "none" }, paths);
  expect(rows).toEqual([
    { id: "K1", path: "C:\\new\\table\\run" },
    { id: "K2", path: "plain" },
  ]);
  const quoted = await bench.load("K1\t'a\tb'\n", { quote: "'", escape: "none" }, paths);
  expect(quoted.rows).toEqual([{ id: "K1", path: "a\tb" }]);
  const plain = await bench.load('K1,"a"\n', { quote: "none", format: "csv" }, paths);
  expect(plain.rows).toEqual([{ id: "K1", path: '"a"' }]);
});

test("dialects: a byte order mark of each file in a stream is passed over", async () => {
  const { rows } = await bench.load(await corpus("csv-mid-bom.csv"), {}, FlightState);
  expect(rows.map(({ flight_id }) => flight_id)).toEqual(["AAL1", "AAL2"]);
});

test("dialects: exact decimals, also from lists of rows and as numbers", async () => {
  const exact = defineTable("exact", { sym: t.string(8).primaryKey(), qty: t.decimal(8) });
  const list =
    '[{"sym":"A","qty":92233720368.54775807},\n {"sym":"B","qty":"987654321.12345678"},' +
    '{"sym":"C","qty":,},{"sym":"D","qty":1e-8}]';
  const { rejects, report } = await bench.load(list, {}, exact);
  expect(rejects).toMatchObject([{ line: 2, column: 3 }]);
  expect(report.inserted).toBe(3);
  const again = '{"rows":[{"sym":"A","qty":92233720368.54775807}]}';
  const wrapped = await bench.load(again, {}, exact);
  expect(wrapped.report).toMatchObject({ inserted: 1, rejected: 0 });
});

test("messages: what was given, where, and what to do", async () => {
  const reasonOf = async (text: string, options = {}): Promise<string> =>
    (await bench.load(text, options, quotes)).rejects[0]?.reason ?? "";
  const csv = { format: "csv" };
  expect(await reasonOf('A,"1,250.5",,,\n', csv)).toBe(
    '"last" (decimal(4)): "1,250.5" is not a number; thousands are written without separators',
  );
  expect(await reasonOf("A;1;2;true;\n", { ...csv, separator: "," })).toBe(
    'missing column "last"; the line has 1 of 5, but 5 with the separator ";"',
  );
  const json = { format: "ndjson" };
  expect(await reasonOf('{"symbol":"A\\ud800"}\n', json)).toBe(
    '"symbol" (string(12)): invalid UTF-8: half of a surrogate pair',
  );
  expect(await reasonOf('{"symbol":"A","last":1,}\n', json)).toContain('no JSON at "}');
  expect(await reasonOf('[{"symbol":"A"}]\n', json)).toContain(
    "a list of rows, whose format is json",
  );
  for (const order of ["le", "be"]) {
    const bytes = Buffer.from("\ufeffA\t1\n", "utf16le");
    if (order === "be") bytes.swap16();
    const error = await bench.load(new Uint8Array(bytes), {}, quotes).catch((e: unknown) => e);
    expect(String(error)).toContain("it is UTF-16 text; convert it to UTF-8");
  }
  const misspelt = JSON.parse('{"seperator":";"}');
  const unknown = await bench.load("", misspelt, quotes).catch((error: unknown) => error);
  expect(String(unknown)).toContain('did you mean "separator"?');
});
