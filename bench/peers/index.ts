/** The peers by name. Each is loaded only where it is used: a child process loads its own. */
import type { Peer } from "./peer.ts";

const loaders: Readonly<Record<string, () => Promise<Peer>>> = {
  aerostore: async () => (await import("./aerostore.ts")).aerostore,
  map: async () => (await import("./map.ts")).map,
  "map-append": async () => (await import("./map.ts")).mapAppending,
  "bun:sqlite": async () => (await import("./bun-sqlite.ts")).bunSqlite,
  "bun:sqlite-memory": async () => (await import("./bun-sqlite.ts")).bunSqliteMemory,
  "better-sqlite3": async () => (await import("./better-sqlite3.ts")).betterSqlite3,
  lmdb: async () => (await import("./lmdb.ts")).lmdb,
  redis: async () => (await import("./redis.ts")).redis,
  "redis-pipelined": async () => (await import("./redis.ts")).redisPipelined,
  "redis-rdb": async () => (await import("./redis.ts")).redisSnapshots,
  postgres: async () => (await import("./postgres.ts")).postgres,
  "postgres-pipelined": async () => (await import("./postgres.ts")).postgresPipelined,
};

export const peerNames: readonly string[] = Object.keys(loaders);

/** The peer of this name. **Throws** when there is none, or when its package cannot be loaded. */
export async function loadPeer(name: string): Promise<Peer> {
  const load = loaders[name];
  if (load === undefined) {
    throw new RangeError(`no peer "${name}"; there are ${peerNames.join(", ")}`);
  }
  return load();
}
