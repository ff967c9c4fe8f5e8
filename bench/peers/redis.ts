/**
 * Redis over a unix socket with Bun's client: a row is a hash, an index a sorted set. What touches
 * both is a script, so that each operation is atomic and one round trip. It keeps its data in an
 * append-only file (AOF) or, as a peer of its own, in snapshots (RDB).
 */
import { join } from "node:path";
import { RedisClient } from "bun";
import type { AnyShape, Change, Column, Key, Query, Shape, Value } from "../workloads/model.ts";
import { boundsOn, routeOf } from "./code.ts";
import { parseTsv } from "./lines.ts";
import type { OpenOptions, Peer, Place, Service, Store, Table } from "./peer.ts";
import { findProgram, startServer, versionOf } from "./server.ts";
import { keyOf } from "./sql.ts";

const pipelineDepth = 64;
/** Commands under way while loading. */
const loadDepth = 1_000;

const socketOf = (place: Place): string => join(place.memory, "redis.sock");

type Persistence = "aof" | "rdb";

class RedisStore implements Store {
  readonly inFlight: number;
  readonly #client: RedisClient;
  readonly #persistence: Persistence;

  constructor(client: RedisClient, inFlight: number, persistence: Persistence) {
    this.#client = client;
    this.inFlight = inFlight;
    this.#persistence = persistence;
  }

  table<R extends object>(shape: Shape<R>): Table<R> {
    return new RedisTable(this.#client, shape);
  }

  logBytes(): Promise<number> {
    return this.#info("persistence", "aof_current_size");
  }

  memoryBytes(): Promise<number> {
    return this.#info("memory", "used_memory");
  }

  /** Written is what the append-only file has; a snapshot has to be made. */
  async settle(): Promise<void> {
    if (this.#persistence === "rdb") await this.#client.send("SAVE", []);
  }

  async #info(section: string, name: string): Promise<number> {
    const text = String(await this.#client.send("INFO", [section]));
    return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(text)?.[1] ?? 0);
  }

  close(): void {
    this.#client.close();
  }
}

class RedisTable<R extends object> implements Table<R> {
  readonly #client: RedisClient;
  readonly #shape: Shape<R>;
  readonly #key: Column;
  readonly #names: readonly string[];
  readonly #upsert: Script;
  readonly #delete: Script;

  constructor(client: RedisClient, shape: Shape<R>) {
    this.#client = client;
    this.#shape = shape;
    this.#key = keyOf(shape);
    this.#names = shape.columns.map(({ name }) => name);
    const fields = shape.columns.map(({ name }, i) => `'${name}', ARGV[${i + 1}]`).join(", ");
    const indexed = shape.columns.flatMap(({ indexed, name }, position) =>
      indexed === true ? [{ set: `${shape.name}/${name}`, position }] : [],
    );
    const adds = indexed.map(
      ({ set, position }) => `redis.call('ZADD', '${set}', ARGV[${position + 1}], ARGV[1])`,
    );
    this.#upsert = new Script(client, [`redis.call('HSET', KEYS[1], ${fields})`, ...adds]);
    const removes = indexed.map(({ set }) => `redis.call('ZREM', '${set}', ARGV[1])`);
    this.#delete = new Script(client, ["redis.call('DEL', KEYS[1])", ...removes]);
  }

  async load(rows: readonly R[]): Promise<void> {
    for (let at = 0; at < rows.length; at += loadDepth) {
      await Promise.all(rows.slice(at, at + loadDepth).map((row) => this.upsert(row)));
    }
  }

  upsert(row: R): Promise<unknown> {
    return this.#write(this.#shape.values(row));
  }

  upsertDurable(row: R): Promise<unknown> {
    return this.upsert(row);
  }

  async get(key: Key): Promise<R | undefined> {
    const values = await this.#client.send("HMGET", [this.#place(key), ...this.#names]);
    return this.#decode(values as (string | null)[]); // what HMGET replies
  }

  delete(key: Key): Promise<unknown> {
    return this.#delete.run(this.#place(key), [String(key)]);
  }

  /** One command reads, one writes, one moves each index entry. */
  modify(change: Change<R>): (key: Key, value: number) => Promise<unknown> {
    const { name } = this.#shape;
    const read = change.steps.filter(({ kind }) => kind !== "set");
    const now = change.steps.map((step) => {
      const old = `old[${read.indexOf(step) + 1}]`;
      if (step.kind === "set") return { step, value: "ARGV[2]" };
      if (step.kind === "add") return { step, value: `${old} + ${step.add}` };
      const raised = `string.char((string.byte(${old}, 1) + 1) % 128) .. string.sub(${old}, 2)`;
      return { step, value: raised };
    });
    const names = read.map(({ column }) => `'${column}'`);
    const fields = now.flatMap(({ step, value }) => [`'${step.column}'`, value]);
    const moved = now.filter(({ step }) => this.#isIndexed(step.column));
    const script = new Script(this.#client, [
      ...(read.length > 0 ? [`local old = redis.call('HMGET', KEYS[1], ${names.join(", ")})`] : []),
      `redis.call('HSET', KEYS[1], ${fields.join(", ")})`,
      ...moved.map(
        ({ step, value }) => `redis.call('ZADD', '${name}/${step.column}', ${value}, ARGV[1])`,
      ),
    ]);
    return (key, value) => script.run(this.#place(key), [String(key), String(value)]);
  }

  search(query: Query): (values: readonly Value[]) => Promise<R[]> {
    const route = routeOf(this.#shape, query);
    if (route === undefined) throw new Error("Redis searches by one index");
    const bounds = boundsOn(query, route);
    const low = bounds.low;
    const high = bounds.high;
    const limit = query.limit === undefined || query.limit === 0 ? -1 : query.limit;
    const fields = this.#names.map((name) => `'${name}'`).join(", ");
    const descending = query.sort?.descending === true;
    const command = descending ? "ZREVRANGEBYSCORE" : "ZRANGEBYSCORE";
    const script = new Script(this.#client, [
      "local out = {}",
      `local keys = redis.call('${command}', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ${limit})`,
      `for i, k in ipairs(keys) do`,
      `out[i] = redis.call('HMGET', '${this.#shape.name}:' .. k, ${fields}) end`,
      "return out",
    ]);
    const index = `${this.#shape.name}/${route}`;
    return async (values) => {
      const from = low === undefined ? "-inf" : `${low.included ? "" : "("}${values[low.value]}`;
      const to = high === undefined ? "+inf" : `${high.included ? "" : "("}${values[high.value]}`;
      const found = await script.run(index, descending ? [to, from] : [from, to]);
      return (found as string[][]).flatMap((each) => this.#decode(each) ?? []); // as it returns
    };
  }

  async ingest(text: Uint8Array): Promise<void> {
    let waiting: Promise<unknown>[] = [];
    for (const values of parseTsv(this.#shape, text)) {
      waiting.push(this.#write(values));
      if (waiting.length < loadDepth) continue;
      await Promise.all(waiting);
      waiting = [];
    }
    await Promise.all(waiting);
  }

  #write(values: readonly Value[]): Promise<unknown> {
    const [key] = values;
    return this.#upsert.run(this.#place(String(key)), values.map(encode));
  }

  #place(key: Key): string {
    return `${this.#shape.name}:${key}`;
  }

  #isIndexed(column: string): boolean {
    return this.#shape.columns.some(({ name, indexed }) => name === column && indexed === true);
  }

  #decode(values: readonly (string | null)[]): R | undefined {
    if (values[0] === null) return undefined;
    const { columns } = this.#shape;
    return this.#shape.make(values.map((value, i) => decode(value ?? "", columns[i] ?? this.#key)));
  }
}

/** A script by its digest, loaded when it is first used. */
class Script {
  readonly #client: RedisClient;
  readonly #lines: readonly string[];
  #digest: string | undefined;
  #loading: Promise<string> | undefined;

  constructor(client: RedisClient, lines: readonly string[]) {
    this.#client = client;
    this.#lines = lines;
  }

  run(key: string, values: readonly string[]): Promise<unknown> {
    if (this.#digest !== undefined) return this.#call(this.#digest, key, values);
    this.#loading ??= this.#load();
    return this.#loading.then((digest) => this.#call(digest, key, values));
  }

  #call(digest: string, key: string, values: readonly string[]): Promise<unknown> {
    return this.#client.send("EVALSHA", [digest, "1", key, ...values]);
  }

  async #load(): Promise<string> {
    this.#digest = String(await this.#client.send("SCRIPT", ["LOAD", this.#lines.join("\n")]));
    return this.#digest;
  }
}

/** Bytes have to be text: the client's replies are. */
function encode(value: Value): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value);
}

function decode(value: string, column: Column): Value {
  if (column.kind === "string") return value;
  return column.kind === "bytes" ? Buffer.from(value, "latin1") : Number(value);
}

function settingsOf(persistence: Persistence, durable: boolean): Record<string, string> {
  // As it is delivered: after a minute, five or an hour, by how many writes there were.
  if (persistence === "rdb") return { appendonly: "no", save: "3600 1 300 100 60 10000" };
  return {
    appendonly: "yes",
    appendfsync: durable ? "always" : "everysec",
    "auto-aof-rewrite-percentage": "0",
    save: "",
  };
}

async function start(
  persistence: Persistence,
  place: Place,
  options: OpenOptions,
): Promise<Service> {
  const program = findServer() ?? "redis-server";
  const settings = {
    port: "0",
    unixsocket: socketOf(place),
    dir: place.directory,
    ...settingsOf(persistence, options.durable),
  };
  return startServer({
    command: [program, ...Object.entries(settings).flatMap(([name, v]) => [`--${name}`, v])],
    log: join(place.directory, "redis.log"),
    signal: "SIGTERM",
    crashSignal: "SIGKILL",
    probe: async () => {
      const client = await connect(place);
      try {
        await client.send("PING", []);
      } finally {
        client.close();
      }
    },
  });
}

async function connect(place: Place): Promise<RedisClient> {
  const client = new RedisClient(`redis+unix://${socketOf(place)}`, { autoReconnect: false });
  await client.connect();
  return client;
}

function findServer(): string | undefined {
  return findProgram("redis-server", []);
}

function peer(name: string, inFlight: number, persistence: Persistence): Peer {
  const isLogged = persistence === "aof";
  return {
    name,
    promises: {
      survives: isLogged ? "processes" : "programs",
      loses: isLogged
        ? "on power loss: up to a second (appendfsync everysec)"
        : "with its server: all since the last snapshot, minutes",
      isolation: "one command",
      shared: "network",
    },
    cannot: {
      ...(isLogged
        ? {}
        : { durable: "a snapshot is not made at each commit", log: "it writes no log" }),
      search: "Redis has no predicates without modules",
      transact: "a transaction cannot read and then decide, other than in a script",
      overlap: "no transactions beside each other",
    },
    getIt: "apt-get install redis-server",
    version: () => versionOf(findServer()),
    start: (place, options) => start(persistence, place, options),
    open: async (place, _shapes: readonly AnyShape[]) =>
      new RedisStore(await connect(place), inFlight, persistence),
  };
}

/** One operation after the other. */
export const redis: Peer = peer("redis", 1, "aof");

/** Many operations under way on one connection. */
export const redisPipelined: Peer = peer("redis-pipelined", pipelineDepth, "aof");

/** One after the other, with snapshots in place of the append-only file. */
export const redisSnapshots: Peer = peer("redis-rdb", 1, "rdb");
