/**
 * What queries have in common that differ in their values only, so that they can share a plan: the
 * values of comparisons and ranges become parameters. Those of `in` and of patterns stay, for they
 * say what can be looked up.
 */
import type { After, Clause, Count, Name, Operand, Query, RawValue } from "../query.ts";

export interface Shape {
  /** Equal for queries of one shape, and for no others. */
  readonly key: string;
  /** The query with parameters; their names are numbers, which no other parameter has. */
  readonly query: Query;
  readonly parameters: Readonly<Record<string, RawValue | null>>;
}

/** The shape of `query`; `undefined` for what is planned by itself. Linear. */
export function shapeOf(query: Query): Shape | undefined {
  if (query.action.kind !== "read") return undefined;
  const lifter = new Lifter();
  const compare = lifter.clauses(query.compare);
  // No group at all (`-or {}`) is no row, and another query than one without `-or`.
  if (query.or !== undefined) lifter.note("/");
  const or = query.or?.map((group) => lifter.clauses(group));
  if (!lifter.isShared) return undefined;
  for (const { column, descending } of query.sort) {
    lifter.note(descending ? "-" : "+");
    lifter.name(column);
  }
  lifter.note(`|${query.reverse}${query.countOnly}`);
  lifter.count(query.limit);
  lifter.count(query.offset);
  const after = lifter.after(query.after);
  for (const field of query.fields ?? []) lifter.name(field);
  if (query.fields !== undefined) lifter.note("f");
  const { key, parameters } = lifter;
  return { key, query: { ...query, compare, or, after }, parameters };
}

class Lifter {
  key = "";
  isShared = true;
  readonly parameters: Record<string, RawValue | null> = {};
  #count = 0;

  note(text: string): void {
    this.key += text;
  }

  /** With its length, so that no text can look like another part of the key. */
  name({ text }: Name): void {
    this.key += `${text.length}:${text}`;
  }

  count(count: Count): void {
    this.key += count.kind === "count" ? `,${count.count}` : `$${count.name}`;
  }

  clauses(clauses: readonly Clause[]): readonly Clause[] {
    this.key += "{";
    return clauses.map((clause) => this.#clause(clause));
  }

  #clause(clause: Clause): Clause {
    this.key += `;${clause.kind}`;
    this.name(clause.column);
    switch (clause.kind) {
      case "compare":
        this.key += clause.operator;
        return { ...clause, value: this.#lift(clause.value) };
      case "range":
        return { ...clause, low: this.#lift(clause.low), high: this.#lift(clause.high) };
      case "in":
        for (const value of clause.values) this.#keep(value);
        return clause;
      case "match":
        this.key += clause.operator;
        this.#keep(clause.pattern);
        return clause;
      case "null":
      case "truth":
        this.key += clause.expected;
        return clause;
    }
  }

  after(after: After | undefined): After | undefined {
    if (after === undefined) return undefined;
    this.key += `a${after.kind}`;
    if (after.kind === "values") {
      return { ...after, values: after.values.map((each) => this.#lift(each)) };
    }
    const values = after.values.map(([text, operand]): readonly [string, Operand] => {
      this.name({ text, position: undefined });
      return [text, this.#lift(operand)];
    });
    return { ...after, values };
  }

  #lift(operand: Operand | null): Operand {
    if (operand?.kind === "parameter") {
      this.#keep(operand);
      return operand;
    }
    const name = String(this.#count++);
    this.parameters[name] = operand?.value ?? null;
    this.key += "?";
    return { kind: "parameter", name };
  }

  #keep(operand: Operand): void {
    const value = operand.kind === "parameter" ? operand.name : operand.value;
    if (value instanceof Uint8Array) {
      this.isShared = false;
      return;
    }
    const text = String(value);
    const kind = operand.kind === "parameter" ? "$" : typeof value;
    this.key += `${kind}${text.length}:${text}`;
  }
}
