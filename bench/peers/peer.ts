/**
 * What a store has to offer to be measured, and what it says about itself. A method that a peer
 * does not have is named in `cannot` with the reason, so that workloads which need it pass the peer
 * by.
 */
import type { AnyShape, Change, Key, Query, Shape, Soon, Value } from "../workloads/model.ts";

/** What workloads may need beyond keyed reads and writes. */
export type Ability =
  /** Rows between bounds of one indexed column, in its order. */
  | "range"
  /** Predicates on any columns, any order, and counts. */
  | "search"
  /** Several statements and savepoints in one transaction. */
  | "transact"
  /** Several transactions open at once in one process. */
  | "overlap"
  /** Several processes on the same data. */
  | "processes"
  /** Lines of text in, without a row object for each. */
  | "ingest"
  /** A commit that returns when it is on disk. */
  | "durable"
  /** The data is there again after all processes ended. */
  | "restart"
  /** Bytes of log written are known. */
  | "log";

/**
 * What a write that was acknowledged can count on. Only what is equal here is really comparable.
 */
export interface Promises {
  /**
   * What the write survives: nothing, the end of the programs that use the store (but not of its
   * server), the end of every process, or loss of power.
   */
  readonly survives: "nothing" | "programs" | "processes" | "power";
  /** What is lost otherwise, in words. */
  readonly loses: string;
  readonly isolation: "none" | "one command" | "snapshot" | "serializable";
  readonly shared: "one thread" | "processes" | "network";
}

/** Where one measurement keeps its data; fresh and empty, removed afterwards. */
export interface Place {
  /** On disk. */
  readonly directory: string;
  /** In memory (tmpfs), for segments and sockets. */
  readonly memory: string;
}

export interface OpenOptions {
  /** The first process creates the tables, the others find them. */
  readonly create: boolean;
  /** A commit returns when it is on disk. */
  readonly durable: boolean;
  /** Memory that data may take, where that has to be said beforehand. */
  readonly bytesMax: number;
  /** Processes that will have it open at once, where that has to be said beforehand. */
  readonly processes: number;
  /** Transactions that will be open at once, where that takes a connection each. */
  readonly connections?: number;
}

export interface Peer {
  /** As in `--peers`. */
  readonly name: string;
  readonly promises: Promises;
  /** What it lacks, and why. */
  readonly cannot: Readonly<Partial<Record<Ability, string>>>;
  /** Version of what is measured; `undefined` when it is not here. */
  version(): Promise<string | undefined>;
  /** How to get it when it is not here. */
  readonly getIt: string;
  /** Starts what has to run beside the program; returns how to end it. */
  start?(place: Place, options: OpenOptions): Promise<Service>;
  /** Drops what is kept in memory only, so that the next open starts from the disk. */
  forgetMemory?(place: Place): void;
  open(place: Place, shapes: readonly AnyShape[], options: OpenOptions): Soon<Store>;
}

/** A server beside the measured program. */
export interface Service {
  stop(): Promise<void>;
  /** Ends it as a crash would and starts it again on the same data; resolves when it answers. */
  restart(): Promise<void>;
}

export interface Store {
  /** 0: results come at once. Otherwise how many operations a program has under way. */
  readonly inFlight: number;
  table<R extends object>(shape: Shape<R>): Table<R>;
  /** Runs a body as one transaction, again when it loses a conflict. */
  transact?<T>(body: Body<T>): Soon<T>;
  /** A transaction beside others of this process. */
  begin?(): Soon<OpenTx>;
  /** Whether an error says that a transaction lost a conflict. */
  isConflict?(error: unknown): boolean;
  /** Bytes of log appended since the first call, or some earlier moment, by all processes. */
  logBytes?(): Soon<number>;
  /** Bytes of memory that hold the data, where the peer knows. */
  memoryBytes?(): Soon<number>;
  /** Returns when all that was acknowledged survives the end of every process. */
  settle?(): Soon<void>;
  close(): Soon<void>;
}

export interface Table<R extends object> {
  /** Many new rows, by the fastest way there is. */
  load(rows: readonly R[]): Soon<unknown>;
  /** One transaction. */
  upsert(row: R): Soon<unknown>;
  /** As `upsert`; resolves when it is on disk. Many may wait at once. */
  upsertDurable?(row: R): Promise<unknown>;
  get(key: Key): Soon<R | undefined>;
  delete(key: Key): Soon<unknown>;
  /** A read-modify-write as one transaction, which any process may be doing at the same time. */
  modify(change: Change<R>): (key: Key, value: number) => Soon<unknown>;
  search?(query: Query): (values: readonly Value[]) => Soon<R[]>;
  count?(query: Query): (values: readonly Value[]) => Soon<number>;
  /** Upserts lines of tab-separated columns; resolves when all are in. */
  ingest?(text: Uint8Array): Soon<unknown>;
}

/** Statements of a transaction. */
export interface Tx {
  table<R extends object>(shape: Shape<R>): TxTable<R>;
  savepoint(): Soon<unknown>;
  /** Undoes what came after the last savepoint. */
  rollback(): Soon<unknown>;
}

export interface TxTable<R extends object> {
  get(key: Key): Soon<R | undefined>;
  upsert(row: R): Soon<unknown>;
  delete(key: Key): Soon<unknown>;
  search(query: Query, values: readonly Value[]): Soon<R[]>;
}

export interface OpenTx extends Tx {
  commit(): Soon<unknown>;
  abort(): Soon<unknown>;
}

/** A transaction's work in steps, so that one text serves stores that answer now or later. */
export type Body<T> = (tx: Tx) => Generator<Soon<unknown>, T, never>;

/** `const row = yield* step(table.get(key))` */
export function* step<T>(result: Soon<T>): Generator<Soon<T>, T, T> {
  return yield result;
}

/** Runs a body whose steps are all answered at once. */
export function runNow<T>(steps: Generator<Soon<unknown>, T, never>): T {
  let at = steps.next();
  while (at.done !== true) at = steps.next(at.value as never); // what it waits for is what it gets
  return at.value;
}

/** Runs a body, waiting for each step. */
export async function runSoon<T>(steps: Generator<Soon<unknown>, T, never>): Promise<T> {
  let at = steps.next();
  while (at.done !== true) at = steps.next((await at.value) as never);
  return at.value;
}
