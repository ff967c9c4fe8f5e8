/**
 * Transactions. What one reads and writes stays private until it commits; abandoning one costs
 * nothing, and a savepoint is a mark in its writes.
 */
import { callFlags } from "../ffi/constants.gen.ts";
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import type { Durability } from "../admin/durability.ts";
import { checkOptions } from "./options.ts";
import { pause } from "./retry.ts";
import { Scope } from "./scope.ts";
import type { Handle, OpenTransaction } from "./scope.ts";
import type { DynamicShape, TableDefinition, TableShape } from "../schema/table.ts";
import { describeValue } from "../schema/value.ts";
import { inputAt, numbers, words } from "../session/session.ts";
import { Table } from "./table.ts";

export interface BeginOptions {
  /** A snapshot: reads only, never fails to commit. */
  readonly readOnly?: boolean | undefined;
  /**
   * This runs again what lost a conflict just before on this handle, and is as old as that was: of
   * two that meet, the older one is waited for.
   */
  readonly isRetry?: boolean | undefined;
}

export interface CommitOptions {
  /**
   * `sync` returns when the commit, and all that it has seen, is on disk: also when it changed
   * nothing. Default: `aerostore.synchronous_commit`.
   */
  readonly durability?: Durability | undefined;
}

export interface LockOptions {
  /** How long to wait for whoever holds the row. Default 1,000. */
  readonly timeoutMs?: number | undefined;
}

/** A mark that a transaction can be rolled back to. */
export interface Savepoint {
  readonly id: number;
}

/** Names a commit for `Database.outcome`, also in another process. */
export type CommitToken = string & { readonly __brand: "CommitToken" };

const noOptions: CommitOptions = {};
const { beginReadOnly, beginRetry } = callFlags;
const lockTimeoutMsDefault = 1_000;
const lockPauseMs = 0.5;

/**
 * A transaction that the program holds, in the list of open ones: it does not keep it from being
 * collected, and ends it then.
 */
class HeldTransaction implements OpenTransaction {
  older: OpenTransaction | undefined;
  newer: OpenTransaction | undefined;
  readonly #handle: Handle;
  readonly #tx: number;
  readonly #scope: WeakRef<TransactionScope>;
  #isOver = false;

  constructor(scope: TransactionScope) {
    this.#handle = scope.handle;
    this.#tx = scope.tx;
    this.#scope = new WeakRef(scope);
  }

  abort(): void {
    const scope = this.#scope.deref();
    if (scope !== undefined) return scope.abort();
    // Closing the database may come before the collector tells.
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handle.open.remove(this);
    abortIn(this.#handle, this.#tx);
  }
}

/** Ends transactions that nothing refers to any more. */
const forgotten = new FinalizationRegistry<HeldTransaction>((held) => held.abort());

function abortIn({ session }: Handle, tx: number): void {
  if (session.isOpen) session.calls.aerostore_transaction_abort(session.handle, tx);
}

class TransactionScope extends Scope implements OpenTransaction {
  older: OpenTransaction | undefined;
  newer: OpenTransaction | undefined;
  /** How it ended. */
  ending = "";
  /** In the list of open transactions instead of this, which the program may forget. */
  #held: HeldTransaction | undefined;

  constructor(handle: Handle, tx: number, readOnly: boolean) {
    super(handle, tx, readOnly);
    handle.open.add(this);
  }

  /** From here on the program holds it, and may forget it. */
  hold(): void {
    this.handle.open.remove(this);
    this.#held = new HeldTransaction(this);
    this.handle.open.add(this.#held);
    forgotten.register(this, this.#held, this);
  }

  endAs(ending: string): void {
    this.ending = ending;
    this.end();
    this.handle.open.remove(this.#held ?? this);
    if (this.#held !== undefined) forgotten.unregister(this);
  }

  abort(): void {
    if (this.isOver) return;
    const { tx } = this;
    this.endAs("aborted");
    abortIn(this.handle, tx);
  }

  override wrote(): void {}

  override atomically<T>(body: (scope: Scope) => T): T {
    return body(this);
  }

  protected override closedText(): string {
    return `the transaction was ${this.ending}: begin another one`;
  }
}

/** A table within a transaction: sees the transaction's own writes. */
export class TransactionTable<S extends TableShape = DynamicShape> extends Table<S> {
  /**
   * Takes the row's advisory latch, which others take here too, until the transaction ends. The
   * row need not exist. **Throws** `LOCK_TIMEOUT`.
   */
  lockForUpdate(key: S["key"], options: LockOptions = {}): void {
    checkOptions("lockForUpdate", options, ["timeoutMs"]);
    const { timeoutMs = lockTimeoutMsDefault } = options;
    if (!(timeoutMs >= 0)) throw new RangeError(`timeoutMs is from 0, not ${timeoutMs}`);
    const deadline = performance.now() + timeoutMs;
    while (!this.#tryLock(key)) {
      const left = deadline - performance.now();
      if (left <= 0) {
        const found = `another transaction has held it for ${timeoutMs} ms`;
        const subject = { ...this.subject("locking a row", key), found };
        throw this.scope.handle.session.error(Status.lock_timeout, subject);
      }
      pause(Math.min(left, lockPauseMs));
    }
  }

  #tryLock(key: S["key"]): boolean {
    const tx = this.scope.use();
    const { session } = this.scope.handle;
    this.binding.encoder.key(key, inputAt);
    const status = session.calls.aerostore_transaction_lock(session.handle, tx, this.binding.id);
    if (status === Status.busy) return false;
    if (status !== Status.ok) throw session.error(status, this.subject("locking a row", key));
    return true;
  }
}

/** An open transaction. Leaving its scope without `commit` aborts it. */
export class Transaction implements Disposable {
  readonly readOnly: boolean;
  /** Its commit returns when it is on disk, whatever `commit` is told; for nested ones. */
  isSynchronous = false;
  readonly #scope: TransactionScope;
  /** Of the commit; when it changed nothing, of the newest that it can have seen. */
  #csn: number | undefined;
  #token: CommitToken | undefined;

  /** @internal For `Database.begin` and `transact`. */
  constructor(handle: Handle, readOnly: boolean, isRetry = false) {
    const { session } = handle;
    const flags = (readOnly ? beginReadOnly : 0) | (isRetry ? beginRetry : 0);
    const status = session.calls.aerostore_transaction_begin(session.handle, flags);
    if (status !== Status.ok) throw session.error(status, { attempted: "beginning a transaction" });
    this.readOnly = readOnly;
    this.#scope = new TransactionScope(handle, session.u32[words.transaction] ?? 0, readOnly);
  }

  /**
   * Lets it end when nothing refers to it any more; for `Database.begin`. What `transact` runs ends
   * with its function.
   */
  hold(): this {
    this.#scope.hold();
    return this;
  }

  /** Whether it has neither been committed nor aborted. */
  get isOpen(): boolean {
    return !this.#scope.isOver;
  }

  /** @internal Its statements run in this scope. */
  get scope(): Scope {
    return this.#scope;
  }

  /** A table in this transaction. **Throws** `UNKNOWN_TABLE`, `SCHEMA_MISMATCH`, `CLOSED`. */
  table<S extends TableShape>(definition: TableDefinition<S>): TransactionTable<S>;
  table(name: string): TransactionTable;
  table(which: string | TableDefinition): TransactionTable {
    this.#scope.use();
    const { catalog } = this.#scope.handle;
    const definition = typeof which === "string" ? catalog.find(which) : which;
    return new TransactionTable(this.#scope, definition);
  }

  /** Marks where the transaction stands. */
  savepoint(): Savepoint {
    const tx = this.#scope.use();
    const { session } = this.#scope.handle;
    session.run({ attempted: "setting a savepoint" }, () =>
      session.calls.aerostore_transaction_savepoint(session.handle, tx),
    );
    return { id: session.u32[words.savepoint] ?? 0 };
  }

  /**
   * Undoes every write since the savepoint, which stays; later ones are gone. **Throws** `CLOSED`
   * for a savepoint that is gone.
   */
  rollbackTo(savepoint: Savepoint): void {
    const { session } = this.#scope.handle;
    this.#atSavepoint("rolling back", (tx) =>
      session.calls.aerostore_transaction_rollback(session.handle, tx, savepoint.id),
    );
  }

  /** Forgets the savepoint and later ones; the writes stay. **Throws** likewise. */
  release(savepoint: Savepoint): void {
    const { session } = this.#scope.handle;
    this.#atSavepoint("releasing a savepoint", (tx) =>
      session.calls.aerostore_transaction_release(session.handle, tx, savepoint.id),
    );
  }

  /**
   * Makes every write visible at one instant, or none.
   *
   * **Throws** `SERIALIZATION_FAILURE` when what was read has changed, `DUPLICATE_KEY`,
   * `SEGMENT_FULL`, `SNAPSHOT_TOO_OLD`; the transaction is aborted then.
   */
  commit(options: CommitOptions = noOptions): void {
    if (options !== noOptions) checkOptions("commit", options, ["durability"]);
    const asked = this.isSynchronous ? "sync" : options.durability;
    const tx = this.#scope.use();
    const { session, durability } = this.#scope.handle;
    const status = session.calls.aerostore_transaction_commit(session.handle, tx);
    if (status !== Status.ok) {
      this.#scope.endAs("aborted");
      throw session.error(status, { attempted: "committing a transaction" });
    }
    this.#scope.endAs("committed");
    this.#csn = session.f64[numbers.csn] ?? 0;
    const wanted = asked ?? (durability.isSynchronous ? "sync" : "async");
    if (wanted === "sync") durability.waitSync(this.#csn);
  }

  /** Ends the transaction without effect. Does nothing when it has ended. */
  abort(): void {
    this.#scope.abort();
  }

  /**
   * Names this transaction, so that anybody can ask later what became of it. Ask before committing.
   * **Throws** `CLOSED` when it has ended and was not named.
   */
  get token(): CommitToken {
    if (this.#token !== undefined) return this.#token;
    const tx = this.#scope.use();
    const { session } = this.#scope.handle;
    session.run({ attempted: "naming a transaction" }, () =>
      session.calls.aerostore_transaction_token(session.handle, tx),
    );
    this.#token = formatToken(session.u32[words.tokenHigh] ?? 0, session.u32[words.tokenLow] ?? 0);
    return this.#token;
  }

  /**
   * Settles when the commit, and all that it has seen, is on disk. Rejects with `CLOSED` before it,
   * `LOG_POISONED`.
   */
  get durable(): Promise<void> {
    const csn = this.#csn;
    if (csn !== undefined) return this.#scope.handle.durability.wait(csn);
    const state = this.isOpen ? "still open" : this.#scope.ending;
    const message = `waiting for a commit: the transaction is ${state}`;
    return Promise.reject(new AerostoreError("CLOSED", message));
  }

  [Symbol.dispose](): void {
    this.abort();
  }

  #atSavepoint(attempted: string, call: (tx: number) => Status): void {
    const tx = this.#scope.use();
    const status = call(tx);
    if (status === Status.invalid_argument) {
      const found = "the savepoint was released, or rolled back with an earlier one";
      throw new AerostoreError("CLOSED", `${attempted}: ${found}`);
    }
    if (status !== Status.ok) throw this.#scope.handle.session.error(status, { attempted });
  }
}

function formatToken(high: number, low: number): CommitToken {
  const digits = (half: number): string => half.toString(16).padStart(8, "0");
  return `${digits(high)}${digits(low)}` as CommitToken;
}

/** The halves of a token. **Throws** `TypeError` for what is none. */
export function parseToken(token: string): { readonly low: number; readonly high: number } {
  const [, high = "", low = ""] = /^([0-9a-f]{8})([0-9a-f]{8})$/.exec(token) ?? [];
  if (low === "") throw new TypeError(`${describeValue(token)} is not the token of a transaction`);
  return { low: Number.parseInt(low, 16), high: Number.parseInt(high, 16) };
}
