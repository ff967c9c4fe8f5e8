/**
 * Running a function in a transaction until it commits. Lost conflicts are retried with backoff; a
 * row that was lost on again and again is latched before the function runs, in one order for all,
 * so that those who want it take turns.
 */
import { AerostoreError } from "../errors.ts";
import { checkOptions } from "./options.ts";
import { backOff } from "./retry.ts";
import type { Handle } from "./scope.ts";
import { Transaction } from "./transaction.ts";
import type { CommitOptions, Savepoint } from "./transaction.ts";

export interface TransactOptions extends CommitOptions {
  /** Attempts after the first one. Default 100. */
  readonly retries?: number | undefined;
}

const noOptions: TransactOptions = {};
const retriesDefault = 100;
/** A row that was lost on so often is latched. */
const lossesMax = 3;
const latchTimeoutMs = 250;

/**
 * Runs `body` and commits; runs it again when another transaction was in the way. The result of the
 * run that was committed. A body that ends the transaction itself is not run again.
 *
 * **Throws** what `body` throws, `TypeError` when it returns a promise, `SERIALIZATION_FAILURE`
 * after the last attempt; the transaction is aborted then.
 */
export function transact<T>(
  handle: Handle,
  body: (transaction: Transaction) => T,
  options: TransactOptions = noOptions,
): T {
  if (options !== noOptions) checkOptions("transact", options, ["retries", "durability"]);
  const { retries = retriesDefault, durability } = options;
  if (!Number.isInteger(retries) || retries < 0) {
    throw new RangeError(`retries is a whole number from 0, not ${retries}`);
  }
  const { inside } = handle;
  if (inside instanceof Transaction) return nest(inside, body, durability);
  let losses: Losses | undefined;
  for (let attempt = 0; ; attempt++) {
    const transaction = new Transaction(handle, false, attempt > 0);
    try {
      losses?.latch(transaction);
      handle.inside = transaction;
      const result = body(transaction);
      refusePromise(result);
      handle.inside = undefined;
      if (transaction.isOpen)
        transaction.commit(durability === undefined ? undefined : { durability });
      return result;
    } catch (error) {
      handle.inside = undefined;
      transaction.abort();
      if (attempt >= retries || !isLost(error)) throw error;
      losses ??= new Losses();
      losses.note(error);
    }
    backOff(attempt + 1);
  }
}

/**
 * Runs `body` within the transaction that runs already: what it wrote is undone when it throws, and
 * is committed with the rest. Conflicts are the outer function's: it runs again as a whole.
 */
function nest<T>(
  outer: Transaction,
  body: (transaction: Transaction) => T,
  durability: CommitOptions["durability"],
): T {
  if (outer.readOnly) {
    throw new TypeError(
      "transact() inside snapshot(): a snapshot only reads; do it after snapshot() returns",
    );
  }
  const savepoint = outer.savepoint();
  try {
    const result = body(outer);
    refusePromise(result);
    if (outer.isOpen) outer.release(savepoint);
    if (durability === "sync") outer.isSynchronous = true;
    return result;
  } catch (error) {
    undo(outer, savepoint);
    throw error;
  }
}

/** Rolls back where that is possible: the error that led here is the one to tell. */
function undo(outer: Transaction, savepoint: Savepoint): void {
  if (!outer.isOpen) return;
  try {
    outer.rollbackTo(savepoint);
    outer.release(savepoint);
  } catch (error) {
    // Lost to another transaction, or already rolled back further: the outer function ends.
    if (!(error instanceof AerostoreError)) throw error;
  }
}

/** Runs `body` over one instant. **Throws** what it throws, `TypeError` for a promise. */
export function snapshot<T>(handle: Handle, body: (view: Transaction) => T): T {
  using view = new Transaction(handle, true);
  const { inside } = handle;
  handle.inside = view;
  try {
    const result = body(view);
    refusePromise(result);
    return result;
  } finally {
    handle.inside = inside;
  }
}

function isLost(error: unknown): error is AerostoreError {
  if (!(error instanceof AerostoreError)) return false;
  return error.code === "SERIALIZATION_FAILURE" || error.code === "SNAPSHOT_TOO_OLD";
}

/** Every statement of an asynchronous function after its first `await` would come too late. */
function refusePromise(result: unknown): void {
  if (typeof result !== "object" || result === null || !("then" in result)) return;
  if (typeof result.then !== "function") return;
  // What happens to it is nobody's business any more.
  Promise.resolve(result).catch(() => undefined);
  throw new TypeError(
    "the function of a transaction returned a promise, and was aborted: it must be synchronous; " +
      "await before transact(), or use begin() and commit()",
  );
}

/** The rows that earlier attempts were lost on. */
class Losses {
  readonly #rows = new Map<string, { table: string; key: AerostoreError["key"]; count: number }>();

  note({ table, key }: AerostoreError): void {
    if (table === undefined || key === undefined) return;
    const name = `${table}\0${typeof key}\0${String(key)}`;
    const row = this.#rows.get(name) ?? { table, key, count: 0 };
    row.count++;
    this.#rows.set(name, row);
  }

  /** Takes the latches of rows that were lost on too often. One that is not free is left. */
  latch(transaction: Transaction): void {
    const hot = [...this.#rows].filter(([, { count }]) => count >= lossesMax);
    if (hot.length === 0) return;
    hot.sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [, { table, key }] of hot) {
      if (key === undefined) continue;
      try {
        transaction.table(table).lockForUpdate(key, { timeoutMs: latchTimeoutMs });
      } catch (error) {
        if (!(error instanceof AerostoreError) || error.code !== "LOCK_TIMEOUT") throw error;
      }
    }
  }
}
