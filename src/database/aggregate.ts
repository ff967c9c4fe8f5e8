/** Aggregations that are planned once and run many times, with other values each time. */
import type { Parameters } from "../query/plan/encode.ts";
import { takeParameters } from "../query/parse/parameter.ts";
import type { KeptSearch } from "../search/plan-cache.ts";
import type { Group } from "../search/groups.ts";
import type { TableBinding } from "../session/catalog.ts";
import type { Scope } from "./scope.ts";

/** An aggregation with parameters. */
export class PreparedAggregate<G = Group> {
  readonly #scope: Scope;
  readonly #binding: TableBinding;
  readonly #kept: KeptSearch;

  /** For `Table.prepareAggregate`. */
  constructor(scope: Scope, binding: TableBinding, query: unknown) {
    this.#scope = scope;
    this.#binding = binding;
    this.#kept = scope.handle.searches.plans.keepGroups(binding, query);
  }

  /**
   * All groups. **Throws** `INVALID_VALUE` for a value that is missing, unknown or does not fit its
   * column, and what `Table.aggregate` throws.
   */
  all(parameters?: Parameters): readonly G[];
  all(parameters: Parameters = {}): unknown {
    const values = takeParameters(parameters);
    const tx = this.#scope.use();
    const { searches } = this.#scope.handle;
    const ready = searches.plans.bind(this.#binding, this.#kept, values);
    return searches.groups(this.#binding, ready, tx);
  }
}
