/** The query language: what every form means, and what is said about mistakes. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AerostoreError } from "../../src/errors.ts";
import type { Clause, Operand, Query } from "../../src/query/query.ts";
import { parameterNames } from "../../src/query/query.ts";
import { operatorNames } from "../../src/query/parse/clause.ts";
import { optionNames, parseStapi } from "../../src/query/parse/stapi.ts";
import { param } from "../../src/query/parse/parameter.ts";
import { root } from "../support/source.ts";

function errorOf(query: unknown): AerostoreError {
  try {
    parseStapi(query);
  } catch (error) {
    if (error instanceof AerostoreError) return error;
    throw error;
  }
  throw new Error(`no error for ${JSON.stringify(query)}`);
}

function shownOperand(operand: Operand): unknown {
  return operand.kind === "parameter" ? `$${operand.name}` : operand.value;
}

/** A clause as an array, without positions. */
function shown(clause: Clause): readonly unknown[] {
  const { column } = clause;
  switch (clause.kind) {
    case "compare":
      return [clause.operator, column.text, shownOperand(clause.value)];
    case "range":
      return ["range", column.text, shownOperand(clause.low), shownOperand(clause.high)];
    case "in":
      return ["in", column.text, clause.values.map(shownOperand)];
    case "null":
    case "truth":
      return [`${clause.kind} ${clause.expected}`, column.text];
    case "match":
      return [clause.operator, column.text, shownOperand(clause.pattern)];
  }
}

function compareOf(query: unknown): readonly unknown[] {
  return parseStapi(query).compare.map(shown);
}

function withoutPositions(query: Query): unknown {
  return JSON.parse(JSON.stringify(query, (key, value) => (key === "position" ? null : value)));
}

describe("stapi: forms", () => {
  test("text, words and object of the same query are the same", () => {
    const text =
      "-compare {{> altitude 30000} {match flight_id UAL*}} -or {{{= gs 1} {null lat}} {< gs 9}} " +
      "-sort {-altitude flight_id} -limit 50 -offset 10 -desc -fields {lat lon} -countOnly 1";
    const words = [
      ...["-compare", [[">", "altitude", "30000"], "match flight_id UAL*"]],
      ...["-or", [["= gs 1", ["null", "lat"]], [["<", "gs", "9"]]]],
      ...["-sort", ["-altitude", "flight_id"], "-limit", "50", "-offset", 10, "-desc"],
      ...["-fields", "lat lon", "-countOnly", true],
    ];
    const object = {
      compare: [
        [">", "altitude", "30000"],
        ["match", "flight_id", "UAL*"],
      ],
      or: [
        [
          ["=", "gs", "1"],
          ["null", "lat"],
        ],
        ["<", "gs", "9"],
      ],
      sort: ["-altitude", "flight_id"],
      limit: 50,
      offset: 10,
      desc: true,
      fields: ["lat", "lon"],
      countOnly: true,
    };
    const expected = withoutPositions(parseStapi(text));
    expect(withoutPositions(parseStapi(words))).toEqual(expected);
    expect(withoutPositions(parseStapi(object))).toEqual(expected);
  });

  test("nothing at all means all rows", () => {
    for (const query of [undefined, "", " \n", [], {}, "-compare {}", { compare: [] }]) {
      expect(parseStapi(query)).toMatchObject({ compare: [], sort: [], countOnly: false });
      expect(parseStapi(query).or).toBeUndefined();
    }
  });

  test("an option of an object that is undefined or a false flag is not there", () => {
    const query = parseStapi({ limit: undefined, desc: false, asc: undefined });
    expect(query).toEqual(parseStapi(""));
  });

  test("a repeated -compare adds, another option takes the last", () => {
    expect(compareOf("-compare {> a 1} -compare {{< a 9} {= b 2}}").length).toBe(3);
    expect(parseStapi("-limit 1 -limit 2").limit).toEqual({ kind: "count", count: 2 });
    expect(parseStapi("-desc -asc").reverse).toBeFalse();
    expect(parseStapi("-asc -desc").reverse).toBeTrue();
  });

  test("what is neither text, array nor object is a TypeError", () => {
    for (const query of [1, true, null, Symbol("x"), () => 1]) {
      expect(() => parseStapi(query)).toThrow(TypeError);
    }
  });
});

describe("stapi: words", () => {
  test("one clause stands without braces of its own", () => {
    const expected = [[">", "altitude", "1"]];
    expect(compareOf("-compare {> altitude 1}")).toEqual(expected);
    expect(compareOf("-compare {{> altitude 1}}")).toEqual(expected);
    expect(compareOf({ compare: [">", "altitude", "1"] })).toEqual(expected);
    expect(compareOf(["-compare", "> altitude 1"])).toEqual(expected);
    expect(parseStapi("-or {> altitude 1}").or?.map((group) => group.map(shown))).toEqual([
      [[">", "altitude", "1"]],
    ]);
  });

  test("quotes, escapes and braces make one word", () => {
    expect(compareOf(String.raw`-compare {= a "x } {\"y\" \u0041\n\q"}`)).toEqual([
      ["=", "a", 'x } {"y" A\nq'],
    ]);
    expect(compareOf(String.raw`-compare {= a {two words \n {nested}}}`)).toEqual([
      ["=", "a", String.raw`two words \n {nested}`],
    ]);
    expect(compareOf('-compare {= a {}} -compare {= b ""} -compare {= c 5"x}')).toEqual([
      ["=", "a", ""],
      ["=", "b", ""],
      ["=", "c", '5"x'],
    ]);
    expect(compareOf("-compare{{= a 1}{= b 2}}").length).toBe(2);
  });

  test("operators are known in any case, and by their other names", () => {
    const query = "-compare {{== a 1} {<> a 2} {MATCH a x} {NotNull a} {Match_Case a y} {TRUE a}}";
    expect(compareOf(query)).toEqual([
      ["=", "a", "1"],
      ["!=", "a", "2"],
      ["match", "a", "x"],
      ["null false", "a"],
      ["match_case", "a", "y"],
      ["truth true", "a"],
    ]);
  });

  test("$name is a parameter when bare, and text when quoted or wrapped", () => {
    const query = '-compare {{= a $x} {= a "$x"} {= a {$x}} {= a $5} {in a {1 $y}}} -limit $n';
    expect(compareOf(query)).toEqual([
      ["=", "a", "$x"],
      ["=", "a", "$x"],
      ["=", "a", "$x"],
      ["=", "a", "$5"],
      ["in", "a", ["1", "$y"]],
    ]);
    expect([...parameterNames(parseStapi(query))]).toEqual(["x", "y", "n"]);
    const object = { compare: [["=", "a", { value: "$x" }]], offset: param("o") };
    expect([...parameterNames(parseStapi(object))]).toEqual(["o"]);
  });

  test("values of the object form keep their types", () => {
    const bytes = new Uint8Array(3);
    expect(compareOf({ compare: [["in", "a", [1, 2n, true, "x", bytes]]] })).toEqual([
      ["in", "a", [1, 2n, true, "x", bytes]],
    ]);
  });
});

describe("stapi: actions", () => {
  test("-delete and -update", () => {
    expect(parseStapi("-delete 1").action).toEqual({ kind: "delete" });
    expect(parseStapi("-delete 0").action).toEqual({ kind: "read" });
    const { action } = parseStapi({ update: { a: 1, b: null, c: param("c"), d: undefined } });
    if (action.kind !== "update") throw new Error("no update");
    expect(action.assignments.map(({ column, value }) => [column.text, value])).toEqual([
      ["a", { kind: "value", value: 1 }],
      ["b", null],
      ["c", { kind: "parameter", name: "c" }],
    ]);
    expect(parseStapi("-update {a 1 b {}}").action).toMatchObject({
      assignments: [{ value: { value: "1" } }, { value: { value: "" } }],
    });
    expect(errorOf("-delete 1 -update {a 1}").message).toContain("exclude each other");
    expect(errorOf("-update {a}").expected).toBe("columns and values");
  });
});

describe("stapi: mistakes say where and what instead", () => {
  const cases: readonly (readonly [query: unknown, position: number | undefined, part: string])[] =
    [
      ["-limt 3", 0, "did you mean -limit?"],
      ["limit 3", 0, "did you mean -limit?"],
      ["-Compare {}", 0, "did you mean -compare?"],
      ["-limit", 6, "-limit has no argument"],
      ["-limit -1", 7, "a whole number from 0"],
      ["-limit 1.5", 7, "a whole number from 0"],
      ["-offset many", 8, "a whole number from 0"],
      ["-countOnly maybe", 11, "0 or 1"],
      ["-compare {{> a 1}", 9, "never closed"],
      ["-compare {> a 1}}", 16, "closes nothing"],
      ['-compare {= a "x}', 14, "never closed"],
      ['-compare {= a "x"y}', 17, "white space"],
      ["-compare {{>> a 1}}", 11, "did you mean"],
      ["-compare {{> a}}", 10, "{> column value}"],
      ["-compare {{> a 1 2}}", 10, "has 3 arguments"],
      ["-compare {{range a 1}}", 10, "{range column low high}"],
      ["-compare {{range a 1 2 3}}", 10, "has 4 arguments"],
      ["-compare {{null a b}}", 10, "{null column}"],
      ["-compare {{}}", 10, "a clause is empty"],
      ["-compare {{{> a 1}}}", 11, "is not an operator"],
      ["-compare {{= {} 1}}", 13, "the name of a column"],
      ["-compare altitude", 9, "is not an operator"],
      ["-or {{= a 1}} -or {{= a 2}}", 18, "-or stands twice"],
      ["{-limit} 3", 0, "a list is not an option"],
      [["-limit"], 1, "-limit has no argument"],
      [["-limit", 3, "-x"], 2, "is not an option"],
      [{ limits: 3 }, undefined, "did you mean limit?"],
      [{ limit: "x" }, undefined, "a whole number from 0"],
      [{ limit: -1 }, undefined, "a whole number from 0"],
      [{ compare: 5 }, undefined, "a number is not a list"],
      [{ compare: [["=", "a", null]] }, undefined, "null or notnull"],
      [{ compare: [["=", "a", {}]] }, undefined, "a value or $name"],
      [{ compare: [["in", "a", 5]] }, undefined, "a list of values"],
      [{ compare: [[["="], "a", 5]] }, undefined, "a list is not an operator"],
      [{ sort: [5] }, undefined, "the name of a column"],
    ];
  for (const [query, position, part] of cases) {
    const name = JSON.stringify(query);
    test(name, () => {
      const error = errorOf(query);
      expect(error.code).toBe("PARSE_ERROR");
      expect(error.message).toContain(part);
      expect(error.position).toBe(position);
      expect(error.expected).toBeString();
    });
  }
});

/** What Speedtables documents for its `search`. */
const documented = [
  ...["-compare", "-filter", "-glob", "-index", "-sort", "-limit", "-offset", "-fields", "-key"],
  ...["-get", "-array_get", "-array_get_with_nulls", "-array", "-array_with_nulls", "-code"],
  ...["-countOnly", "-write_tabsep", "-with_field_names", "-nokeys", "-tab", "-quote", "-null"],
  ...["-delete", "-update", "-buffer", "-poll_interval", "-poll_code", "-cursor", "-into"],
  ...["true", "false", "null", "notnull", "<", "<=", ">", ">=", "=", "!=", "match", "notmatch"],
  ...["match_case", "notmatch_case", "range", "in"],
];

test("docs/stapi.md says keep, deviate or new of every option and operator", () => {
  const rows = readFileSync(join(root, "docs", "stapi.md"), "utf8").split("\n");
  const decided = rows.filter((row) => /^\|.*\| *(?:keep|deviate|new)\b/.test(row));
  const named = new Set(
    decided.flatMap((row) =>
      Array.from(row.split("|")[1]?.matchAll(/`(\S+?)[ `]/g) ?? [], ([, name]) => name),
    ),
  );
  const missing = [...documented, ...optionNames, ...operatorNames].filter(
    (each) => !named.has(each),
  );
  expect(missing).toEqual([]);
});
