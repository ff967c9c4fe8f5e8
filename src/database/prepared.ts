/** Searches that are planned once and run many times, with other values each time. */
import type { TableBinding } from "../session/catalog.ts";
import { takeParameters } from "../query/parse/parameter.ts";
import type { Parameters } from "../query/plan/encode.ts";
import type { Result } from "../search/result.ts";
import type { DynamicShape, TableDefinition, TableShape } from "../schema/table.ts";
import type { Scope } from "./scope.ts";
import type { KeptSearch } from "../search/plan-cache.ts";

/** Values for parameters, by name; an array where the name is in the list of an `in`. */
export type { Parameters };

const noParameters: Parameters = {};

/** Reads the values before anything else: a getter may use the database, and this search. */
function take(parameters: Parameters): Parameters {
  return parameters === noParameters ? parameters : takeParameters(parameters);
}

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

  /** @internal For `Table.prepare`. */
  constructor(scope: Scope, binding: TableBinding, definition: TableDefinition<S>, query: unknown) {
    this.#scope = scope;
    this.#binding = binding;
    this.#definition = definition;
    this.#query = query;
    this.#rows = scope.handle.searches.plans.keep(binding, query, false);
  }

  /** Returns the rows found; they are read when they are asked for. */
  search(parameters: Parameters = noParameters): Result<S["row"]> {
    const values = take(parameters);
    this.#scope.use();
    const { searches } = this.#scope.handle;
    const ready = searches.plans.bind(this.#binding, this.#rows, values);
    return searches.rows(this.#definition, this.#binding, ready, this.#scope);
  }

  /** All rows found. */
  all(parameters: Parameters = noParameters): S["row"][] {
    const values = take(parameters);
    const tx = this.#scope.use();
    const { searches } = this.#scope.handle;
    const ready = searches.plans.bind(this.#binding, this.#rows, values);
    return searches.all(this.#definition, this.#binding, ready, tx);
  }

  /** The first row found. No more is read than that takes, whatever the limit of the query. */
  first(parameters: Parameters = noParameters): S["row"] | undefined {
    const values = take(parameters);
    const tx = this.#scope.use();
    const { searches } = this.#scope.handle;
    this.#first ??= searches.plans.keepFirst(this.#binding, this.#query);
    const ready = searches.plans.bind(this.#binding, this.#first, values);
    return searches.first(this.#definition, this.#binding, ready, tx);
  }

  /** How many rows are found, after offset and limit. */
  count(parameters: Parameters = noParameters): number {
    const values = take(parameters);
    const tx = this.#scope.use();
    const { searches } = this.#scope.handle;
    this.#counting ??= searches.plans.keep(this.#binding, this.#query, true);
    const ready = searches.plans.bind(this.#binding, this.#counting, values);
    return searches.count(this.#binding, ready, tx);
  }
}
