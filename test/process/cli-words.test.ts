/** The command line's words, before any database: options, column declarations, values, tables. */
import { describe, expect, test } from "bun:test";
import { parseArguments, UsageError } from "../../src/cli/arguments.ts";
import { describeColumn, parseColumn, valueOfText } from "../../src/cli/column-text.ts";
import { alignTable } from "../../src/terminal/rows.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  printable,
} from "../../src/terminal/terminal.ts";
import { buildTable } from "../../src/schema/table.ts";

const specs = {
  table: { value: "TABLE", help: "" },
  batch: { value: "N", help: "" },
  json: { help: "" },
};

describe("arguments", () => {
  test("options take their value as the next word or behind =", () => {
    const args = parseArguments(["--table", "a", "x", "--batch=5", "--json", "y"], specs);
    expect(args.words).toEqual(["x", "y"]);
    expect(args.text("table")).toBe("a");
    expect(args.whole("batch", 1, 9)).toBe(5);
    expect(args.has("json")).toBe(true);
    expect(args.text("dir")).toBeUndefined();
  });

  test("words with one dash are not options: queries and keys begin with one", () => {
    const words = ["-compare", "{> altitude 1}", "-limit", "5", "-"];
    expect(parseArguments(words, specs).words).toEqual(words);
    expect(parseArguments(["--", "--table"], specs).words).toEqual(["--table"]);
  });

  test("the last of equal options counts", () => {
    expect(parseArguments(["--table", "a", "--table", "b"], specs).text("table")).toBe("b");
  });

  const wrong: readonly (readonly [argv: string[], message: string])[] = [
    [["--tabel", "x"], "there is no option --tabel; did you mean --table?"],
    [["--constructor"], "there is no option --constructor"],
    [["--table"], "--table needs a value: TABLE"],
    [["--json=yes"], "--json takes no value"],
  ];
  for (const [argv, message] of wrong) {
    test(`${argv.join(" ")}: ${message}`, () => {
      expect(() => parseArguments(argv, specs)).toThrow(new UsageError(message));
    });
  }

  test("numbers out of range and unknown choices are wrong usage", () => {
    const args = parseArguments(["--batch", "0", "--table", "x"], specs);
    expect(() => args.whole("batch", 1, 9)).toThrow(UsageError);
    expect(() => args.whole("table", 1, 9)).toThrow(UsageError);
    expect(() => args.oneOf("table", ["tsv", "csv"])).toThrow("--table is one of tsv, csv");
  });
});

describe("column declarations", () => {
  const columnOf = (text: string): ReturnType<typeof describeColumn> => {
    const definition = buildTable("t", [parseColumn("id:u32:pk"), parseColumn(text)]);
    const column = definition.columns[1];
    if (column === undefined) throw new Error("no column");
    return describeColumn(column);
  };
  const plain = {
    name: "a",
    primaryKey: false,
    indexed: false,
    unique: false,
    nullable: false,
    default: undefined,
    aliases: [],
  };

  test("types and options", () => {
    expect(columnOf("a:i32")).toEqual({ ...plain, type: "i32" });
    expect(columnOf("a:decimal(4):index")).toEqual({
      ...plain,
      type: "decimal(4)",
      indexed: true,
    });
    expect(columnOf("a:string(12):unique:nullable:alias=b,c")).toEqual({
      ...plain,
      type: "string(12)",
      indexed: true,
      unique: true,
      nullable: true,
      aliases: ["b", "c"],
    });
  });

  test("defaults are values of the column's type", () => {
    expect(columnOf("a:i64:default=-9007199254740993").default).toBe("-9007199254740993");
    expect(columnOf("a:bool:default=true").default).toBe("true");
    expect(columnOf("a:bytes(4):default=00ff").default).toBe("00ff");
    expect(columnOf('a:string(9):default="x:y"').default).toBe("x:y");
    expect(() => columnOf("a:u8:default=256")).toThrow("t.a (u8) cannot hold 256");
  });

  test("labels of an enum may have colons and commas in quotes", () => {
    expect(columnOf('a:enum(up,"down, out",x:y):default=up').type).toBe("enum(up,down, out,x:y)");
  });

  const wrong: readonly (readonly [text: string, message: string])[] = [
    ["a", '"a" is no column; a column is name:type[:option…]'],
    ["a:int", '"int" is no type'],
    ["a:strin(4)", '"strin(4)" is no type (did you mean string?)'],
    ["a:string", '"string" is no type; types are'],
    ["a:i32(4)", '"i32(4)" is no type'],
    ["a:i32:indx", '"indx" is no option (did you mean index?)'],
    ["a:i32:default", '"default" is no option; options are'],
    ["a:i32:__proto__=1", '"__proto__=1" is no option'],
    ["a:constructor", '"constructor" is no type'],
  ];
  for (const [text, message] of wrong) {
    test(`${text}: ${message}`, () => {
      expect(() => parseColumn(text)).toThrow(UsageError);
      expect(() => parseColumn(text)).toThrow(message);
    });
  }
});

describe("values as words", () => {
  test("each kind reads what ingest reads", () => {
    expect(valueOfText({ kind: "u64" }, "18446744073709551615")).toBe(18446744073709551615n);
    expect(valueOfText({ kind: "i32" }, "-5")).toBe(-5);
    expect(valueOfText({ kind: "i64" }, "+9007199254740993")).toBe(9007199254740993n);
    expect(valueOfText({ kind: "decimal" }, "1.10")).toBe("1.10");
    expect(valueOfText({ kind: "string" }, "007")).toBe("007");
    expect(valueOfText({ kind: "bool" }, "t")).toBe(true);
    expect(valueOfText({ kind: "bytes" }, "00fF")).toEqual(new Uint8Array([0, 255]));
    expect(valueOfText({ kind: "f64" }, "1e3")).toBe(1000);
    expect(valueOfText({ kind: "timestamp" }, "1700000000000")).toBe(1_700_000_000_000);
  });

  test("what is no such value is left for the table to refuse", () => {
    expect(valueOfText({ kind: "i32" }, "1.5")).toBe("1.5");
    expect(valueOfText({ kind: "f64" }, " ")).toBe(" ");
    expect(valueOfText({ kind: "bool" }, "yes")).toBe("yes");
    expect(valueOfText({ kind: "bytes" }, "0")).toBe("0");
  });
});

describe("text for people", () => {
  test("columns are as wide as their widest cell", () => {
    const lines = [
      ["name", "count"],
      ["ÄÖ漢", "7"],
      ["b", "1,000"],
    ];
    expect(alignTable(lines, ["left", "right"])).toEqual([
      "name  count",
      "ÄÖ漢      7",
      "b     1,000",
    ]);
  });

  test("control characters do not reach the terminal", () => {
    expect(printable("a\x1b[31m\nb\x7f\u009b")).toBe("a\\x1b[31m\\x0ab\\x7f\\x9b");
  });

  test("numbers, durations and sizes", () => {
    expect(formatCount(1_234_567.6)).toBe("1,234,568");
    expect([0.0123, 1.234, 45.6, 1234, 200_000].map(formatDuration)).toEqual([
      "12 µs",
      "1.23 ms",
      "46 ms",
      "1.23 s",
      "3.3 min",
    ]);
    expect([10, 1024, 3_500_000, 2 ** 40 * 5000].map(formatBytes)).toEqual([
      "10 bytes",
      "1.0 KiB",
      "3.3 MiB",
      "5000.0 TiB",
    ]);
  });
});
