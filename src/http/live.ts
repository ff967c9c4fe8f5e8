/**
 * Live streams as Server-Sent Events: standing queries and changes.
 *
 * All standing queries of a table share one `watchMany`. A client that does not take its events
 * gets none: its query is removed, and begins again with everything when it reads on, so that
 * nothing is buffered for it and no other client waits.
 */
import type { Change } from "../changes/feed.ts";
import type { Position } from "../changes/position.ts";
import type { Delta } from "../changes/standing.ts";
import type { WatchSet } from "../database/watch.ts";
import type { DynamicShape } from "../schema/table.ts";
import { parameterOf, tableOf } from "./door.ts";
import type { Door, DoorRequest, DoorServer, Handler } from "./door.ts";
import { HttpProblem } from "./problem.ts";
import { wireMember, wireValue } from "./values.ts";

type Row = DynamicShape["row"];
type Key = DynamicShape["key"];
type LiveSet = WatchSet<Row, Key, number>;

/** So often a quiet stream says that it lives; proxies end what is silent for a minute. */
const heartbeatMs = 15_000;
/** Events that wait for one client before its query is taken from it. */
const waitingMax = 16;
const encoder = new TextEncoder();

/** One client of one table. */
class Client {
  readonly #columns: readonly string[];
  readonly #restart: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #isCut = false;

  constructor(columns: readonly string[], restart: () => void) {
    this.#columns = columns;
    this.#restart = restart;
  }

  open(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.send(eventText("columns", this.#columns));
  }

  /** Whether there was room for it. */
  tell(delta: Delta<Row, Key>): boolean {
    if ((this.#controller?.desiredSize ?? 0) <= 0) {
      this.#isCut = true;
      return false;
    }
    this.send(eventText("delta", wireDelta(this.#columns, delta)));
    return true;
  }

  send(text: string): void {
    this.#controller?.enqueue(encoder.encode(text));
  }

  /** It has read on. */
  pull(): void {
    if (!this.#isCut) return;
    this.#isCut = false;
    this.#restart();
  }

  fail(error: unknown): void {
    this.#controller?.error(error);
    this.#controller = undefined;
  }
}

/** The clients of one table. */
class Room {
  readonly #set: LiveSet;
  readonly #clients = new Map<number, Client>();
  readonly #onEmpty: () => void;

  constructor(set: LiveSet, onEmpty: () => void) {
    this.#set = set;
    this.#onEmpty = onEmpty;
    void this.#pump();
  }

  /** **Throws** what `watch` throws. */
  add(id: number, client: Client, query: unknown, minIntervalMs: number): void {
    this.#set.add(id, query, { minIntervalMs });
    this.#clients.set(id, client);
  }

  remove(id: number): void {
    this.#set.remove(id);
    this.#clients.delete(id);
    if (this.#clients.size > 0) return;
    this.#set.close();
    this.#onEmpty();
  }

  beat(): void {
    for (const client of this.#clients.values()) client.send(": \n\n");
  }

  async #pump(): Promise<void> {
    try {
      for await (const [id, delta] of this.#set) {
        if (this.#clients.get(id)?.tell(delta) === false) this.#set.remove(id);
      }
    } catch (error) {
      for (const client of this.#clients.values()) client.fail(error);
      this.#onEmpty();
    }
  }
}

/** All live streams of a door. */
export class LiveStreams {
  readonly #door: Door;
  readonly #rooms = new Map<string, Room>();
  #count = 0;
  #lastId = 0;
  #heart: ReturnType<typeof setInterval> | undefined;

  constructor(door: Door) {
    this.#door = door;
  }

  /** `GET /v1/tables/T/watch?q=STAPI&minIntervalMs=1000`. */
  get watch(): Handler {
    return (request, server) => {
      const parameters = new URL(request.url).searchParams;
      const table = tableOf(this.#door, request);
      const name = parameterOf(request, "table");
      const query = parameters.get("q") ?? "";
      const minIntervalMs = millisecondsOf(parameters);
      const id = ++this.#lastId;
      const room = (): Room => {
        const open = this.#rooms.get(name);
        if (open !== undefined) return open;
        const set = table.watchMany<number>();
        const made = new Room(set, () => void this.#rooms.delete(name));
        this.#rooms.set(name, made);
        return made;
      };
      const client = new Client(
        columnsOf(table.explain(query).fields, table.definition.key.name),
        () => room().add(id, client, query, minIntervalMs),
      );
      this.#enter();
      try {
        // A wrong query is a problem before the stream begins.
        room().add(id, client, query, minIntervalMs);
      } catch (error) {
        this.#leave();
        throw error;
      }
      return this.#stream(request, server, {
        start: (controller) => client.open(controller),
        pull: () => client.pull(),
        cancel: () => {
          this.#rooms.get(name)?.remove(id);
          this.#leave();
        },
      });
    };
  }

  /** `GET /v1/changes?from=&tables=a,b&values=`; `Last-Event-ID` goes on after that event. */
  get changes(): Handler {
    return (request, server) => {
      const parameters = new URL(request.url).searchParams;
      const tables = parameters.get("tables")?.split(",");
      for (const table of tables ?? [undefined]) {
        this.#door.access.check(request, { write: false, table });
      }
      const ending = new AbortController();
      const feed = this.#door.db.changes({
        from: beginOf(request.headers.get("last-event-id") ?? parameters.get("from")),
        tables,
        values: valuesOf(parameters.get("values")),
        signal: ending.signal,
      });
      const batches = feed.batches();
      this.#enter();
      let isOver = false;
      const end = (): void => {
        if (isOver) return;
        isOver = true;
        ending.abort();
        this.#leave();
      };
      return this.#stream(request, server, {
        async pull(controller) {
          try {
            const { value, done } = await batches.next();
            if (done === true) {
              end();
              controller.close();
            } else
              for (const change of value) controller.enqueue(encoder.encode(changeText(change)));
          } catch (error) {
            end();
            controller.enqueue(encoder.encode(eventText("error", errorOf(error))));
            controller.close();
          }
        },
        cancel: end,
      });
    };
  }

  #stream(
    request: DoorRequest,
    server: DoorServer,
    source: Bun.UnderlyingSource<Uint8Array>,
  ): Response {
    // A quiet stream is no idle request.
    server.timeout(request, 0);
    return new Response(new ReadableStream(source, { highWaterMark: waitingMax }), {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  #enter(): void {
    const { streams } = this.#door.limits;
    if (this.#count >= streams) {
      const found = `${streams} live streams are open, and there may be no more`;
      throw new HttpProblem(503, "TOO_MANY_STREAMS", found, {}, { "retry-after": "5" });
    }
    this.#count += 1;
    this.#heart ??= setInterval(() => {
      for (const room of this.#rooms.values()) room.beat();
    }, heartbeatMs);
    this.#heart.unref();
  }

  #leave(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    clearInterval(this.#heart);
    this.#heart = undefined;
  }
}

function millisecondsOf(parameters: URLSearchParams): number {
  const text = parameters.get("minIntervalMs") ?? "0";
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw new HttpProblem(400, "INVALID_VALUE", `minIntervalMs is a count of ms, not "${text}"`);
}

/** The key first. */
function columnsOf(fields: readonly string[], key: string): readonly string[] {
  return [key, ...fields.filter((name) => name !== key)];
}

function beginOf(text: string | null): "now" | "oldest" | "snapshot" | Position {
  if (text === null || text === "now" || text === "oldest" || text === "snapshot") {
    return text ?? "now";
  }
  // Checked by the feed.
  return text as Position;
}

function valuesOf(text: string | null): "changed" | "row" | "keys" {
  if (text === null || text === "changed") return "changed";
  if (text === "row" || text === "keys") return text;
  throw new HttpProblem(400, "INVALID_VALUE", `values is changed, row or keys, not "${text}"`);
}

/** Rows as arrays in the order of the columns, of which the key is the first. */
function wireDelta(columns: readonly string[], delta: Delta<Row, Key>): object {
  const rows = (list: readonly Row[]): unknown[] =>
    list.map((row) => columns.map((name) => wireValue(row[name] ?? null)));
  const { csn, reset, entered, changed, left, order } = delta;
  return {
    csn,
    reset,
    entered: rows(entered),
    changed: rows(changed),
    left: left.map((key) => wireValue(key)),
    ...(order === undefined ? {} : { order: order.map((key) => wireValue(key)) }),
  };
}

function changeText({ kind, csn, time, position, writes }: Change): string {
  const text = JSON.stringify({ csn, time: Number.isNaN(time) ? null : time, writes }, wireMember);
  return `id: ${position}\nevent: ${kind}\ndata: ${text}\n\n`;
}

function eventText(type: string, data: unknown): string {
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function errorOf(error: unknown): object {
  if (!(error instanceof Error)) return { code: "INTERNAL" };
  const code = "code" in error ? String(error.code) : "INTERNAL";
  return { code, detail: error.message };
}
