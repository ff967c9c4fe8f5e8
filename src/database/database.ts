/** `open` and the handle that it gives. */
import { boot } from "../boot/run.ts";
import type { BootProgress, BootReport, Booted } from "../boot/run.ts";
import { dataDirectoryDefault } from "../boot/paths.ts";
import { Catalog } from "../session/catalog.ts";
import { checkDatabase } from "../admin/check.ts";
import type { CheckReport } from "../admin/check.ts";
import type { Checkpointer, CheckpointOptions, CheckpointReport } from "../admin/checkpoint.ts";
import { getConfig, listConfig, setConfig } from "../admin/settings.ts";
import type { ConfigKey } from "../admin/settings.ts";
import { DurabilityMonitor } from "../admin/durability.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { loadLibrary } from "../ffi/library.ts";
import { viewSessionBlock } from "../session/io-block.ts";
import type { AnyTable, DynamicShape, TableDefinition, TableShape } from "../schema/table.ts";
import { autoCommit, OpenTransactions, Scope } from "./scope.ts";
import type { Handle } from "./scope.ts";
import { SearchRunner } from "../search/search-runner.ts";
import { Session, words } from "../session/session.ts";
import { readStats } from "../admin/stats.ts";
import type { Stats } from "../admin/stats.ts";
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
  /** Size of the segment, when one has to be created: 4 MiB to 32 GiB. Default 1 GiB, sparse. */
  readonly maxBytes?: number | undefined;
  /** Sessions that may be attached at once, likewise: 16 to 4,096. Default 256. */
  readonly maxSessions?: number | undefined;
  /** How long to wait while another process boots or recovers the database. Default 600,000. */
  readonly bootTimeoutMs?: number | undefined;
  /** Told at each step of the way. */
  readonly onBoot?: ((progress: BootProgress) => void) | undefined;
}

/** What became of a transaction. */
export type Outcome = "unknown" | "pending" | "committed" | "aborted";

const maxBytesDefault = 1 << 30;
const maxBytesMin = 4 << 20;
const maxBytesMax = 2 ** 35;
const extentSize = 1 << 20;
const sessionsDefault = 256;
const sessionsMin = 16;
const sessionsMax = 4_096;
const bootTimeoutMsDefault = 600_000;
const outcomes: readonly Outcome[] = ["unknown", "pending", "committed", "aborted"];

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
  const maxBytes = options.maxBytes ?? maxBytesDefault;
  checkOption("maxBytes", maxBytes, maxBytesMin, maxBytesMax);
  const sessionCount = options.maxSessions ?? sessionsDefault;
  checkOption("maxSessions", sessionCount, sessionsMin, sessionsMax);
  const { symbols } = loadLibrary();
  const booted = await boot(symbols, {
    directory,
    shmPath: options.shmPath,
    segmentSize: Math.ceil(maxBytes / extentSize) * extentSize,
    sessionCount,
    lockTimeoutMs: options.bootTimeoutMs ?? bootTimeoutMsDefault,
    onProgress: options.onBoot,
  });
  const database = new Database(symbols, booted);
  try {
    for (const table of options.tables ?? []) database.createTable(table);
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

/** Statements outside a transaction: each is one of its own. */
class DatabaseScope extends Scope {
  constructor(handle: Handle) {
    super(handle, autoCommit, false);
  }

  override wrote(): void {
    const { durability } = this.handle;
    if (durability.isSynchronous) durability.waitSync(durability.reliedOn);
  }

  override atomically<T>(body: (scope: Scope) => T): T {
    return transact(this.handle, (transaction) => body(transaction.scope));
  }

  protected override closedText(): string {
    return "the database is closed: open it again";
  }
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
  #checkpointer: Checkpointer | undefined;

  /** For `open`. */
  constructor(calls: Symbols, { report, session: opened, paths }: Booted) {
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
    };
    this.#scope = new DatabaseScope(this.#handle);
    session.run({ attempted: "opening the log", path: paths.directory }, () =>
      calls.aerostore_log_attach(opened.handle, 1),
    );
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
    this.#scope.use();
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
   * result of the run that was committed.
   *
   * **Throws** what `body` throws (nothing is committed then), `TypeError` when it returns a
   * promise, `SERIALIZATION_FAILURE` after the last attempt, `DUPLICATE_KEY`, `SEGMENT_FULL`.
   */
  transact<T>(body: (transaction: Transaction) => T, options?: TransactOptions): T {
    this.#scope.use();
    return transact(this.#handle, body, options);
  }

  /** Runs `body`, which sees one instant in all that it reads. Never waits, never fails. */
  snapshot<T>(body: (view: Transaction) => T): T {
    this.#scope.use();
    return snapshot(this.#handle, body);
  }

  /** Begins a transaction; any number may be open. **Throws** `CLOSED`. */
  begin(options: BeginOptions = {}): Transaction {
    this.#scope.use();
    return new Transaction(this.#handle, options.readOnly ?? false, options.isRetry ?? false);
  }

  /** What became of the transaction that `token` names, for at least the last million commits. */
  outcome(token: string): Outcome {
    this.#scope.use();
    const { low, high } = parseToken(token);
    const { session } = this.#handle;
    session.run({ attempted: "asking for an outcome" }, () =>
      session.calls.aerostore_outcome_of(session.handle, low, high),
    );
    return outcomes[session.u32[words.outcome] ?? 0] ?? "unknown";
  }

  /** Changes a setting for all sessions. **Throws** `UNKNOWN_FIELD`, `INVALID_VALUE`. */
  setConfig(key: ConfigKey | (string & {}), value: string | number | boolean): void {
    this.#scope.use();
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
   * Settles when everything that this handle has committed or seen is on disk, whoever committed
   * it. Never blocks. Rejects with `LOG_POISONED`, `IO_ERROR`, `CLOSED`.
   */
  async durable(): Promise<void> {
    this.#scope.use();
    await this.#handle.durability.wait(this.#handle.durability.newestSeen);
  }

  /** Writes a checkpoint. **Throws** `IO_ERROR`, `LOG_POISONED`. */
  async checkpoint(options?: CheckpointOptions): Promise<CheckpointReport> {
    this.#scope.use();
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

  /** Aborts what is open and leaves. Does nothing when it is closed. */
  close(): void {
    if (this.#scope.isOver) return;
    this.#handle.open.abortAll();
    this.#handle.durability.close();
    this.#scope.end();
    this.#handle.session.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
