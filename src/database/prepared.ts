/** Searches that are planned once and run many times, with other values each time. */
import type { TableBinding } from "../session/catalog.ts";
import type { Parameters } from "../query/plan/encode.ts";
import type { Result } from "../search/result.ts";
import type { DynamicShape, TableDefinition, TableShape } from "../schema/table.ts";
import type { Scope } from "./scope.ts";
import type { KeptSearch } from "../search/plan-cache.ts";
import { executeSearch } from "./statement.ts";

/** Values for `$name`, by name; an array where the name is in the list of an `in`. */
export type { Parameters };

/**
 * A query with parameters. Every method **throws** `INVALID_VALUE` for a value that is missing,
 * unknown or does not fit its column, and what `Table.search` throws.
 */
export class Prepared<S extends TableShape = DynamicShape> {
  readonly #scope: Scope;
  readonly #binding: TableBinding;
  readonly #definition: TableDefinition<S>;
  readonly #rows: KeptSearch;
  readonly #query: unknown;
  #counting: KeptSearch | undefined;
  #first: KeptSearch | undefined;

  /** For `Table.prepare`. */
  constructor(scope: Scope, binding: TableBinding, definition: TableDefinition<S>, query: unknown) {
    this.#scope = scope;
    this.#binding = binding;
    this.#definition = definition;
    this.#query = query;
    this.#rows = scope.handle.searches.plans.keep(binding, query, false);
  }

  /** The rows found, read when somebody looks. */
  search(parameters: Parameters = {}): Result<S["row"]> {
    this.#scope.use();
    const { searches } = this.#scope.handle;
    const ready = searches.plans.bind(this.#binding, this.#rows, parameters);
    return executeSearch(this.#scope, this.#binding, this.#definition, ready);
  }

  /** All rows found. */
  all(parameters: Parameters = {}): S["row"][] {
    const tx = this.#scope.use();
    if (this.#rows.query.action.kind !== "read") return this.search(parameters).toArray();
    const { searches } = this.#scope.handle;
    const ready = searches.plans.bind(this.#binding, this.#rows, parameters);
    return searches.all(this.#definition, this.#binding, ready, tx);
  }

  /** The first row found. No more is read than that takes, whatever the limit of the query. */
  first(parameters: Parameters = {}): S["row"] | undefined {
    const tx = this.#scope.use();
    if (this.#rows.query.action.kind !== "read") return this.search(parameters).first();
    const { searches } = this.#scope.handle;
    this.#first ??= searches.plans.keepFirst(this.#binding, this.#query);
    const ready = searches.plans.bind(this.#binding, this.#first, parameters);
    return searches.first(this.#definition, this.#binding, ready, tx);
  }

  /** How many rows are found, after offset and limit. */
  count(parameters: Parameters = {}): number {
    const tx = this.#scope.use();
    const { searches } = this.#scope.handle;
    this.#counting ??= searches.plans.keep(this.#binding, this.#query, true);
    const ready = searches.plans.bind(this.#binding, this.#counting, parameters);
    return searches.count(this.#binding, ready, tx);
  }
}
