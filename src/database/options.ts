/** Options of calls: one that is not known is a mistake, and is told with the nearest name. */
import { nearestName } from "../schema/nearest.ts";
import { describeValue } from "../schema/value.ts";

/** **Throws** `TypeError` for an option of `call` that is not among the `known` ones. */
export function checkOptions(call: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`the options of ${call} are an object, not ${describeValue(options)}`);
  }
  for (const name in options) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
    throw new TypeError(
      `${call} has no option ${JSON.stringify(name)}${hint} (there are ${known.join(", ")})`,
    );
  }
}
