/** `open` and the handle that it gives. */
import { AerostoreError } from "../errors.ts";
import { boot } from "../boot/run.ts";
import type { BootProgress, BootReport, Booted } from "../boot/run.ts";
import { dataDirectoryDefault } from "../boot/paths.ts";
import { Catalog } from "../session/catalog.ts";
import { checkDatabase } from "../admin/check.ts";
import type { CheckReport } from "../admin/check.ts";
import type { Checkpointer, CheckpointOptions, CheckpointReport } from "../admin/checkpoint.ts";
import { getConfig, listConfig, setConfig } from "../admin/settings.ts";
import type { ConfigKey } from "../admin/settings.ts";
import type { ChangeFeed, ChangesOptions } from "../changes/feed.ts";
import type { Position } from "../changes/position.ts";
import { Changes } from "./changes.ts";
import type { WaitForOptions } from "./changes.ts";
import type { SubscriptionInfo } from "./subscriptions.ts";
import { DurabilityMonitor } from "../admin/durability.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { limits, OutcomeState } from "../ffi/constants.gen.ts";
import { nameOf } from "../ffi/struct.ts";
import { loadLibrary } from "../ffi/library.ts";
import { viewSessionBlock } from "../session/io-block.ts";
import type { AnyTable, DynamicShape, TableDefinition, TableShape } from "../schema/table.ts";
import { autoCommit, OpenTransactions, Scope } from "./scope.ts";
import type { Handle, Inside } from "./scope.ts";
import { SearchRunner } from "../search/search-runner.ts";
import { Session, words } from "../session/session.ts";
import { readStats } from "../admin/stats.ts";
import type { Stats } from "../admin/stats.ts";
import { checkOptions } from "./options.ts";
import { Table } from "./table.ts";
import { snapshot, transact } from "./transact.ts";
import type { TransactOptions } from "./transact.ts";
import { parseToken, Transaction } from "./transaction.ts";
import type { BeginOptions } from "./transaction.ts";

export interface OpenOptions {
  /** Tables to create if they are missing. What is stored must be what is declared. */
  readonly tables?: readonly AnyTable[] | undefined;
  /** The segment file, over `AEROSTORE_SHM_PATH` and the default. */
  readonly shmPath?: string | undefined;
  /**
   * Size of the segment: 4 MiB to 32 GiB. Default 1 GiB, sparse. A smaller one that is there is
   * rebuilt from checkpoint and log while no session is attached; else `db.boot.ignored` says so.
   */
  readonly maxBytes?: number | undefined;
  /** Sessions that may be attached at once, likewise: 16 to 4,096. Default 256. */
  readonly maxSessions?: number | undefined;
  /** Attaches to a database that is up, and only reads; all that writes is `READ_ONLY`. */
  readonly readOnly?: boolean | undefined;
  /** Whether a database is made where there is none, which else is `IO_ERROR`. Default true. */
  readonly create?: boolean | undefined;
  /**
   * Whether the log is kept. Default true. Without it rows live as long as the segment: until the
   * machine restarts. What the first one to open says counts for all.
   */
  readonly log?: boolean | undefined;
  /** How long to wait while another process boots or recovers the database. Default 600,000. */
  readonly bootTimeoutMs?: number | undefined;
  /** Told at each step of the way. */
  readonly onBoot?: ((progress: BootProgress) => void) | undefined;
}

/** What became of a transaction. */
export type Outcome = keyof typeof OutcomeState;

const openOptionNames: readonly (keyof OpenOptions)[] = [
  ...(["tables", "shmPath", "maxBytes", "maxSessions", "bootTimeoutMs", "onBoot"] as const),
  ...(["readOnly", "create", "log"] as const),
];
const maxBytesDefault = 1 << 30;
const bootTimeoutMsDefault = 600_000;

/**
 * Opens the database in `directory`, which is created if there is none.
 *
 * **Throws** `ABI_MISMATCH`, `SCHEMA_MISMATCH`, and what booting throws (`boot/run.ts`).
 * `RangeError` for wrong options.
 */
export async function open(
  directory: string = dataDirectoryDefault,
  options: OpenOptions = {},
): Promise<Database> {
  return openAs(directory, options, false);
}

/** `open` that also makes the segment smaller, to what the options say. **Throws** likewise. */
export async function openResized(directory: string, options: OpenOptions): Promise<Database> {
  return openAs(directory, options, true);
}

async function openAs(
  directory: string,
  options: OpenOptions,
  isExact: boolean,
): Promise<Database> {
  checkOptions("open", options, openOptionNames);
  const maxBytes = options.maxBytes ?? maxBytesDefault;
  checkOption("maxBytes", maxBytes, limits.segmentSizeMin, limits.segmentSizeMax);
  const sessionCount = options.maxSessions ?? limits.sessionCountDefault;
  checkOption("maxSessions", sessionCount, limits.sessionCountMin, limits.sessionCountMax);
  const segmentSize = Math.ceil(maxBytes / limits.extentSize) * limits.extentSize;
  const { readOnly = false, log = true } = options;
  const place = callerPlace();
  const { symbols } = loadLibrary();
  const booted = await boot(symbols, {
    directory,
    shmPath: options.shmPath,
    segmentSize,
    sessionCount,
    leastSize: options.maxBytes === undefined ? undefined : segmentSize,
    leastSessions: options.maxSessions,
    isExact,
    create: options.create,
    readOnly: options.readOnly,
    lockTimeoutMs: options.bootTimeoutMs ?? bootTimeoutMsDefault,
    onProgress: options.onBoot,
  });
  const database = new Database(symbols, booted, { place, readOnly, log });
  try {
    for (const table of options.tables ?? []) {
      if (readOnly) database.table(table);
      else database.createTable(table);
    }
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function checkOption(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} is a whole number from ${min} to ${max}, not ${value}`);
  }
}

/** What `open` was told that the handle keeps. */
interface Opened {
  /** Where the program called it. */
  readonly place?: string;
  readonly readOnly?: boolean;
  readonly log?: boolean;
}

/** How a handle was closed. */
type Closing = "close()" | "the end of its `using` scope" | "the end of its `await using` scope";

/** Statements outside a transaction: each is one of its own. */
class DatabaseScope extends Scope {
  closedBy: Closing = "close()";
  readonly #opened: string;

  constructor(handle: Handle, opened: string) {
    super(handle, autoCommit, false);
    this.#opened = opened;
  }

  /** Likewise; inside `transact` such a write would survive the transaction's rollback. */
  override useToWrite(): number {
    const { inside } = this.handle;
    if (inside !== undefined) throw refuseInside("a write through the database", inside);
    const tx = this.use();
    if (this.handle.readOnly) throw readOnlyError();
    return tx;
  }

  /** **Throws** `TypeError` inside a transaction or a snapshot. */
  refuseInside(attempted: string): void {
    const { inside } = this.handle;
    if (inside !== undefined) throw refuseInside(attempted, inside);
  }

  override wrote(): void {
    const { durability } = this.handle;
    if (durability.isSynchronous) durability.waitSync(durability.reliedOn);
  }

  override atomically<T>(body: (scope: Scope) => T): T {
    return transact(this.handle, (transaction) => body(transaction.scope));
  }

  protected override closedText(): string {
    const advice =
      this.closedBy === "close()"
        ? "open it again"
        : "where the program lives on, open it with `const db = await open(…)`";
    return `${this.#opened} was closed by ${this.closedBy}; ${advice}`;
  }
}

function refuseInside(attempted: string, { readOnly }: Inside): TypeError {
  return new TypeError(
    readOnly
      ? `${attempted} inside snapshot(): a snapshot only reads; do it after snapshot() returns`
      : `${attempted} inside transact(): it would not be part of the transaction, and would stay ` +
          "when that is rolled back; use tx.table(…), or do it after transact() returns",
  );
}

function readOnlyError(): AerostoreError {
  return new AerostoreError(
    "READ_ONLY",
    "the database was opened read-only: open it without readOnly (--read-only) to write",
  );
}

/** Where the program called: the first place outside this runtime, for messages. */
function callerPlace(): string {
  const lines = (new Error().stack ?? "").split("\n").slice(1);
  const runtime = import.meta.dir.slice(0, import.meta.dir.lastIndexOf("/") + 1);
  const line = lines.find((each) => !each.includes(runtime)) ?? "";
  return /\(?([^()\s]+:\d+:\d+)\)?$/.exec(line)?.[1] ?? "";
}

/** An open database. Belongs to one thread; others open their own. */
export class Database implements Disposable, AsyncDisposable {
  /** How it came up. */
  readonly boot: BootReport;
  /** Real path of the data directory. */
  readonly directory: string;
  /** The segment file. */
  readonly shmPath: string;
  readonly #handle: Handle;
  readonly #scope: DatabaseScope;
  readonly #changes: Changes;
  #checkpointer: Checkpointer | undefined;

  /** @internal For `open`. */
  constructor(
    calls: Symbols,
    { report, session: opened, paths, databaseId }: Booted,
    how: Opened = {},
  ) {
    const { place = "", readOnly = false, log = true } = how;
    const session = new Session(calls, opened.handle, viewSessionBlock(opened.ioAddress));
    this.boot = report;
    this.directory = paths.directory;
    this.shmPath = paths.segment;
    this.#handle = {
      session,
      catalog: new Catalog(session),
      searches: new SearchRunner(session),
      durability: new DurabilityMonitor(session),
      open: new OpenTransactions(),
      follow: (options) => this.#changes.feed(options),
      view: () => new Transaction(this.#handle, true),
      readOnly,
      inside: undefined,
    };
    const where = place === "" ? "" : `, opened at ${place},`;
    this.#scope = new DatabaseScope(this.#handle, `the database ${paths.directory}${where}`);
    this.#changes = new Changes(this.#handle, databaseId);
    // The maintenance thread writes the log, and belongs to processes that write.
    if (readOnly) return;
    session.run({ attempted: "opening the log", path: paths.directory }, () =>
      calls.aerostore_log_attach(opened.handle, log ? 1 : 0),
    );
    // The segment is new: what the log is kept for is told again.
    if (report.mode === "ColdReplay") this.#changes.subscriptions.retain();
  }

  /**
   * A table; by name, it is typed by the catalog at run time. **Throws** `UNKNOWN_TABLE`,
   * `SCHEMA_MISMATCH`, `CLOSED`.
   */
  table<S extends TableShape>(definition: TableDefinition<S>): Table<S>;
  table(name: string): Table;
  table(which: string | TableDefinition): Table {
    this.#scope.use();
    const { catalog } = this.#handle;
    return new Table(this.#scope, typeof which === "string" ? catalog.find(which) : which);
  }

  /** Creates a table if it is missing. **Throws** `SCHEMA_MISMATCH`, `SEGMENT_FULL`, `CLOSED`. */
  createTable(definition: AnyTable): void {
    this.#scope.useToWrite();
    const { catalog, durability } = this.#handle;
    catalog.create(definition);
    const seen = durability.newestSeen;
    if (durability.isSynchronous) durability.waitSync(seen);
  }

  /** Definitions of all tables. */
  tables(): readonly TableDefinition<DynamicShape>[] {
    this.#scope.use();
    return this.#handle.catalog.list();
  }

  /**
   * Runs `body` in a transaction and commits it; runs it again when another was in the way. The
   * result of the run that was committed. Inside another `transact` of this handle it is a
   * savepoint of that: what `body` wrote is undone when it throws, else committed with the rest.
   *
   * **Throws** what `body` throws (nothing is committed then), `TypeError` when it returns a
   * promise, `SERIALIZATION_FAILURE` after the last attempt, `DUPLICATE_KEY`, `SEGMENT_FULL`.
   */
  transact<T>(body: (transaction: Transaction) => T, options?: TransactOptions): T {
    this.#scope.use();
    if (this.#handle.readOnly) throw readOnlyError();
    return transact(this.#handle, body, options);
  }

  /** Runs `body`, which sees one instant in all that it reads. Never waits, never fails. */
  snapshot<T>(body: (view: Transaction) => T): T {
    this.#scope.use();
    return snapshot(this.#handle, body);
  }

  /** Begins a transaction; any number may be open. **Throws** `CLOSED`. */
  begin(options: BeginOptions = {}): Transaction {
    checkOptions("begin", options, ["readOnly", "isRetry"]);
    const { readOnly = this.#handle.readOnly, isRetry = false } = options;
    this.#scope.use();
    if (this.#handle.readOnly && !readOnly) throw readOnlyError();
    return new Transaction(this.#handle, readOnly, isRetry).hold();
  }

  /** What became of the transaction that `token` names, for at least the last million commits. */
  outcome(token: string): Outcome {
    this.#scope.use();
    const { low, high } = parseToken(token);
    const { session } = this.#handle;
    session.run({ attempted: "asking for an outcome" }, () =>
      session.calls.aerostore_outcome_of(session.handle, low, high),
    );
    return nameOf(OutcomeState, session.u32[words.outcome] ?? 0) ?? "unknown";
  }

  /** Changes a setting for all sessions. **Throws** `UNKNOWN_FIELD`, `INVALID_VALUE`. */
  setConfig(key: ConfigKey | (string & {}), value: string | number | boolean): void {
    this.#scope.useToWrite();
    setConfig(this.#handle.session, key, value);
  }

  /** A setting, as text. **Throws** `UNKNOWN_FIELD`. */
  getConfig(key: ConfigKey | (string & {})): string {
    this.#scope.use();
    return getConfig(this.#handle.session, key);
  }

  /** All settings. */
  config(): Record<string, string> {
    this.#scope.use();
    return listConfig(this.#handle.session);
  }

  /**
   * Settles when everything that this handle has committed or seen is on disk, whichever session
   * committed it. Never blocks. Rejects with `LOG_POISONED`, `IO_ERROR`, `CLOSED`.
   */
  async durable(): Promise<void> {
    this.#scope.use();
    await this.#handle.durability.wait(this.#handle.durability.newestSeen);
  }

  /**
   * What is committed from here on, or from a position, by whatever process: whole transactions in
   * serial order, each once. **Throws** `UNKNOWN_TABLE`, `INVALID_VALUE`, `POSITION_LOST`,
   * `CLOSED`.
   */
  changes(options: ChangesOptions = {}): ChangeFeed {
    this.#scope.use();
    return this.#changes.feed(options);
  }

  /** The named subscriptions, by name. */
  subscriptions(): readonly SubscriptionInfo[] {
    this.#scope.use();
    return this.#changes.subscriptions.list();
  }

  /** Forgets a subscription, and lets the log go that is kept for it. False: there is none. */
  dropSubscription(name: string): boolean {
    this.#scope.use();
    return this.#changes.subscriptions.drop(name);
  }

  /** Where the database is now: after every commit that is visible. */
  position(): Position {
    this.#scope.use();
    return this.#changes.position();
  }

  /**
   * Settles when everything before `position` is visible here: what another process has committed,
   * and told the position of. **Throws** `INVALID_VALUE`, `POSITION_LOST`, `LOCK_TIMEOUT`,
   * `CLOSED`.
   */
  async waitFor(position: Position, options: WaitForOptions = {}): Promise<void> {
    this.#scope.use();
    await this.#changes.waitFor(position, options);
  }

  /** Writes a checkpoint. **Throws** `IO_ERROR`, `LOG_POISONED`. */
  async checkpoint(options?: CheckpointOptions): Promise<CheckpointReport> {
    this.#scope.use();
    if (this.#handle.readOnly) throw readOnlyError();
    const { Checkpointer } = await import("../admin/checkpoint.ts");
    this.#checkpointer ??= new Checkpointer(this.#handle.session, this.directory);
    return this.#checkpointer.run(options);
  }

  stats(): Stats {
    this.#scope.use();
    const { session, catalog, searches } = this.#handle;
    const tables = catalog.list().map((definition): [string, number] => {
      return [definition.name, searches.plans.rowCount(catalog.bind(definition))];
    });
    return readStats(session, Object.fromEntries(tables));
  }

  /** Verifies segment, rows, indexes, log and checkpoint. Takes time in proportion to them. */
  check(): CheckReport {
    this.#scope.use();
    return checkDatabase(this.#handle.session, this.directory);
  }

  /**
   * Aborts what is open and leaves. Does nothing when it is closed. **Throws** `TypeError` inside
   * `transact` and `snapshot`.
   */
  close(): void {
    this.#close("close()");
  }

  #close(by: Closing): void {
    if (this.#scope.isOver) return;
    this.#scope.refuseInside("closing the database");
    this.#scope.closedBy = by;
    this.#handle.open.abortAll();
    this.#handle.durability.close();
    this.#changes.close();
    this.#scope.end();
    this.#handle.session.close();
  }

  [Symbol.dispose](): void {
    this.#close("the end of its `using` scope");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close("the end of its `await using` scope");
  }
}
