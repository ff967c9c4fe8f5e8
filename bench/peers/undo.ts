/** Savepoints for a store that has none: the program notes how to undo what it wrote. */
import type { Key, Query, Shape, Soon, Value } from "../workloads/model.ts";
import { asKey } from "./code.ts";
import type { Tx, TxTable } from "./peer.ts";

/** What has to be there of a table. */
interface Plain<R extends object> {
  get(key: Key): R | undefined;
  upsert(row: R): unknown;
  delete(key: Key): unknown;
  search(query: Query): (values: readonly Value[]) => R[];
}

export class UndoTx implements Tx {
  readonly #undo: (() => void)[] = [];
  readonly #marks: number[] = [];
  readonly #find: <R extends object>(shape: Shape<R>) => Plain<R>;

  constructor(find: <R extends object>(shape: Shape<R>) => Plain<R>) {
    this.#find = find;
  }

  table<R extends object>(shape: Shape<R>): TxTable<R> {
    const table = this.#find(shape);
    const note = (key: Key): void => {
      const old = table.get(key);
      this.#undo.push(() => void (old === undefined ? table.delete(key) : table.upsert(old)));
    };
    return {
      get: (key) => table.get(key),
      upsert: (row) => {
        const [key] = shape.values(row);
        note(asKey(key));
        table.upsert(row);
      },
      delete: (key) => {
        note(key);
        table.delete(key);
      },
      search: (query, values): Soon<R[]> => table.search(query)(values),
    };
  }

  savepoint(): void {
    this.#marks.push(this.#undo.length);
  }

  rollback(): void {
    const mark = this.#marks.pop() ?? 0;
    while (this.#undo.length > mark) this.#undo.pop()?.();
  }
}
