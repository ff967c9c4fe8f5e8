/**
 * Named subscriptions: how far a consumer has come, kept in a table of the database itself, so that
 * an effect and the position after it can be one commit. The log is kept for them, up to
 * `aerostore.log_retention_mb`; one that needs more is lost, by name, and never the database.
 *
 * A consumer that dies leaves its position: what it has not acknowledged is told again.
 */
import { AerostoreError } from "../errors.ts";
import type { Acknowledger, AnyTransaction, ChangeLag, ChangesOptions } from "../changes/feed.ts";
import { parsePosition } from "../changes/position.ts";
import type { Position } from "../changes/position.ts";
import { subscriptionsTable } from "../changes/system.ts";
import type { Timeline } from "../changes/timeline.ts";
import { t } from "../schema/column.ts";
import { defineTable } from "../schema/table.ts";
import type { Handle } from "./scope.ts";
import { transact } from "./transact.ts";
import { Transaction } from "./transaction.ts";

const Subscriptions = defineTable(subscriptionsTable, {
  name: t.string(64).primaryKey(),
  position: t.string(32),
  acknowledged_at: t.timestamp(),
  /** The process that consumes it, 0 none, and which of its consumers. */
  pid: t.u32(),
  consumer: t.string(16),
});

/** What is known of a named subscription. */
export interface SubscriptionInfo {
  readonly name: string;
  readonly position: Position;
  readonly lag: ChangeLag;
  /** Whether a process consumes it now. */
  readonly live: boolean;
  /** About so many bytes of the log are kept for it. */
  readonly retainedBytes: number;
  /** Why its position is of no more use, if so. */
  readonly lost?: string;
}

/** Between two commits of one consumer's acknowledgements. */
const ackIntervalMs = 100;
/** Consumers of this process that are alive. */
const living = new Set<string>();

export class SubscriptionList {
  readonly #handle: Handle;
  readonly #timeline: Timeline;

  constructor(handle: Handle, timeline: Timeline) {
    this.#handle = handle;
    this.#timeline = timeline;
  }

  /** Takes a name for a consumer. **Throws** `LOCK_TIMEOUT` while another one has it. */
  claim(name: string, options: ChangesOptions): Subscription {
    if (name === "" || Buffer.byteLength(name) > 64) {
      throw new RangeError("the name of a subscription has 1 to 64 bytes");
    }
    this.#handle.catalog.create(Subscriptions);
    const consumer = crypto.getRandomValues(new Uint8Array(8)).toHex();
    const from = transact(this.#handle, (tx) => {
      const rows = tx.table(Subscriptions);
      const known = rows.get(name);
      if (known !== undefined && isLive(known)) {
        const message =
          `following changes as "${name}": process ${known.pid} consumes this subscription; ` +
          "end that consumer, or choose another name";
        throw new AerostoreError("LOCK_TIMEOUT", message, { value: name });
      }
      const position = known?.position ?? this.#start(options);
      const acknowledged_at = known?.acknowledged_at ?? Date.now();
      rows.upsert({ name, position, acknowledged_at, pid: process.pid, consumer });
      return position;
    });
    living.add(consumer);
    this.retain();
    return new Subscription(this, this.#handle, name, consumer, from as Position);
  }

  #start({ from = "now" }: ChangesOptions): string {
    if (from === "now") return this.#timeline.positionOf(this.#timeline.now().csn);
    if (from === "oldest") return this.#timeline.positionOf(this.#timeline.oldest());
    if (from !== "snapshot") this.#timeline.check(from);
    return from;
  }

  list(): readonly SubscriptionInfo[] {
    const { catalog } = this.#handle;
    if (!catalog.list().some(({ name }) => name === subscriptionsTable)) return [];
    const now = this.#timeline.now();
    const oldest = this.#timeline.oldest();
    return transact(this.#handle, (tx) =>
      tx.table(Subscriptions).search("-sort name").toArray(),
    ).map((row) => {
      const csn = row.position === "snapshot" ? now.csn : parsePosition(row.position).csn;
      const csns = Math.max(0, now.csn - csn);
      const bytes = Math.ceil((now.logBytes * csns) / Math.max(now.csn, 1));
      const ms = csns === 0 ? 0 : Math.max(0, Date.now() - row.acknowledged_at);
      const lost = this.#lostReason(row.position, csn < oldest);
      return {
        name: row.name,
        position: row.position as Position,
        lag: { csns, bytes, ms },
        live: isLive(row),
        retainedBytes: bytes,
        ...(lost === undefined ? {} : { lost }),
      };
    });
  }

  #lostReason(position: string, isDropped: boolean): string | undefined {
    if (position === "snapshot") return undefined;
    try {
      this.#timeline.check(position);
    } catch (error) {
      if (error instanceof AerostoreError) return error.reason ?? error.code;
      throw error;
    }
    return isDropped ? "dropped" : undefined;
  }

  drop(name: string): boolean {
    const { catalog } = this.#handle;
    if (!catalog.list().some((table) => table.name === subscriptionsTable)) return false;
    const isThere = transact(this.#handle, (tx) => tx.table(Subscriptions).delete(name));
    this.retain();
    return isThere;
  }

  /** Tells the engine what the log is kept for. */
  retain(): void {
    const { session, catalog } = this.#handle;
    if (!catalog.list().some(({ name }) => name === subscriptionsTable)) return;
    const rows = transact(this.#handle, (tx) => tx.table(Subscriptions).search("").toArray());
    let least = Infinity;
    for (const { position } of rows) {
      if (position !== "snapshot") least = Math.min(least, parsePosition(position).csn);
    }
    const csn = Number.isFinite(least) ? least : 0;
    session.run({ attempted: "keeping the log for subscriptions" }, () =>
      session.calls.aerostore_log_retain(session.handle, csn),
    );
  }
}

interface Consumed {
  readonly pid: number;
  readonly consumer: string;
}

function isLive({ pid, consumer }: Consumed): boolean {
  if (pid === 0) return false;
  if (pid === process.pid) return living.has(consumer);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** One consumer of a named subscription. */
export class Subscription implements Acknowledger {
  readonly name: string;
  /** Where it goes on. */
  readonly from: Position;
  readonly #list: SubscriptionList;
  readonly #handle: Handle;
  readonly #consumer: string;
  #pending:
    { readonly position: Position; readonly settled: PromiseWithResolvers<void> } | undefined;
  #wroteAt = Number.NEGATIVE_INFINITY;

  constructor(
    list: SubscriptionList,
    handle: Handle,
    name: string,
    consumer: string,
    from: Position,
  ) {
    this.#list = list;
    this.#handle = handle;
    this.name = name;
    this.#consumer = consumer;
    this.from = from;
  }

  /** Settles when the position is on disk. What came before it is not told again. */
  ack(position: Position): Promise<void> {
    if (this.#pending !== undefined) {
      this.#pending = { position, settled: this.#pending.settled };
      return this.#pending.settled.promise;
    }
    const settled = Promise.withResolvers<void>();
    this.#pending = { position, settled };
    const waitMs = this.#wroteAt + ackIntervalMs - performance.now();
    if (waitMs <= 0) queueMicrotask(() => this.#write());
    else setTimeout(() => this.#write(), waitMs);
    return settled.promise;
  }

  /** Makes the position part of a transaction: both are committed, or neither. */
  ackIn(transaction: AnyTransaction, position: Position): void {
    if (!(transaction instanceof Transaction)) {
      throw new TypeError("ackIn takes a transaction: that of transact(), or of begin()");
    }
    const patch = { position, acknowledged_at: Date.now() };
    if (transaction.table(Subscriptions).update(this.name, patch)) return;
    throw this.#dropped();
  }

  release(): void {
    living.delete(this.#consumer);
    if (!this.#handle.session.isOpen) return;
    this.#write();
    transact(this.#handle, (tx) => {
      const rows = tx.table(Subscriptions);
      if (rows.get(this.name)?.consumer === this.#consumer) rows.update(this.name, { pid: 0 });
    });
  }

  #write(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = undefined;
    this.#wroteAt = performance.now();
    const { settled, position } = pending;
    try {
      if (!this.#handle.session.isOpen) {
        throw new AerostoreError("CLOSED", "acknowledging a change: the database was closed");
      }
      const transaction = transact(this.#handle, (tx) => {
        this.ackIn(tx, position);
        return { commit: tx };
      }).commit;
      this.#list.retain();
      transaction.durable.then(settled.resolve, settled.reject);
    } catch (error) {
      settled.reject(error);
    }
  }

  #dropped(): AerostoreError {
    const message = `acknowledging a change: the subscription "${this.name}" was dropped`;
    return new AerostoreError("CLOSED", message, { value: this.name });
  }
}
