/** SQLite behind better-sqlite3. */
import Database from "better-sqlite3";
import type { Value } from "../workloads/model.ts";
import { packageVersion } from "./package.ts";
import type { Peer } from "./peer.ts";
import { openSqlite } from "./sqlite.ts";
import type { SqliteDriver } from "./sqlite.ts";

function connect(path: string): SqliteDriver {
  const database = new Database(path);
  return {
    // A pragma is a reader to this driver: it must not be `run`.
    prepare: (sql) => database.prepare<Value[]>(sql),
    exec: (sql) => database.exec(sql),
    close: () => database.close(),
  };
}

export const betterSqlite3: Peer = {
  name: "better-sqlite3",
  promises: {
    survives: "processes",
    loses: "on power loss: anything, perhaps the file (WAL, synchronous=OFF)",
    isolation: "serializable",
    shared: "processes",
  },
  cannot: {},
  getIt: "bun install (it has no prebuilt library for this machine)",
  version: async () => {
    try {
      const database = new Database(":memory:");
      const row = database.prepare("SELECT sqlite_version() AS v").get() as { v: string };
      database.close();
      return `${await packageVersion("better-sqlite3")}, SQLite ${row.v}`;
    } catch {
      return undefined;
    }
  },
  open: (place, shapes, options) => openSqlite(connect, place, shapes, options),
};
