/** Following a database's changes: its feeds, and its place in its history. */
import { ChangeFeed } from "../changes/feed.ts";
import type { ChangesOptions, FeedSource, SnapshotRows } from "../changes/feed.ts";
import type { ChangeWrite } from "../changes/decode.ts";
import { ChangeMonitor } from "../changes/monitor.ts";
import type { Position } from "../changes/position.ts";
import { Timeline } from "../changes/timeline.ts";
import { Status } from "../ffi/abi.gen.ts";
import { numbers } from "../session/session.ts";
import type { Handle } from "./scope.ts";
import { SubscriptionList } from "./subscriptions.ts";
import { Transaction } from "./transaction.ts";

export interface WaitForOptions {
  /** Default: as long as it takes. */
  readonly timeoutMs?: number | undefined;
}

/** Rows of a snapshot that are handed out at once. */
const chunkRows = 1_000;

/** For `Database`. */
export class Changes {
  readonly #handle: Handle;
  readonly #monitor: ChangeMonitor;
  readonly #timeline: Timeline;
  readonly subscriptions: SubscriptionList;

  constructor(handle: Handle, databaseId: string) {
    this.#handle = handle;
    this.#monitor = new ChangeMonitor(handle.session, handle.readOnly);
    this.#timeline = new Timeline(handle.session, databaseId);
    this.subscriptions = new SubscriptionList(handle, this.#timeline);
  }

  feed(options: ChangesOptions): ChangeFeed {
    const { session, catalog } = this.#handle;
    const source: FeedSource = {
      session,
      catalog,
      monitor: this.#monitor,
      timeline: this.#timeline,
      snapshot: (tables) => new Snapshot(this.#handle, tables),
    };
    if (options.name === undefined) return new ChangeFeed(source, options);
    const subscription = this.subscriptions.claim(options.name, options);
    try {
      const durable = options.durable ?? true;
      return new ChangeFeed(source, { ...options, durable, from: subscription.from }, subscription);
    } catch (error) {
      subscription.release();
      throw error;
    }
  }

  position(): Position {
    return this.#timeline.positionOf(this.#timeline.now().csn);
  }

  async waitFor(position: string, { timeoutMs }: WaitForOptions): Promise<void> {
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
      throw new RangeError(`timeoutMs is from 0, not ${timeoutMs}`);
    }
    const csn = this.#timeline.awaited(position);
    const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    while (this.#timeline.now().csn < csn) {
      if (signal?.aborted === true) {
        const found = `it was not reached within ${timeoutMs} ms`;
        const subject = { attempted: `waiting for the position ${position}`, found };
        throw this.#handle.session.error(Status.lock_timeout, {
          ...subject,
          advice: "wait longer",
        });
      }
      const awaited = { csn: this.#timeline.now().csn, isDurable: false, keepsAlive: true };
      await this.#monitor.wait(awaited, signal);
    }
  }

  close(): void {
    this.#monitor.close();
  }
}

/** The rows of some tables at one instant. */
class Snapshot implements SnapshotRows {
  readonly csn: number;
  readonly #tables: readonly string[];
  readonly #view: Transaction;

  constructor(handle: Handle, tables: readonly string[]) {
    this.#tables = tables;
    this.#view = new Transaction(handle, true);
    const { session } = handle;
    session.run({ attempted: "reading a snapshot" }, () =>
      session.calls.aerostore_transaction_snapshot(session.handle, this.#view.scope.use()),
    );
    this.csn = session.f64[numbers.csn] ?? 0;
  }

  *chunks(): Generator<readonly ChangeWrite[], void> {
    for (const name of this.#tables) {
      const table = this.#view.table(name);
      const key = table.definition.key.name;
      let writes: ChangeWrite[] = [];
      for (const row of table.search("")) {
        writes.push({ table: name, op: "insert", key: row[key] ?? null, row });
        if (writes.length < chunkRows) continue;
        yield writes;
        writes = [];
      }
      if (writes.length > 0) yield writes;
    }
  }

  [Symbol.dispose](): void {
    this.#view.abort();
  }
}
