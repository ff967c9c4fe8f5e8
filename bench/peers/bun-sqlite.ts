/** SQLite as it comes with Bun, on a file and in memory. */
import { Database } from "bun:sqlite";
import type { Value } from "../workloads/model.ts";
import type { Peer } from "./peer.ts";
import { openSqlite } from "./sqlite.ts";
import type { SqliteDriver } from "./sqlite.ts";

function connect(path: string): SqliteDriver {
  const database = new Database(path, { create: true });
  return {
    prepare: (sql) => {
      const statement = database.prepare<unknown, Value[]>(sql);
      return statement;
    },
    exec: (sql) => database.run(sql),
    close: () => database.close(),
  };
}

async function version(): Promise<string> {
  const database = new Database(":memory:");
  const { v } = database.query("SELECT sqlite_version() AS v").get() as { v: string };
  database.close();
  return `SQLite ${v}`;
}

export const bunSqlite: Peer = {
  name: "bun:sqlite",
  promises: {
    survives: "processes",
    loses: "on power loss: anything, perhaps the file (WAL, synchronous=OFF)",
    isolation: "serializable",
    shared: "processes",
  },
  cannot: {},
  getIt: "comes with Bun",
  version,
  open: (place, shapes, options) => openSqlite(connect, place, shapes, options),
};

export const bunSqliteMemory: Peer = {
  name: "bun:sqlite-memory",
  promises: {
    survives: "nothing",
    loses: "everything with the process",
    isolation: "serializable",
    shared: "one thread",
  },
  cannot: {
    processes: "a database in memory belongs to one connection",
    durable: "in memory",
    restart: "in memory",
    overlap: "one connection",
    log: "in memory",
  },
  getIt: "comes with Bun",
  version,
  open: (_place, shapes, options) => openSqlite(connect, undefined, shapes, options),
};
