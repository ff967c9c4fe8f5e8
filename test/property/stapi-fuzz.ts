/**
 * The parser, the planner and the encoder on very many inputs: soups of tokens, and queries that
 * are right but for a few characters. Each is a plan or an error of ours.
 */
import { AerostoreError } from "../../src/errors.ts";
import { assumedCardinality } from "../../src/query/plan/cardinality.ts";
import { encodePlan } from "../../src/query/plan/encode.ts";
import { plan } from "../../src/query/plan/planner.ts";
import { parseStapi } from "../../src/query/parse/stapi.ts";
import { FlightState } from "../../src/flight/flight-state.ts";
import { Random } from "../support/random.ts";

export interface FuzzReport {
  /** Each with its input. */
  readonly problems: readonly string[];
  readonly inputs: number;
  /** Inputs that became a plan. */
  readonly plans: number;
}

const tokens = [
  ...["-compare", "-or", "-sort", "-asc", "-desc", "-limit", "-offset", "-fields", "-countOnly"],
  ...["-delete", "-update", "match", "notmatch", "match_case", "notmatch_case", "true", "false"],
  ...["=", "==", "!=", "<>", "<", "<=", ">", ">=", "in", "range", "null", "notnull", "IN"],
  ...["{", "}", "{", "}", "{}", '"', '"', "\\", "\\u0041", "$x", "$", "{ {", "} }", " ", "\n"],
  ...["flight_id", "ident", "altitude", "alt", "lat", "gs", "-altitude", "nothing", "updated_at"],
  ...["1", "-1", "1.5", "1e400", "99999999999999999999", "UAL*", "[a-", "\ud800", "é", "0x10"],
];

const queries = [
  "-compare {{> altitude 30000} {match flight_id UAL*}} -sort {-altitude flight_id} -limit 50",
  "-compare {{= ident UAL1} {in alt {1 2 $x}}} -or {{{null gs}} {{range lat -1.5 40} {true gs}}}",
  "-fields {flight_id lat lon} -sort -updated_at -desc -offset 10 -limit 5 -countOnly 1",
  '-compare {match_case flight_id "U\\u0041[a-z]?*"} -update {alt 1 gs {}}',
  "-compare {notmatch ident *x*} -delete 1 -limit $n",
];

const problemsMax = 5;
const cardinality = assumedCardinality(10_000);
const codes: ReadonlySet<string> = new Set(["PARSE_ERROR", "UNKNOWN_FIELD", "INVALID_VALUE"]);

export function runFuzz(options: { readonly seed: number; readonly inputs: number }): FuzzReport {
  const random = new Random(options.seed);
  const problems: string[] = [];
  let plans = 0;
  for (let index = 0; index < options.inputs && problems.length < problemsMax; index++) {
    const input = random.oneIn(2) ? soup(random) : mutated(random);
    try {
      encodePlan(plan(parseStapi(input), FlightState, cardinality));
      plans++;
    } catch (error) {
      if (error instanceof AerostoreError && codes.has(error.code)) continue;
      problems.push(`${JSON.stringify(input)}: ${error}`);
    }
  }
  return { problems, inputs: options.inputs, plans };
}

function soup(random: Random): string {
  let text = "";
  for (let count = random.below(16); count > 0; count--) {
    text += random.pick(tokens);
    if (!random.oneIn(3)) text += " ";
  }
  return text;
}

function mutated(random: Random): string {
  let text = random.pick(queries);
  for (let count = random.below(4); count > 0; count--) {
    const at = random.below(text.length + 1);
    const removed = random.below(4);
    const added = random.oneIn(2) ? random.pick(tokens) : String.fromCharCode(random.below(300));
    text = text.slice(0, at) + added + text.slice(at + removed);
  }
  return text;
}
