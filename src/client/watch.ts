/**
 * A standing query over the network. The server begins each connection with everything that the
 * query finds; what the client has already is compared with it, so that the caller sees only what
 * is different: nothing twice, and nothing missed while the connection was down.
 */
import type { ServerEvent } from "./events.ts";

/** A step of a standing query: folded up to `csn`, the deltas are what a search gives there. */
export interface Delta<Row, Key> {
  readonly csn: number;
  /** Whether `entered` is everything. Only the first delta. */
  readonly reset: boolean;
  readonly entered: readonly Row[];
  readonly changed: readonly Row[];
  readonly left: readonly Key[];
  /** Keys of the window in their order; only of a query with sort and limit. */
  readonly order?: readonly Key[];
}

type Value = string | number | boolean | null;

/** A row as it crosses: its values in the order of the columns, of which the key is the first. */
type WireRow<Key> = readonly [key: Key, ...values: Value[]];

/** `event: delta`, after `event: columns` with the names of the columns. */
interface Wire<Key> {
  readonly csn: number;
  readonly reset: boolean;
  readonly entered: readonly WireRow<Key>[];
  readonly changed: readonly WireRow<Key>[];
  readonly left: readonly Key[];
  readonly order?: readonly Key[];
}

/** Turns events into deltas. One per watch; survives reconnections. */
export class Folder<Row extends object, Key> {
  /** The text of each row by its key. */
  readonly #known = new Map<Key, string>();
  #columns: readonly string[] = [];
  #isFirst = true;

  /** The delta of an event; `undefined` where there is nothing to tell. */
  fold({ type, data }: ServerEvent): Delta<Row, Key> | undefined {
    if (type === "columns") {
      this.#columns = JSON.parse(data);
      return undefined;
    }
    if (type !== "delta") return undefined;
    const wire: Wire<Key> = JSON.parse(data);
    const delta = wire.reset ? this.#compare(wire) : this.#apply(wire);
    const isNews = this.#isFirst || delta.entered.length + delta.changed.length + delta.left.length;
    if (!isNews && delta.order === undefined) return undefined;
    const reset = this.#isFirst;
    this.#isFirst = false;
    return { ...delta, reset };
  }

  #apply({ csn, entered, changed, left, order }: Wire<Key>): Omit<Delta<Row, Key>, "reset"> {
    for (const key of left) this.#known.delete(key);
    for (const row of [...entered, ...changed]) this.#known.set(row[0], JSON.stringify(row));
    return this.#delta(csn, entered, changed, left, order);
  }

  /** What is different between all that is known and all that there is. */
  #compare({ csn, entered: all, order }: Wire<Key>): Omit<Delta<Row, Key>, "reset"> {
    const entered: WireRow<Key>[] = [];
    const changed: WireRow<Key>[] = [];
    const gone = new Set(this.#known.keys());
    for (const row of all) {
      const key = row[0];
      const text = JSON.stringify(row);
      const before = this.#known.get(key);
      if (before === undefined) entered.push(row);
      else if (before !== text) changed.push(row);
      this.#known.set(key, text);
      gone.delete(key);
    }
    for (const key of gone) this.#known.delete(key);
    return this.#delta(csn, entered, changed, [...gone], order);
  }

  #delta(
    csn: number,
    entered: readonly WireRow<Key>[],
    changed: readonly WireRow<Key>[],
    left: readonly Key[],
    order: readonly Key[] | undefined,
  ): Omit<Delta<Row, Key>, "reset"> {
    const delta = {
      csn,
      entered: entered.map((row) => this.#rowOf(row)),
      changed: changed.map((row) => this.#rowOf(row)),
      left,
    };
    return order === undefined ? delta : { ...delta, order };
  }

  #rowOf(values: WireRow<Key>): Row {
    const row: Row = Object.create(Object.prototype);
    return Object.assign(
      row,
      Object.fromEntries(this.#columns.map((name, at) => [name, values[at]])),
    );
  }
}
