import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { AerostoreError } from "../../src/errors.ts";
import { detectFormat } from "../../src/ingest/formats.ts";
import { chooseDialect } from "../../src/ingest/dialect.ts";
import { ingest } from "../../src/ingest/ingest.ts";
import type { IngestOptions, IngestProgress } from "../../src/ingest/options.ts";
import { encodePlan } from "../../src/ingest/plan.ts";
import { IngestFault } from "../../src/ffi/constants.gen.ts";
import { nameOf } from "../../src/ffi/struct.ts";
import { type IngestReject, reasonText } from "../../src/ingest/rejects.ts";
import type { IngestSource } from "../../src/ingest/source.ts";
import { t } from "../../src/schema/column.ts";
import { FlightState } from "../../src/flight/index.ts";
import { defineTable } from "../../src/schema/table.ts";
import { FakeEngine } from "../support/ingest-fake.ts";

const table = defineTable("quotes", {
  symbol: t.string(12).primaryKey(),
  bid: t.decimal(4).alias("b"),
  ask: t.decimal(4),
});

function quote(index: number): string {
  return `S${index}\t${index}\t${index + 1}`;
}

function quotes(count: number): string {
  return Array.from({ length: count }, (_, index) => `${quote(index)}\n`).join("");
}

async function* pieces(text: string | Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof AerostoreError ? error.code : String(error);
  }
  return "none";
}

async function load(
  source: IngestSource,
  options: IngestOptions = {},
): Promise<{ engine: FakeEngine; rejects: IngestReject[]; rows: number; rejected: number }> {
  const engine = new FakeEngine(table);
  const rejects: IngestReject[] = [];
  const report = await ingest(engine, source, {
    ...options,
    onReject: (reject) => rejects.push(reject),
  });
  const { rows, inserted, updated, unchanged, stale, rejected } = report;
  expect(inserted + updated + unchanged + stale + rejected).toBe(rows);
  expect(rejected).toBe(rejects.length);
  expect(report.batches).toBe(engine.batches.length);
  expect(engine.closed).toBe(1);
  return { engine, rejects, rows, rejected };
}

function withDirectory<T>(run: (directory: string) => Promise<T>): () => Promise<T> {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), "aerostore-ingest-"));
    try {
      return await run(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
}

describe("ingest: sources", () => {
  const text = quotes(3_000);
  const sources: Readonly<Record<string, () => IngestSource>> = {
    text: () => text,
    bytes: () => Buffer.from(text),
    "an ArrayBuffer": () => new TextEncoder().encode(text).buffer,
    "a blob": () => new Blob([text]),
    "a File of no file": () => new File([text], "quotes.tsv"),
    "a web stream": () => new Blob([text]).stream(),
    "pieces of 7 bytes": () => pieces(text, 7),
    "gzip bytes": () => gzipSync(text),
    "gzip pieces of 1 byte": () => pieces(gzipSync(text), 1),
    "two gzip members": () => Buffer.concat([gzipSync(quotes(1_000)), gzipSync(text)]),
  };
  for (const [name, source] of Object.entries(sources)) {
    test(`ingest: ${name}`, async () => {
      const { engine, rejects } = await load(source());
      expect(rejects).toEqual([]);
      expect(engine.rows.size).toBe(3_000);
      expect(engine.rows.get("S2999")).toEqual({ symbol: "S2999", bid: "2999", ask: "3000" });
    });
  }

  test(
    "ingest: a file, plain and compressed",
    withDirectory(async (directory) => {
      const plain = join(directory, "quotes.tsv");
      const packed = join(directory, "quotes.gz");
      writeFileSync(plain, text);
      writeFileSync(packed, gzipSync(text));
      for (const path of [plain, packed]) {
        const { engine, rows } = await load(Bun.file(path));
        expect(rows).toBe(3_000);
        expect(engine.rows.size).toBe(3_000);
      }
    }),
  );

  test(
    "ingest: a file that cannot be read is a coded error",
    withDirectory(async (directory) => {
      expect(await codeOf(() => load(Bun.file(join(directory, "absent"))))).toBe("IO_ERROR");
      expect(await codeOf(() => load(Bun.file(directory)))).toBe("IO_ERROR");
    }),
  );

  test("ingest: gzip that is cut or damaged is a coded error", async () => {
    const packed = gzipSync(text);
    expect(await codeOf(() => load(packed.subarray(0, packed.length - 20)))).toBe("IO_ERROR");
    packed[packed.length - 6] = (packed[packed.length - 6] ?? 0) ^ 1;
    expect(await codeOf(() => load(packed))).toBe("IO_ERROR");
  });

  test("ingest: an error of the source ends the load and keeps earlier batches", async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(quotes(5));
      throw new Error("the receiver went away");
    }
    const engine = new FakeEngine(table);
    const code = await codeOf(() => ingest(engine, failing(), { batch: 2 }));
    expect(code).toBe("Error: the receiver went away");
    expect(engine.closed).toBe(1);
    expect(engine.rows.size).toBeGreaterThanOrEqual(4);
  });

  test("ingest: an empty source", async () => {
    for (const source of ["", new Uint8Array(0), pieces("", 1), "\n\r\n\n"]) {
      const { rows, engine } = await load(source);
      expect(rows).toBe(0);
      expect(engine.batches).toEqual([]);
    }
  });

  test("ingest: more than the window holds", async () => {
    const { engine, rows } = await load(Buffer.from(quotes(200_000)));
    expect(rows).toBe(200_000);
    expect(engine.rows.size).toBe(200_000);
  });

  test("ingest: text is not cut within a character", async () => {
    for (const shift of ["", "x", "x".repeat(256 * 1024 - 1)]) {
      const symbol = shift + "\u{1f600}".repeat(150_000);
      const { engine } = await load(`${symbol}\t1\t2\n`);
      expect(engine.rows.has(symbol)).toBe(true);
    }
  });

  test("ingest: a byte order mark is passed over", async () => {
    const { engine } = await load(`\ufeff${quotes(1)}`);
    expect([...engine.rows.keys()]).toEqual(["S0"]);
  });
});

describe("ingest: batches", () => {
  test("ingest: each batch has as many rows as asked, the last the rest", async () => {
    const { engine } = await load(quotes(25), { batch: 10 });
    expect(engine.batches).toEqual([10, 10, 5]);
  });

  test("ingest: a batch goes on over the pieces of a file and over bad lines", async () => {
    const { engine, rejected } = await load(`${quotes(6)}bad\n${quotes(9)}`, { batch: 5 });
    expect(engine.batches).toEqual([5, 5, 5]);
    expect(rejected).toBe(1);
  });

  test("ingest: a live stream commits what it has before it waits", async () => {
    const engine = new FakeEngine(table);
    const committed = Promise.withResolvers<void>();
    const commitOnce = engine.batches.push.bind(engine.batches);
    engine.batches.push = (...counts: number[]) => {
      committed.resolve();
      return commitOnce(...counts);
    };
    async function* feed(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(quotes(3));
      await committed.promise;
      yield Buffer.from(`${quote(9)}\n`);
    }
    await ingest(engine, feed(), { batch: 1_000 });
    expect(engine.batches).toEqual([3, 1]);
  });

  test("ingest: a wrong batch is a RangeError", async () => {
    for (const batch of [0, -1, 1.5, Number.NaN, 1_000_001]) {
      expect(await codeOf(() => load("", { batch }))).toStartWith("RangeError: batch");
    }
  });

  test("ingest: lines far longer than a read, up to the limit", async () => {
    const long = "x".repeat((1 << 20) - 10);
    const over = "y".repeat((1 << 20) + 10);
    const stream = `${long}\t1\t2\n${over}\t1\t2\n${quote(1)}\n${over}\t3\t4`;
    const { engine, rejects } = await load(pieces(stream, 100_000));
    expect([...engine.rows.keys()]).toEqual([long, "S1"]);
    expect(rejects.map(({ line, code }) => [line, code])).toEqual([
      [2, "line_too_long"],
      [4, "line_too_long"],
    ]);
    expect(rejects[0]?.text.length).toBe(1 << 20);
  });
});

describe("ingest: rejects", () => {
  const stream = `${quote(1)}\nA\t1\n\n\t1\t2\n${quote(2)}\n`;

  test("ingest: a bad line has line, column, reason and text, and the load goes on", async () => {
    const { engine, rejects } = await load(stream);
    expect(engine.rows.size).toBe(2);
    expect(rejects).toEqual([
      {
        line: 2,
        column: 3,
        field: undefined,
        code: "missing_column",
        reason: "missing columns; the line has 2 of 3",
        text: "A\t1",
      },
      {
        line: 4,
        column: 1,
        field: "symbol",
        code: "empty_key",
        reason: '"symbol", the primary key, is empty',
        text: "\t1\t2",
      },
    ]);
  });

  test(
    "ingest: the rejects file has the raw lines",
    withDirectory(async (directory) => {
      const path = join(directory, "rejects.tsv");
      writeFileSync(path, "old");
      await load(stream, { rejects: path });
      expect(readFileSync(path, "utf8")).toBe(
        "2\t3\tmissing columns; the line has 2 of 3\tA\t1\n" +
          '4\t1\t"symbol", the primary key, is empty\t\t1\t2\n',
      );
      const elsewhere = join(directory, "no", "rejects.tsv");
      expect(await codeOf(() => load(stream, { rejects: elsewhere }))).toBe("IO_ERROR");
      expect(existsSync(elsewhere)).toBe(false);
    }),
  );

  test("ingest: many bad lines in a row", async () => {
    const { rows, rejected } = await load("bad\n".repeat(5_000) + quotes(3));
    expect(rows).toBe(5_003);
    expect(rejected).toBe(5_000);
  });

  test("ingest: strict stops at the first bad line and drops its batch", async () => {
    const engine = new FakeEngine(table);
    const failure = ingest(engine, `${quotes(5)}bad\n${quotes(9)}`, { strict: true, batch: 2 });
    const error = await failure.then(
      () => undefined,
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(AerostoreError);
    expect(error).toMatchObject({ code: "INVALID_VALUE", table: "quotes", line: 6, value: "bad" });
    expect(String(error)).toContain("line 6, column 2");
    expect(engine.batches).toEqual([2, 2]);
    expect(engine.closed).toBe(1);
  });

  test("ingest: a row that the table refuses is a reject, the others go in", async () => {
    const engine = new FakeEngine(table);
    for (const key of ["S3", "S4", "S11"]) engine.refused.add(key);
    const rejects: IngestReject[] = [];
    const report = await ingest(engine, `bad\n${quotes(12)}`, {
      batch: 8,
      onReject: (reject) => rejects.push(reject),
    });
    expect(report).toMatchObject({ rows: 13, inserted: 9, rejected: 4 });
    expect(report.batches).toBe(engine.batches.length);
    expect(engine.batches.reduce((sum, count) => sum + count, 0)).toBe(9);
    expect(rejects.map(({ line, code, reason }) => [line, code, reason]).slice(1)).toEqual([
      [5, "refused", "refused S3"],
      [6, "refused", "refused S4"],
      [13, "refused", "refused S11"],
    ]);
    const strict = ingest(engine, quotes(4), { strict: true });
    expect(await codeOf(() => strict)).toBe("DUPLICATE_KEY");
  });

  test("ingest: every reason has a text of its own", () => {
    const names = Object.values(IngestFault).flatMap((code) => nameOf(IngestFault, code) ?? []);
    expect(names.length).toBeGreaterThan(15);
    const texts = new Set(names.map((name) => reasonText(name, FlightState.key, "x")));
    expect(texts.size).toBe(names.length);
  });
});

describe("ingest: progress", () => {
  test("ingest: progress counts rows and bytes up to the whole", async () => {
    const engine = new FakeEngine(table);
    const seen: IngestProgress[] = [];
    const text = quotes(50_000);
    await ingest(engine, Buffer.from(text), { onProgress: (progress) => seen.push(progress) });
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toMatchObject({
      rows: 50_000,
      rejected: 0,
      bytes: text.length,
      totalBytes: text.length,
    });
    const rows = seen.map((each) => each.rows);
    expect(rows).toEqual(rows.toSorted((a, b) => a - b));
  });
});

describe("ingest: header", () => {
  test("ingest: a header gives the order of columns, by name or alias", async () => {
    const { engine, rejects } = await load("ask\tsymbol\tb\r\n3\tA\t2\r\nbad", { header: true });
    expect(engine.rows.get("A")).toEqual({ ask: "3", symbol: "A", bid: "2" });
    expect(rejects[0]).toMatchObject({ line: 3 });
  });

  test("ingest: a header alone, or nothing at all, is no row", async () => {
    expect((await load("symbol\tbid\task", { header: true })).rows).toBe(0);
    expect((await load("", { header: true })).rows).toBe(0);
  });

  test("ingest: CSV headers may be quoted", () => {
    const { positions } = chooseDialect(table, "csv", '"symbol", ask ,"b"', { header: true });
    const names = positions.map((column) => column?.name);
    expect(names).toEqual(["symbol", "ask", "bid"]);
  });

  test("ingest: a header with a mistake is a coded error", async () => {
    const codes: Readonly<Record<string, string>> = {
      "symbol\tbidd": "UNKNOWN_FIELD",
      "symbol\tSYMBOL": "UNKNOWN_FIELD",
      "symbol\tbid\tb": "PARSE_ERROR",
      "symbol\tsymbol": "PARSE_ERROR",
      "bid\task": "PARSE_ERROR",
    };
    for (const [line, code] of Object.entries(codes)) {
      expect(await codeOf(() => load(`${line}\n`, { header: true }))).toBe(code);
    }
    const header = { header: true };
    expect(() => chooseDialect(table, "csv", '"symbol,bid', header)).toThrow("not closed");
    expect(() => chooseDialect(table, "tsv", "symbol\tbidd", header)).toThrow(
      'did you mean "bid"?',
    );
    expect(await codeOf(() => load("{}", { header: true }))).toStartWith("TypeError");
  });

  test("ingest: newestBy names a column", async () => {
    const { engine } = await load(quotes(1), { newestBy: "b" });
    expect(engine.newestBy?.[0]).toBe(1);
    expect(await codeOf(() => load("", { newestBy: "time" }))).toBe("UNKNOWN_FIELD");
  });
});

describe("ingest: formats", () => {
  test("ingest: formats by name, else by the first bytes", () => {
    const head = (text: string): Uint8Array => Buffer.from(text);
    expect(detectFormat("a/b.tsv", head("{"), true)).toBe("tsv");
    expect(detectFormat("b.CSV.gz", head(""), true)).toBe("csv");
    expect(detectFormat("b.jsonl", head(""), true)).toBe("ndjson");
    expect(detectFormat("b.gz", head('{"a":1}'), true)).toBe("ndjson");
    expect(detectFormat("data.json", head('{ "now" : 1,\n "aircraft" : [ {'), true)).toBe("readsb");
    expect(detectFormat(undefined, head("a\tb,c\n"), true)).toBe("tsv");
    expect(detectFormat(undefined, head("a,b\nc\td"), true)).toBe("csv");
    expect(detectFormat(undefined, head(""), true)).toBe("tsv");
  });

  test("ingest: the plan has what the engine reads", () => {
    const phases = defineTable("phases", {
      id: t.u32().primaryKey(),
      phase: t.enum(["taxi", "climb"]).default("climb"),
      note: t.string(4).nullable().alias("n"),
      speed: t.u16(),
    });
    const plan = encodePlan(phases, { format: "ndjson", refuseUnknown: true, lineFirst: 7 });
    const view = new DataView(plan.buffer);
    expect(Buffer.from(plan).toString("latin1", 0, 4)).toBe("AING");
    expect([plan[6], plan[7], view.getBigUint64(8, true)]).toEqual([3, 2, 7n]);
    const text = Buffer.from(plan.subarray(view.getUint32(44, true))).toString();
    expect(text).toBe("idnnotephasespeedclimbtaxi");
    const template = view.getUint32(52, true);
    expect(view.getUint32(56, true)).toBe(16 + phases.imageSize);
    expect(view.getBigUint64(template, true)).toBe(0n); // nothing named
    expect(view.getBigUint64(template + 8, true)).toBe(0b100n); // speed is missing
    expect(view.getBigUint64(template + 16, true)).toBe(0b010n); // note is null
    const phase = phases.find("phase")?.offset ?? 0;
    expect(view.getUint16(template + 16 + phase, true)).toBe(1);
  });
});
