/**
 * The parser on anything: a query or an `AerostoreError`, in linear time. Time is not measured: the
 * number of words that the lexer makes bounds its work, and deep and long inputs must simply pass.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { AerostoreError } from "../../src/errors.ts";
import { assumedCardinality } from "../../src/query/plan/cardinality.ts";
import { encodePlan } from "../../src/query/plan/encode.ts";
import { plan } from "../../src/query/plan/planner.ts";
import { parseStapi } from "../../src/query/parse/stapi.ts";
import { FlightState } from "../../src/flight/flight-state.ts";

const runs = Number(process.env["AEROSTORE_PROPERTY_RUNS"] ?? 20_000);
const seedText = process.env["AEROSTORE_PROPERTY_SEED"];
const options = { numRuns: runs, ...(seedText === undefined ? {} : { seed: Number(seedText) }) };
const cardinality = assumedCardinality(10_000);

/** Parses, plans and encodes; whatever goes wrong must be an error of ours. */
function survives(query: unknown): boolean {
  try {
    encodePlan(plan(parseStapi(query), FlightState, cardinality));
    return true;
  } catch (error) {
    if (!(error instanceof AerostoreError)) throw error;
    expect(["PARSE_ERROR", "UNKNOWN_FIELD", "INVALID_VALUE"]).toContain(error.code);
    expect(error.message.length).toBeLessThan(1_000);
    return false;
  }
}

const operators = ["=", "==", "!=", "<>", "<", "<=", ">", ">=", "in", "range", "null", "notnull"];
const tokens = [
  ...["-compare", "-or", "-sort", "-asc", "-desc", "-limit", "-offset", "-fields", "-countOnly"],
  ...["-delete", "-update", "match", "notmatch", "match_case", "notmatch_case", "true", "false"],
  ...operators,
  ...["{", "}", "{", "}", "{}", '"', '"', "\\", "\\u0041", "$x", "$", "{ {", "} }", " ", "\n"],
  ...["flight_id", "ident", "altitude", "alt", "lat", "gs", "-altitude", "nothing"],
  ...["1", "-1", "1.5", "1e400", "99999999999999999999", "UAL*", "[a-", "\ud800", "é", "0x10"],
];

test("stapi: a soup of tokens is a query or an error of ours", () => {
  const soup = fc
    .array(fc.tuple(fc.constantFrom(...tokens), fc.constantFrom(" ", " ", "")), { maxLength: 24 })
    .map((parts) => parts.flat().join(""));
  fc.assert(
    fc.property(soup, (text) => {
      survives(text);
    }),
    options,
  );
});

test("stapi: well-formed shapes with any words", () => {
  const word = fc.constantFrom(...tokens.filter((token) => /^[^{}"\\\s]+$/.test(token)));
  const clause = fc.array(word, { maxLength: 5 }).map((words) => `{${words.join(" ")}}`);
  const list = fc.array(clause, { maxLength: 3 }).map((clauses) => `{${clauses.join(" ")}}`);
  const option = fc.oneof(
    list.map((text) => `-compare ${text}`),
    fc.array(list, { maxLength: 3 }).map((lists) => `-or {${lists.join(" ")}}`),
    fc.array(word, { maxLength: 3 }).map((words) => `-sort {${words.join(" ")}}`),
    word.map((text) => `-limit ${text}`),
  );
  let good = 0;
  fc.assert(
    fc.property(fc.array(option, { maxLength: 4 }), (parts) => {
      if (survives(parts.join(" "))) good++;
    }),
    options,
  );
  expect(good).toBeGreaterThan(0);
});

test("stapi: any JavaScript value is a query, an error of ours or a TypeError", () => {
  const leaf = fc.oneof(
    fc.constantFrom<unknown>(...tokens, ...operators, null, undefined, Number.NaN, -0, 5n, true),
    fc.uint8Array({ maxLength: 3 }),
    fc.constant({ value: "$x" }),
  );
  const tree = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc.array(tie("tree"), { maxLength: 4 }),
    ),
  })).tree;
  const names = [
    "compare",
    "or",
    "sort",
    "limit",
    "offset",
    "fields",
    "countOnly",
    "desc",
    "update",
  ];
  const object = fc.dictionary(fc.constantFrom(...names, "x", "__proto__"), tree, { maxKeys: 4 });
  fc.assert(
    fc.property(fc.oneof(tree, object), (query) => {
      try {
        survives(query);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        expect(typeof query !== "object" || query === null).toBeTrue();
      }
    }),
    options,
  );
});

test("stapi: a million braces, quotes or words neither overflow nor hang", () => {
  const many = 1_000_000;
  const inputs = [
    "{".repeat(many),
    "}".repeat(many),
    '"'.repeat(many),
    "-compare ".repeat(many / 10),
    `-compare ${"{".repeat(many)}${"}".repeat(many)}`,
    `-sort {${"altitude ".repeat(many / 10)}}`,
    `-compare {in altitude {${"1 ".repeat(many / 5)}}}`,
    `-compare {${"{> altitude 1} ".repeat(many / 20)}}`,
    `-compare {match flight_id ${"*a".repeat(2_000)}}`,
    `-compare {= altitude ${"9".repeat(many)}}`,
    `-compare {= altitude 1e${"9".repeat(many)}}`,
    `-${"x".repeat(many)}`,
    `-compare {= ${"x".repeat(many)} 1}`,
    `-compare {= flight_id "${"\\".repeat(many)}"}`,
  ];
  for (const input of inputs) survives(input);
  expect(survives(inputs[6])).toBeTrue();
  expect(survives(inputs[7])).toBeTrue();
});

test("stapi: many options, groups and parameters take no more than their number", () => {
  const list = (count: number, item: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => item(index)).join(" ");
  const inputs = [
    list(100_000, () => "-compare {> altitude 1}"),
    `-or {${list(50_000, (n) => `{range altitude ${2 * n} ${2 * n + 1}}`)}}`,
    `-or {${list(10_000, (n) => `{{= lat ${n}} {= gs ${n}}}`)}}`,
    `-compare {${list(10_000, (n) => `{> altitude $p${n}}`)}}`,
  ];
  for (const input of inputs) expect(survives(input)).toBeTrue();
});
