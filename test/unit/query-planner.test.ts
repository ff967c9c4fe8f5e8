/** Which route a query takes, what is left to test, and what explain says. */
import { describe, expect, test } from "bun:test";
import { AerostoreError } from "../../src/errors.ts";
import type { Cardinality } from "../../src/query/plan/cardinality.ts";
import { bindParameters, encodePlan } from "../../src/query/plan/encode.ts";
import { describeTerm, explain } from "../../src/query/plan/explain.ts";
import { encodeKey, encodeNullKey, type KeyWords } from "../../src/query/resolve/index-key.ts";
import { plan, type Plan } from "../../src/query/plan/planner.ts";
import { parseStapi } from "../../src/query/parse/stapi.ts";
import { t } from "../../src/schema/column.ts";
import { FlightState } from "../../src/flight/flight-state.ts";
import { defineTable } from "../../src/schema/table.ts";

const Things = defineTable("things", {
  id: t.string(8).primaryKey(),
  serial: t.u32().unique(),
  name: t.string(10).index().nullable(),
  size: t.i32().index(),
  weight: t.decimal(2).index().nullable(),
  flag: t.bool(),
  grade: t.enum(["low", "mid", "high"]).index(),
  note: t.string(300),
  ratio: t.f32().nullable(),
});

function wordsText(words: KeyWords | undefined): string {
  return words === undefined ? "*" : words.join(",");
}

/** 100,000 rows, 1,000 in every range but those named by their bounds. */
function measured(rows = 100_000, ranges: Readonly<Record<string, number>> = {}): Cardinality {
  return {
    rowCount: () => rows,
    estimateRange: (column, low, high) =>
      ranges[`${column} ${wordsText(low)} ${wordsText(high)}`] ?? 1_000,
  };
}

function planOf(query: unknown, cardinality: Cardinality = measured()): Plan {
  return plan(parseStapi(query), Things, cardinality);
}

/** Route and arms in one line: `index size: size > 5`. */
function route(made: Plan): string {
  if (made.route.kind !== "arms") return made.route.kind;
  const arms = made.route.arms.map(({ kind, column, clauses }) => {
    return `${kind} ${column.name}: ${clauses.map(describeTerm).join("; ")}`;
  });
  return arms.join(" | ") + (made.walk ? " (walk)" : "");
}

function residual(made: Plan): readonly string[] {
  return made.residual.map(describeTerm);
}

describe("planner: routes", () => {
  const cases: readonly (readonly [query: string, route: string, residual: readonly string[]])[] = [
    ["", "scan", []],
    ["-compare {= id A}", "key id: id = A", []],
    ["-compare {{= id A} {> size 5}}", "key id: id = A", ["size > 5"]],
    ["-compare {in id {B A B}}", "key id: id in {A B}", []],
    ["-compare {= serial 7}", "index serial: serial = 7", []],
    ["-compare {{= size 7} {= id A}}", "key id: id = A", ["size = 7"]],
    ["-compare {= size 7}", "index size: size = 7", []],
    ["-compare {{> size 1} {<= size 9}}", "index size: 1 < size <= 9", []],
    ["-compare {range size 1 9}", "index size: 1 <= size < 9", []],
    ["-compare {{>= size 4} {<= size 4}}", "index size: size = 4", []],
    ["-compare {in size {3 1 2 1}}", "index size: size in {1 2 3}", []],
    ["-compare {{in size {3 1 2}} {> size 1} {!= size 3}}", "index size: size = 2", []],
    ["-compare {null weight}", "index weight: weight null", []],
    ["-compare {match_case name UAL*}", "index name: UAL <= name < UAM", []],
    ["-compare {match_case name UAL}", "index name: name = UAL", []],
    ["-compare {match name 12*}", "index name: 12 <= name < 13", []],
    ["-compare {match name 12*4}", "index name: 12 <= name < 13", ["name match_case 12*4"]],
    ["-compare {match name 1a}", "index name: name in {1A 1a}", []],
    ["-compare {match name a1*}", "index name: A1 <= name < A2; a1 <= name < a2", []],
    ["-compare {match_case name 1\\}", String.raw`index name: name = "1\\"`, []],
    ["-compare {match_case name 1\\**}", "index name: 1* <= name < 1+", []],
    ["-compare {match_case note ab*}", "scan", ["note match_case ab*"]],
    ["-compare {match name *ab}", "scan", ["name match *ab"]],
    ["-compare {= flag true}", "scan", ["flag = true"]],
    ["-compare {!= size 4}", "scan", ["size != 4"]],
    ["-compare {= grade mid}", "index grade: grade = mid", []],
    ["-compare {true size}", "scan", ["size != 0"]],
  ];
  for (const [query, expected, left] of cases) {
    test(query || "everything", () => {
      const made = planOf(query);
      expect(route(made)).toBe(expected);
      expect(residual(made)).toEqual([...left]);
    });
  }

  test("the route with the fewest rows is taken, whichever clause is first", () => {
    const [, , name, size] = Things.columns;
    if (name === undefined || size === undefined) throw new Error("no columns");
    const point = wordsText(encodeKey(size, 5));
    const few = measured(100_000, { [`3 ${point} ${point}`]: 10 });
    const low = wordsText(encodeKey(name, new Uint8Array([65])));
    const fewer = measured(100_000, {
      [`3 ${point} ${point}`]: 500,
      [`2 ${low} ${low}`]: 3,
    });
    for (const query of ["-compare {{= size 5} {= name A}}", "-compare {{= name A} {= size 5}}"]) {
      expect(route(planOf(query, few))).toBe("index size: size = 5");
      expect(route(planOf(query, fewer))).toBe("index name: name = A");
    }
  });

  test("a range of most rows is scanned", () => {
    const most = { rowCount: () => 100_000, estimateRange: () => 60_000 };
    expect(route(planOf("-compare {> size 5}", most))).toBe("scan");
  });

  test("an empty table does not make scans look good", () => {
    const empty = { rowCount: () => 0, estimateRange: () => 0 };
    expect(route(planOf("-compare {= size $s}", empty))).toBe("index size: size = $s");
  });
});

describe("planner: what never or always holds", () => {
  const never = [
    "-compare {= size 1.5}",
    "-compare {> size 3e9}",
    "-compare {{> size 5} {< size 5}}",
    "-compare {{= size 5} {= size 6}}",
    "-compare {{null weight} {> weight 1}}",
    "-compare {{null weight} {notnull weight}}",
    "-compare {null size}",
    "-compare {in size {}}",
    "-compare {range size 9 1}",
    "-compare {= name abcdefghijk}",
    "-compare {match_case name abcdefghijk*}",
    "-compare {notmatch name *}",
    "-or {}",
    "-or {{= size 1.5} {null size}}",
  ];
  for (const query of never) {
    test(`${query} reads nothing`, () => {
      expect(route(planOf(query))).toBe("nothing");
      expect(encodePlan(planOf(query)).bytes.length).toBe(80);
    });
  }

  const always = [
    "-compare {< size 3e9}",
    "-compare {notnull size}",
    "-compare {match note *}",
    "-compare {!= size 1.5}",
    "-or {{} {= size 1}}",
    "-or {{> size -3e9} {= size 1}}",
  ];
  for (const query of always) {
    test(`${query} tests nothing`, () => {
      const made = planOf(query);
      expect(route(made)).toBe("scan");
      expect(made.residual).toEqual([]);
      expect(made.groups).toEqual([]);
    });
  }

  test("on a nullable column they test for null", () => {
    expect(residual(planOf("-compare {!= ratio 1e300}"))).toEqual(["ratio != 1e+300"]);
    expect(residual(planOf("-compare {< ratio inf} -compare {notnull ratio}"))).toEqual([
      "ratio < Infinity",
    ]);
    expect(route(planOf("-compare {< weight 1e30}"))).toBe("index weight: weight notnull");
  });
});

describe("planner: values by their column", () => {
  const cases: readonly (readonly [clause: string, term: string])[] = [
    ["> size 1.5", "size > 1"],
    [">= size -1.5", "size > -2"],
    ["< size 1.5", "size <= 1"],
    ["<= size 1e2", "size <= 100"],
    ["= weight 1.25", "weight = 1.25"],
    ["> weight 1.255", "weight > 1.25"],
    ["< weight -1.255", "weight <= -1.26"],
    ["= weight 0012.50", "weight = 12.5"],
    ["> name abcdefghijkl", "name > abcdefghij"],
    ["= grade high", "grade = high"],
    ["> ratio 0.1", `ratio > ${Math.fround(0.1)}`],
    ["> serial 4294967295", "serial > 4294967295"],
  ];
  for (const [clause, term] of cases) {
    test(clause, () => {
      const made = planOf(`-compare {${clause}}`);
      const shown = made.route.kind === "arms" ? route(made).replace(/^\w+ \w+: /, "") : "";
      expect([shown, ...residual(made)]).toContain(term);
    });
  }

  test("numbers of the object form keep their decimals", () => {
    const shown = (value: number): string => route(planOf({ compare: [">", "weight", value] }));
    expect(shown(1.255)).toBe("index weight: weight > 1.25");
    expect(shown(-1.255)).toBe("index weight: weight > -1.26");
    expect(shown(0.29)).toBe("index weight: weight > 0.29");
    expect(shown(1e22)).toBe("nothing");
  });

  test("more than three letters of a folded pattern are narrowed by index, then tested", () => {
    const made = planOf("-compare {match name abcd*}");
    const arm = made.route.kind === "arms" ? made.route.arms[0] : undefined;
    expect(arm?.clauses.map(describeTerm)).toContain("aBC <= name < aBD");
    expect(arm?.clauses.length).toBe(8);
    expect(residual(made)).toEqual(["name match abcd*"]);
  });

  const mistakes: readonly (readonly [query: string, code: string, part: string])[] = [
    ["-compare {= siez 1}", "UNKNOWN_FIELD", 'did you mean "size"?'],
    ["-sort {-wieght}", "UNKNOWN_FIELD", 'did you mean "weight"?'],
    ["-fields {nmae}", "UNKNOWN_FIELD", 'did you mean "name"?'],
    ["-compare {= size large}", "INVALID_VALUE", "expected a number"],
    ["-compare {= size {}}", "INVALID_VALUE", "expected a number"],
    ["-compare {= size 0x10}", "INVALID_VALUE", "expected a number"],
    ["-compare {= ratio nan}", "INVALID_VALUE", "expected a number"],
    ["-compare {= flag maybe}", "INVALID_VALUE", "expected true or false"],
    ["-compare {= grade hihg}", "INVALID_VALUE", "did you mean high?"],
    ["-compare {match size 1*}", "INVALID_VALUE", "patterns are for string columns"],
    ["-compare {true name}", "INVALID_VALUE", "a bool or a number"],
    ["-compare {in size {1 x}}", "INVALID_VALUE", "expected a number"],
  ];
  for (const [query, code, part] of mistakes) {
    test(query, () => {
      let caught: unknown;
      try {
        planOf(query);
      } catch (error) {
        caught = error;
      }
      if (!(caught instanceof AerostoreError)) throw new Error("no error");
      expect(String(caught.code)).toBe(code);
      expect(caught.message).toContain(part);
      expect(caught.table).toBe("things");
      expect(caught.column).toBeString();
    });
  }

  test("an unknown field says where it stands, also by alias", () => {
    try {
      plan(parseStapi("-compare {> alttude 5}"), FlightState, measured());
      throw new Error("no error");
    } catch (error) {
      expect(error).toMatchObject({ code: "UNKNOWN_FIELD", position: 12, column: "alttude" });
    }
    const made = plan(parseStapi("-compare {> alt 5} -sort ident"), FlightState, measured());
    expect(route(made)).toBe("index altitude: altitude > 5");
    expect(made.order.map(({ column }) => column.name)).toEqual(["flight_id"]);
  });
});

describe("planner: -or", () => {
  test("groups with routes become a union", () => {
    const made = planOf("-or {{= size 1} {= name A}} -compare {= flag 1}");
    expect(route(made)).toBe("index name: name = A | index size: size = 1");
    expect(residual(made)).toEqual(["flag = true"]);
    expect(made.groups).toEqual([]);
  });

  test("a group keeps what its route does not answer", () => {
    const made = planOf("-or {{{= size 1} {= flag 1}} {= name A}}");
    expect(route(made)).toBe("index name: name = A | index size: size = 1");
    expect(made.groups.map((group) => group.map(describeTerm))).toEqual([
      ["name = A"],
      ["size = 1", "flag = true"],
    ]);
  });

  test("equalities of one column are one list, which narrows with the others", () => {
    expect(route(planOf("-or {{= size 1} {in size {3 2}}}"))).toBe("index size: size in {1 2 3}");
    const made = planOf("-or {{= size 1} {in size {3 2}}} -compare {> size 1}");
    expect(route(made)).toBe("index size: size in {2 3}");
  });

  test("ranges of one index are one arm, which can be walked", () => {
    const made = planOf("-or {{< size 1} {> size 9}} -sort -size -limit 5");
    expect(route(made)).toBe("index size: size < 1; size > 9 (walk)");
  });

  test("a group without a route makes a scan", () => {
    expect(route(planOf("-or {{= size 1} {= flag 1}}"))).toBe("scan");
  });

  test("one group is like the compare list, equal groups are one", () => {
    expect(route(planOf("-or {{= size 1}}"))).toBe("index size: size = 1");
    expect(route(planOf("-or {{= size 1} {= size 1.0} {= size 1e0}}"))).toBe(
      "index size: size = 1",
    );
  });
});

describe("planner: order", () => {
  const orderOf = (made: Plan): string =>
    made.order.map(({ column, descending }) => (descending ? "-" : "") + column.name).join(" ");
  const cases: readonly (readonly [query: string, how: string, order: string])[] = [
    ["-sort size -limit 10", "index walk", "size"],
    ["-sort {-size name} -limit 10", "index walk", "-size name"],
    ["-sort weight -limit 10", "index walk", "weight"],
    ["-sort flag -limit 10", "top-N", "flag"],
    ["-sort flag", "sort", "flag"],
    ["-sort {flag id size}", "sort", "flag id"],
    ["-sort {serial size} -limit 5", "index walk", "serial"],
    ["-compare {= size 4} -sort {size flag}", "sort", "flag"],
    ["-compare {= size 4} -sort size", "sort", "id"],
    ["-compare {= size 4} -sort size -desc", "sort", "-id"],
    ["-compare {= id A} -sort size", "none", ""],
    ["-compare {= serial 1} -sort size", "none", ""],
    ["-compare {> size 4} -sort {size -flag}", "index walk", "size -flag"],
    ["-sort {size -flag} -desc -limit 1", "index walk", "-size flag"],
    ["-sort size -countOnly 1", "none", ""],
    ["-desc", "none", ""],
  ];
  for (const [query, how, order] of cases) {
    test(query, () => {
      const made = planOf(query);
      expect(orderOf(made)).toBe(order);
      expect(String(explain(made).order.how)).toBe(how);
      expect(made.keyDescending).toBe(query.includes("-desc"));
    });
  }

  test("a walk with a limit beats a smaller range that must be sorted, until that is tiny", () => {
    const query = "-compare {= name A} -sort size -limit 10";
    const rows = (count: number): Cardinality => ({
      rowCount: () => 1_000_000,
      estimateRange: (column) => (column === 2 ? count : 1_000_000),
    });
    expect(route(planOf(query, rows(900_000)))).toContain("(walk)");
    expect(route(planOf(query, rows(50)))).toBe("index name: name = A");
  });
});

describe("planner: residual", () => {
  test("the cheap and selective first", () => {
    const made = planOf(
      "-compare {{match note *x*} {= flag 1} {= ratio 0.5} {notmatch note q*} {null ratio}}",
    );
    expect(route(made)).toBe("nothing");
    const left = residual(
      planOf("-compare {{match note *x*} {= flag 1} {= ratio 0.5} {notmatch note q*}}"),
    );
    expect(left).toEqual(["ratio = 0.5", "flag = true", "note match *x*", "note notmatch q*"]);
  });
});

describe("planner: explain", () => {
  test("says route, bounds, residual, order, window, estimates and what was rejected", () => {
    const made = planOf(
      "-compare {{> size 5} {= flag 1}} -sort -size -limit 10 -offset 2 -fields {id size}",
    );
    const steps = { plan: 0.1, read: 0.2, test: 0.01, sort: 0, copy: 0.05 };
    const explained = explain(made, { examined: 30, returned: 10, elapsedMs: 0.5, steps });
    expect(explained).toMatchObject({
      table: "things",
      route: "index",
      arms: [{ by: "index", column: "size", bounds: ["size > 5"], rows: 1_000 }],
      residual: ["flag = true"],
      order: { by: ["-size"], how: "index walk" },
      offset: 2,
      limit: 10,
      fields: ["id", "size"],
      estimates: { tableRows: 100_000, examined: 24, matching: 500 },
      measured: { examined: 30, returned: 10 },
    });
    const text = String(explained);
    for (const part of ["search things by index", "size > 5", "keep flag = true", "index walk"]) {
      expect(text).toContain(part);
    }
    expect(text).toContain("measured: 30 rows examined, 10 returned, 0.500 ms");
    expect(text).toContain("plan 0.100, read 0.200, test 0.010, sort 0.000, copy 0.050");
    expect(JSON.parse(JSON.stringify(explained))).toMatchObject({ route: "index" });
  });

  test("shows parameters by name and long lists in part", () => {
    const made = planOf(
      `-compare {{in size {${Array.from({ length: 9 }, (_, i) => i).join(" ")}}}}`,
    );
    expect(route(made)).toBe("index size: size in {0 1 2 3 4 and 4 more}");
    expect(String(explain(planOf("-compare {= size $s} -limit $n")))).toContain("stop after $n");
  });
});

describe("planner: parameters", () => {
  test("binding wants every name, and no other", () => {
    const encoded = encodePlan(planOf("-compare {{= size $size} {match name $pattern}} -limit $n"));
    const good = { size: 1, pattern: "a*", n: 5 };
    bindParameters(encoded, good);
    const mistakes: readonly (readonly [Record<string, unknown>, string])[] = [
      [{ ...good, sise: 1 }, "did you mean $size?"],
      [{ pattern: "a", n: 1 }, "the parameter $size has no value"],
      [{ ...good, n: -1 }, "the limit $n is a whole number from 0"],
      [{ ...good, size: null }, "use the operators null and notnull"],
      [{ ...good, size: "x" }, "expected a number"],
      [{ ...good, size: [1] }, "cannot be an array"],
      [{ ...good, pattern: true }, "a pattern"],
      [{ ...good, pattern: "x".repeat(5_000) }, "at most 4096 bytes"],
    ];
    for (const [values, part] of mistakes) {
      expect(() => bindParameters(encoded, values)).toThrow(part);
    }
  });

  test("a text parameter leaves nothing of a longer one before it", () => {
    const query = "-compare {= note $n}";
    const bytesOf = (...values: readonly string[]): Buffer => {
      const encoded = encodePlan(planOf(query));
      for (const n of values) bindParameters(encoded, { n });
      const { view } = encoded;
      const textAt = encoded.bytes.length - 300;
      const size = view.getUint32(textAt - 16 + 4, true);
      return Buffer.from(encoded.bytes.slice(textAt, textAt + size));
    };
    expect(bytesOf("a long one", "ab").toString()).toBe("ab");
  });
});

describe("key words", () => {
  test("are those of the engine (zig/row/key.zig)", () => {
    const column = (name: string): (typeof Things.columns)[number] => {
      const found = Things.find(name);
      if (found === undefined) throw new Error(name);
      return found;
    };
    const text = new Uint8Array([0x41, 0x42]);
    expect([...encodeKey(column("size"), -1)]).toEqual([0xffff_ffff, 0x7fff_ffff]);
    expect([...encodeKey(column("size"), 5)]).toEqual([5, 0x8000_0000]);
    expect([...encodeKey(column("serial"), 7)]).toEqual([7, 0]);
    expect([...encodeKey(column("weight"), 2n ** 62n)]).toEqual([0, 0, 0, 0xc000_0000]);
    expect([...encodeNullKey(column("weight"))]).toEqual([1, 0, 0, 0]);
    expect([...encodeKey(column("ratio"), -1.5)]).toEqual([0xffff_ffff, 0x4007_ffff]);
    expect([...encodeKey(column("ratio"), 1.5)]).toEqual([0, 0xbff8_0000]);
    expect([...encodeKey(column("name"), text)]).toEqual([0, 0x4142_0000, 2, 0]);
    expect([...encodeNullKey(column("name"))]).toEqual([...new Array(4)].map(() => 0xffff_ffff));
  });
});
