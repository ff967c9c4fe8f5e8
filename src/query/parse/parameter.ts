/** Parameters of queries in object form, where every string is data, and the values for them. */
import { plainOf } from "../../schema/plain-value.ts";

/** A value that is bound when the query runs. Get one from `param`. */
export class Parameter {
  readonly name: string;
  readonly #isParameter = true;

  /** For `param`. */
  constructor(name: string) {
    this.name = name;
  }

  /** Whether `value` is a parameter, which no data can pretend to be. */
  static is(value: unknown): value is Parameter {
    return typeof value === "object" && value !== null && #isParameter in value;
  }
}

const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

/**
 * A parameter of a query in object form: `{ compare: [["=", "symbol", param("symbol")]] }`. In a
 * text it is written `$symbol`.
 *
 * **Throws** `RangeError` for a name that is not a letter or `_` and letters, digits or `_`.
 */
export function param(name: string): Parameter {
  if (typeof name === "string" && namePattern.test(name)) return new Parameter(name);
  throw new RangeError(
    `the name of a parameter has a letter or _, then letters, digits and _, at most 63 in all; ` +
      `not ${JSON.stringify(name)}`,
  );
}

/**
 * Values for parameters, each read once: what runs on reading them has run before a plan is written
 * to, which every use of a prepared search shares.
 */
export function takeParameters(
  parameters: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const taken: Record<string, unknown> = { ...parameters };
  for (const name in taken) {
    const value = taken[name];
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    taken[name] = plainOf(value);
  }
  return taken;
}
