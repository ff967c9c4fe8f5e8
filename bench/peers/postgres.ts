/**
 * PostgreSQL over a unix socket with Bun.sql: prepared statements, asynchronous commit. Rows carry
 * decimals as double precision, which is the fastest that holds them.
 */
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import type { AnyShape, Change, Column, Key, Query, Shape, Value } from "../workloads/model.ts";
import type {
  Body,
  OpenOptions,
  OpenTx,
  Peer,
  Place,
  Service,
  Store,
  Table,
  TxTable,
} from "./peer.ts";
import { runSoon } from "./peer.ts";
import { findProgram, startServer, versionOf } from "./server.ts";
import {
  createTable,
  deleteByKey,
  insertRow,
  keyOf,
  onConflictUpdate,
  selectByKey,
  selectWhere,
  updateByChange,
} from "./sql.ts";
import type { Dialect } from "./sql.ts";

const pipelineDepth = 64;
const serverUser = "postgres";
const insertRowsMax = 500;

const types: Readonly<Record<Column["kind"], string>> = {
  string: "text",
  bytes: "bytea",
  i32: "integer",
  i64: "bigint",
  decimal: "double precision",
};

const dialect: Dialect = {
  parameter: (position) => `$${position}`,
  type: (column) => types[column.kind],
  tableOptions: () => "",
  match: (column, parameter) => `${column} LIKE translate(${parameter}, '*?', '%_')`,
};

/** Runs statements: a connection, or a transaction on one. */
type Runner = Pick<SQL, "unsafe">;

class PostgresStore implements Store {
  readonly inFlight: number;
  readonly #sql: SQL;

  constructor(sql: SQL, inFlight: number) {
    this.#sql = sql;
    this.inFlight = inFlight;
  }

  table<R extends object>(shape: Shape<R>): Table<R> {
    return new PostgresTable(this.#sql, shape);
  }

  async transact<T>(body: Body<T>): Promise<T> {
    for (;;) {
      await this.#sql.unsafe("BEGIN ISOLATION LEVEL SERIALIZABLE");
      try {
        const result = await runSoon(body(new PostgresTx(this.#sql)));
        await this.#sql.unsafe("COMMIT");
        return result;
      } catch (error) {
        await this.#sql.unsafe("ROLLBACK");
        if (!isConflict(error)) throw error;
      }
    }
  }

  async begin(): Promise<OpenTx> {
    const own = await this.#sql.reserve();
    await own.unsafe("BEGIN ISOLATION LEVEL SERIALIZABLE");
    const end = async (command: string): Promise<void> => {
      try {
        await own.unsafe(command);
      } finally {
        own.release();
      }
    };
    const tx = new PostgresTx(own);
    return {
      table: (shape) => tx.table(shape),
      savepoint: () => tx.savepoint(),
      rollback: () => tx.rollback(),
      commit: () => end("COMMIT"),
      abort: () => end("ROLLBACK"),
    };
  }

  isConflict(error: unknown): boolean {
    return isConflict(error);
  }

  async logBytes(): Promise<number> {
    const text = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes";
    const [row] = (await this.#sql.unsafe(text)) as { bytes: string }[]; // as it is named
    return Number(row?.bytes ?? 0);
  }

  /** A commit that waits for the log takes all earlier ones with it. */
  async settle(): Promise<void> {
    await this.#sql.unsafe("BEGIN");
    await this.#sql.unsafe("SET LOCAL synchronous_commit = on");
    await this.#sql.unsafe("SELECT pg_logical_emit_message(true, 'bench', '')");
    await this.#sql.unsafe("COMMIT");
  }

  async close(): Promise<void> {
    await this.#sql.close();
  }
}

class PostgresTable<R extends object> implements Table<R>, TxTable<R> {
  readonly #sql: Runner;
  readonly #shape: Shape<R>;
  readonly #upsert: string;
  readonly #select: string;
  readonly #delete: string;
  /** Columns that arrive as text. */
  readonly #wide: readonly string[];

  constructor(sql: Runner, shape: Shape<R>) {
    this.#sql = sql;
    this.#shape = shape;
    this.#upsert = insertRow(shape, dialect) + onConflictUpdate(shape);
    this.#select = selectByKey(shape, dialect);
    this.#delete = deleteByKey(shape, dialect);
    this.#wide = shape.columns.filter(({ kind }) => kind === "i64").map(({ name }) => name);
  }

  async load(rows: readonly R[]): Promise<void> {
    const { name, columns, values } = this.#shape;
    const names = columns.map((column) => column.name).join(", ");
    for (let at = 0; at < rows.length; at += insertRowsMax) {
      const batch = rows.slice(at, at + insertRowsMax).map(values);
      const lists = batch.map((row, i) => {
        const places = row.map((_, j) => dialect.parameter(i * row.length + j + 1));
        return `(${places.join(", ")})`;
      });
      const text = `INSERT INTO ${name} (${names}) VALUES ${lists.join(", ")}`;
      await this.#sql.unsafe(text, batch.flat());
    }
    await this.#sql.unsafe(`ANALYZE ${name}`);
  }

  async upsert(row: R): Promise<void> {
    await this.#sql.unsafe(this.#upsert, this.#shape.values(row));
  }

  upsertDurable(row: R): Promise<void> {
    return this.upsert(row);
  }

  async get(key: Key): Promise<R | undefined> {
    const [row] = this.#rows(await this.#sql.unsafe(this.#select, [key]));
    return row;
  }

  async delete(key: Key): Promise<void> {
    await this.#sql.unsafe(this.#delete, [key]);
  }

  modify(change: Change<R>): (key: Key, value: number) => Promise<void> {
    const raise = (column: string): string =>
      `set_byte(${column}, 0, (get_byte(${column}, 0) + 1) % 128)`;
    const text = updateByChange(this.#shape, change, dialect, raise);
    return async (key, value) => {
      await this.#sql.unsafe(text, [key, value]);
    };
  }

  search(query: Query): (values: readonly Value[]) => Promise<R[]>;
  search(query: Query, values: readonly Value[]): Promise<R[]>;
  search(
    query: Query,
    values?: readonly Value[],
  ): Promise<R[]> | ((values: readonly Value[]) => Promise<R[]>) {
    const text = textOf(this.#shape, query);
    const run = async (given: readonly Value[]): Promise<R[]> =>
      this.#rows(await this.#sql.unsafe(text, [...given]));
    return values === undefined ? run : run(values);
  }

  count(query: Query): (values: readonly Value[]) => Promise<number> {
    const text = selectWhere(this.#shape, query, dialect, "count(*)::int AS n");
    return async (values) => {
      const [row] = (await this.#sql.unsafe(text, [...values])) as { n: number }[]; // as named
      return row?.n ?? 0;
    };
  }

  /** `COPY` takes the lines from a file that only this needs. */
  async ingest(text: Uint8Array): Promise<void> {
    const { name } = this.#shape;
    const key = keyOf(this.#shape).name;
    const names = this.#shape.columns.map((column) => column.name).join(", ");
    const path = `${await this.#socketFolder()}/ingest.tsv`;
    await Bun.write(path, text);
    await this.#sql.unsafe(
      `CREATE UNLOGGED TABLE stage (LIKE ${name}); ALTER TABLE stage ADD at serial; ` +
        `COPY stage (${names}) FROM '${path}'`,
    );
    await this.#sql.unsafe(
      `INSERT INTO ${name} (${names}) SELECT DISTINCT ON (${key}) ${names} FROM stage ` +
        `ORDER BY ${key}, at DESC${onConflictUpdate(this.#shape)}; DROP TABLE stage`,
    );
  }

  async #socketFolder(): Promise<string> {
    const [row] = await this.#sql.unsafe("SHOW unix_socket_directories");
    return String(Object.values(row as object)[0]);
  }

  #rows(found: unknown): R[] {
    const rows = found as R[]; // as they were selected
    if (this.#wide.length > 0) {
      for (const row of rows as Record<string, unknown>[]) {
        for (const name of this.#wide) row[name] = Number(row[name]);
      }
    }
    return rows;
  }
}

class PostgresTx {
  readonly #sql: Runner;

  constructor(sql: Runner) {
    this.#sql = sql;
  }

  table<R extends object>(shape: Shape<R>): TxTable<R> {
    return new PostgresTable(this.#sql, shape);
  }

  async savepoint(): Promise<void> {
    await this.#sql.unsafe("SAVEPOINT s");
  }

  async rollback(): Promise<void> {
    await this.#sql.unsafe("ROLLBACK TO s");
  }
}

const texts = new WeakMap<Query, string>();

function textOf(shape: AnyShape, query: Query): string {
  let text = texts.get(query);
  if (text === undefined) {
    text = selectWhere(shape, query, dialect);
    texts.set(query, text);
  }
  return text;
}

function isConflict(error: unknown): boolean {
  return error instanceof SQL.PostgresError && /^40(001|P01)$/.test(String(error.errno));
}

function connect(place: Place, connections: number): SQL {
  return new SQL({
    adapter: "postgres",
    path: join(place.memory, ".s.PGSQL.5432"),
    username: "bench",
    database: "postgres",
    max: connections,
    idleTimeout: 0,
  });
}

/** The server's own folders; it refuses to run as root, so root lends it another user. */
async function start(place: Place, options: OpenOptions): Promise<Service> {
  const data = join(place.directory, "pg");
  mkdirSync(data, { recursive: true });
  const isRoot = process.getuid?.() === 0;
  const as = isRoot
    ? ["setpriv", `--reuid=${serverUser}`, `--regid=${serverUser}`, "--clear-groups"]
    : [];
  if (isRoot) {
    const id = (flag: string): number =>
      Number(Bun.spawnSync(["id", flag, serverUser]).stdout.toString());
    for (const folder of [data, place.memory]) chownSync(folder, id("-u"), id("-g"));
  }
  const initdb = findServer("initdb") ?? "initdb";
  const created = Bun.spawnSync([
    ...as,
    initdb,
    ...["-D", data, "-A", "trust", "-U", "bench", "--no-sync", "-E", "UTF8", "--locale=C"],
  ]);
  if (created.exitCode !== 0) throw new Error(`initdb: ${created.stderr.toString()}`);
  const settings = {
    listen_addresses: "",
    unix_socket_directories: place.memory,
    synchronous_commit: options.durable ? "on" : "off",
    max_connections: "400",
    shared_buffers: "1GB",
    max_wal_size: "4GB",
    max_pred_locks_per_transaction: "256",
    jit: "off",
    dynamic_shared_memory_type: "mmap", // leaves nothing behind when it is ended at once
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return startServer({
    command: [...as, findServer("postgres") ?? "postgres", "-D", data, ...flags],
    log: join(place.directory, "postgres.log"),
    signal: "SIGINT",
    crashSignal: "SIGQUIT", // killed, it would leave its other processes behind
    probe: async () => {
      const sql = connect(place, 1);
      try {
        await sql.unsafe("SELECT 1");
      } finally {
        await sql.close();
      }
    },
  });
}

function findServer(name: string): string | undefined {
  const folders = [
    ...new Bun.Glob("*/bin").scanSync({ cwd: "/usr/lib/postgresql", onlyFiles: false }),
  ];
  return findProgram(
    name,
    folders.map((folder) => `/usr/lib/postgresql/${folder}`),
  );
}

async function openStore(
  place: Place,
  shapes: readonly AnyShape[],
  options: OpenOptions,
  inFlight: number,
): Promise<Store> {
  const sql = connect(place, options.connections ?? (options.durable ? pipelineDepth : 1));
  if (options.create) {
    for (const shape of shapes) {
      await sql.unsafe(createTable(shape, dialect));
      const key = keyOf(shape).name;
      for (const { name, indexed } of shape.columns) {
        if (indexed !== true) continue;
        await sql.unsafe(`CREATE INDEX ON ${shape.name} (${name}, ${key})`);
      }
    }
  }
  return new PostgresStore(sql, inFlight);
}

function peer(name: string, inFlight: number): Peer {
  return {
    name,
    promises: {
      survives: "programs",
      loses: "on power loss or a crash of the server: up to 0.6 s (synchronous_commit=off)",
      isolation: "serializable",
      shared: "network",
    },
    cannot: {},
    getIt: "apt-get install postgresql",
    version: () => versionOf(findServer("postgres")),
    start,
    open: (place, shapes, options) => openStore(place, shapes, options, inFlight),
  };
}

/** One statement after the other. */
export const postgres: Peer = peer("postgres", 1);

/** Many statements under way on one connection. */
export const postgresPipelined: Peer = {
  ...peer("postgres-pipelined", pipelineDepth),
  cannot: {
    transact: "a transaction has its connection to itself",
    overlap: "a transaction has its connection to itself",
  },
};
