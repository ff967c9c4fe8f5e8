/**
 * What a statement runs in: the database, where each statement is a transaction of its own, or one
 * transaction. Tables hold a scope and ask it before every call.
 */
import type { Catalog } from "../session/catalog.ts";
import type { DurabilityMonitor } from "../admin/durability.ts";
import type { ChangeFeed, ChangesOptions } from "../changes/feed.ts";
import { AerostoreError } from "../errors.ts";
import type { Transaction } from "./transaction.ts";
import type { SearchRunner } from "../search/search-runner.ts";
import type { Session } from "../session/session.ts";

/** What all scopes of one handle share. */
export interface Handle {
  readonly session: Session;
  readonly catalog: Catalog;
  readonly searches: SearchRunner;
  readonly durability: DurabilityMonitor;
  readonly open: OpenTransactions;
  /** Opens feeds; of the database. */
  readonly follow: (options: ChangesOptions) => ChangeFeed;
  /** Begins a transaction that sees one instant. */
  readonly view: () => Transaction;
  /** It only reads: `open(directory, { readOnly: true })`. */
  readonly readOnly: boolean;
  /** What the function that `transact` or `snapshot` runs now was given. */
  inside: Inside | undefined;
}

/** A transaction that a function of the program runs in. */
export interface Inside {
  /** A snapshot. */
  readonly readOnly: boolean;
}

/** An open transaction, linked to those that were begun before and after it. */
export interface OpenTransaction {
  older: OpenTransaction | undefined;
  newer: OpenTransaction | undefined;
  /** Ends it, and so removes it. */
  abort(): void;
}

/**
 * The open transactions of a handle, which closing it aborts. Linked through themselves: adding to
 * a `Set` and deleting from it takes as long as everything else that begins and ends one.
 */
export class OpenTransactions {
  #newest: OpenTransaction | undefined;

  add(transaction: OpenTransaction): void {
    transaction.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = transaction;
    this.#newest = transaction;
  }

  remove(transaction: OpenTransaction): void {
    const { older, newer } = transaction;
    if (older !== undefined) older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    // One that is kept after its end keeps no others.
    transaction.older = undefined;
    transaction.newer = undefined;
  }

  abortAll(): void {
    while (this.#newest !== undefined) this.#newest.abort();
  }
}

/** `Scope.tx` of the database. */
export const autoCommit = 0;
/** `Scope.tx` after the end; no id of the engine is negative. */
const over = -1;

export abstract class Scope {
  readonly handle: Handle;
  readonly readOnly: boolean;
  /** Transaction id, `autoCommit`, or negative when the scope is over. */
  tx: number;

  constructor(handle: Handle, tx: number, readOnly: boolean) {
    this.handle = handle;
    this.tx = tx;
    this.readOnly = readOnly;
  }

  get isOver(): boolean {
    return this.tx < 0;
  }

  end(): void {
    this.tx = over;
  }

  /** The id to call with. **Throws** `CLOSED` when the scope is over. */
  use(): number {
    if (this.tx < 0) throw this.closed();
    return this.tx;
  }

  /** Likewise, for what writes. **Throws** `TypeError`, too, in a read-only transaction. */
  useToWrite(): number {
    if (this.readOnly) throw new TypeError("the transaction is read-only: begin one that is not");
    return this.use();
  }

  closed(): AerostoreError {
    return new AerostoreError("CLOSED", this.closedText());
  }

  protected abstract closedText(): string;

  /** Called after each statement that may have written. */
  abstract wrote(): void;

  /** Runs `body` in one transaction: this one, or a new one that is retried and committed. */
  abstract atomically<T>(body: (scope: Scope) => T): T;
}
