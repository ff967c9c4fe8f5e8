/**
 * The process between a Tcl interpreter and a database: requests in, replies out, one after the
 * other, until the interpreter closes its end. What each request does is in `operations.ts`; here
 * is what lives from one request to the next: the database, the open transaction, searches that are
 * being read.
 */
import { open } from "../database/database.ts";
import type { Database } from "../database/database.ts";
import { AerostoreError } from "../errors.ts";
import { backoffMs } from "../database/retry.ts";
import { FlightState } from "../flight/flight-state.ts";
import type { DynamicShape } from "../schema/table.ts";
import type { Table } from "../database/table.ts";
import type { Savepoint, Transaction } from "../database/transaction.ts";
import { readRequests, Reply } from "./frames.ts";
import type { Request } from "./frames.ts";
import { operations } from "./operations.ts";
import type { RowPages } from "./rows.ts";

export interface BridgeOptions {
  readonly directory: string;
  readonly shmPath: string | undefined;
}

/** A row that attempts of a transaction were lost on so often is locked before the next one. */
const lossesMax = 3;
const retriesMax = 100;
const lockTimeoutMs = 250;

/** What an interpreter has open. */
export class Bridge implements Disposable {
  readonly database: Database;
  /** Whether a statement or commit of this interpreter returns when it is on disk. */
  isSynchronous = true;
  readonly #tables = new Map<string, Table>();
  readonly #pages = new Map<number, RowPages>();
  readonly #savepoints: Savepoint[] = [];
  readonly #losses = new Map<string, { table: string; key: Key; count: number }>();
  #pagesLast = 0;
  #transaction: Transaction | undefined;

  constructor(database: Database) {
    this.database = database;
  }

  /** A table, in the open transaction if there is one. **Throws** `UNKNOWN_TABLE`. */
  table(name: string): Table {
    if (this.#transaction !== undefined) return this.#transaction.table(name);
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table = this.database.table(name);
    this.#tables.set(name, table);
    return table;
  }

  /** Runs `body` over a table in one transaction: the open one, or one that is retried. */
  atomically<T>(name: string, body: (table: Table) => T): T {
    if (this.#transaction !== undefined) return body(this.table(name));
    const durability = this.isSynchronous ? "sync" : undefined;
    return this.database.transact((transaction) => body(transaction.table(name)), { durability });
  }

  /** Upserts a row, as a statement of its own outside a transaction. */
  upsert(table: Table, row: DynamicShape["upsert"]): void {
    if (this.#transaction !== undefined || !this.isSynchronous) table.upsert(row);
    else this.atomically(table.name, (each) => each.upsert(row));
  }

  /** `atomically` for what takes its time; runs again when another transaction was in the way. */
  async patiently<T>(name: string, body: (table: Table) => Promise<T>): Promise<T> {
    if (this.#transaction !== undefined) return body(this.table(name));
    const durability = this.isSynchronous ? "sync" : undefined;
    for (let attempt = 1; ; attempt++) {
      using transaction = this.database.begin();
      try {
        const result = await body(transaction.table(name));
        transaction.commit({ durability });
        return result;
      } catch (error) {
        const isLost = error instanceof AerostoreError && error.code === "SERIALIZATION_FAILURE";
        if (!isLost || attempt > retriesMax) throw error;
      }
      await Bun.sleep(backoffMs(attempt, randomPart()));
    }
  }

  /** Behind statements that have committed by themselves. */
  async settle(): Promise<void> {
    if (this.isSynchronous && this.#transaction === undefined) await this.database.durable();
  }

  /** Begins a transaction, the `attempt`-th (from 0) of its script; its token. */
  async begin(attempt: number): Promise<string> {
    if (this.#transaction !== undefined) {
      throw new AerostoreError("CLOSED", "beginning a transaction: there is one already");
    }
    if (attempt === 0) this.#losses.clear();
    else await Bun.sleep(backoffMs(attempt, randomPart()));
    const transaction = this.database.begin({ isRetry: attempt > 0 });
    this.#transaction = transaction;
    this.#savepoints.length = 0;
    this.#lockLost(transaction);
    return transaction.token;
  }

  /** **Throws** what a commit throws; the transaction is over in any case. */
  commit(): void {
    const transaction = this.#open("committing");
    this.#transaction = undefined;
    transaction.commit({ durability: this.isSynchronous ? "sync" : undefined });
  }

  /** Does nothing when there is no transaction. */
  abort(): void {
    this.#transaction?.abort();
    this.#transaction = undefined;
  }

  /** Sets a savepoint within those that there are. */
  savepoint(): void {
    this.#savepoints.push(this.#open("setting a savepoint").savepoint());
  }

  /** Forgets the innermost savepoint; with `undo`, also what was done since. */
  release(undo: boolean): void {
    const transaction = this.#open("releasing a savepoint");
    const savepoint = this.#savepoints.pop();
    if (savepoint === undefined) throw new AerostoreError("CLOSED", "there is no savepoint");
    if (undo) transaction.rollbackTo(savepoint);
    transaction.release(savepoint);
  }

  /** Keeps `pages` for `next`; their number. */
  keep(pages: RowPages): number {
    this.#pagesLast++;
    this.#pages.set(this.#pagesLast, pages);
    return this.#pagesLast;
  }

  /** The pages of a number, while they are not dropped. */
  pages(number: number): RowPages | undefined {
    return this.#pages.get(number);
  }

  drop(number: number): void {
    this.#pages.get(number)?.[Symbol.dispose]();
    this.#pages.delete(number);
  }

  /** Remembers the row that a transaction was lost on. */
  note({ code, table, key }: AerostoreError): void {
    if (code !== "SERIALIZATION_FAILURE" || table === undefined || key === undefined) return;
    const name = `${table}\0${typeof key}\0${String(key)}`;
    const row = this.#losses.get(name) ?? { table, key, count: 0 };
    row.count++;
    this.#losses.set(name, row);
  }

  [Symbol.dispose](): void {
    this.abort();
    this.database.close();
  }

  #open(attempted: string): Transaction {
    if (this.#transaction !== undefined) return this.#transaction;
    throw new AerostoreError("CLOSED", `${attempted}: there is no transaction`);
  }

  /** In one order for all, so that those who want the same rows take turns. */
  #lockLost(transaction: Transaction): void {
    const hot = [...this.#losses].filter(([, { count }]) => count >= lossesMax);
    hot.sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [, { table, key }] of hot) {
      try {
        transaction.table(table).lockForUpdate(key, { timeoutMs: lockTimeoutMs });
      } catch (error) {
        if (!(error instanceof AerostoreError) || error.code !== "LOCK_TIMEOUT") throw error;
      }
    }
  }
}

type Key = NonNullable<AerostoreError["key"]>;

/** From 0 to 1. */
function randomPart(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

/**
 * Answers requests from `input` until it ends. The first one opens the database; a later one opens
 * it if that failed.
 */
export async function serveTcl(
  options: BridgeOptions,
  input: AsyncIterable<Uint8Array>,
  write: (frame: Uint8Array) => void,
): Promise<void> {
  let bridge: Bridge | undefined;
  try {
    for await (const request of readRequests(input)) {
      let frame: Uint8Array;
      try {
        bridge ??= await openBridge(options);
        frame = (await answer(bridge, request)).encode(request.id, false);
      } catch (error) {
        if (error instanceof AerostoreError) bridge?.note(error);
        frame = describe(error).encode(request.id, true);
      }
      write(frame);
    }
  } finally {
    bridge?.[Symbol.dispose]();
  }
}

async function openBridge({ directory, shmPath }: BridgeOptions): Promise<Bridge> {
  return new Bridge(await open(directory, { tables: [FlightState], shmPath }));
}

async function answer(bridge: Bridge, request: Request): Promise<Reply> {
  const name = request.text(0);
  const operation = operations.get(name);
  if (operation === undefined) throw new TypeError(`there is no operation "${name}"`);
  return operation(bridge, request);
}

/** An error as a reply: code, message, then names and values of what else is known. */
function describe(error: unknown): Reply {
  if (!(error instanceof AerostoreError)) {
    const message = error instanceof Error ? error.message : String(error);
    const isMistake = error instanceof TypeError || error instanceof RangeError;
    return Reply.of(isMistake ? "INVALID_VALUE" : "INTERNAL", message);
  }
  const isParse = error.code === "PARSE_ERROR";
  const reply = Reply.of(error.code, `${isParse ? "parse error: " : ""}${error.message}`);
  for (const name of ["table", "column", "key", "line", "path"] as const) {
    const value = error[name];
    if (value === undefined) continue;
    reply.text(name);
    reply.text(String(value));
  }
  return reply;
}
