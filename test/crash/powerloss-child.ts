/**
 * Children of the power-loss suite. `work WORKER SEED`: numbered transactions, with checkpoints,
 * new tables and writes that change nothing in between; what was acknowledged as durable is said.
 * `decoy SEED`: a database of its own with a few durable rows. `look`: what is there.
 */
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database, Transaction } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";
import { cellCount, cellsOf, extraName, groupCount, markOf, sharedOf } from "./powerloss-plan.ts";

const Rows = defineTable("Rows", {
  id: t.u32().primaryKey(),
  n: t.u32().index(),
  text: t.string(40),
});

/** A table made while the others work. Two processes may disagree about its columns. */
function extraTable(name: string, isWide: boolean) {
  const narrow = { id: t.u32().primaryKey(), n: t.u32() };
  return isWide
    ? defineTable(name, { ...narrow, note: t.string(8).nullable() })
    : defineTable(name, narrow);
}

/** Codes that a disk with faults, or another process, may lead to. */
const expected = new Set(["IO_ERROR", "LOG_POISONED", "SERIALIZATION_FAILURE", "SCHEMA_MISMATCH"]);

/** True when `body` came to its end; the disk or another process may have been in the way. */
async function tried(what: string, body: () => unknown): Promise<boolean> {
  try {
    await body();
    return true;
  } catch (error) {
    if (!(error instanceof AerostoreError)) throw error;
    if (error.code === "LOG_POISONED") {
      say("poisoned");
      process.exit(0);
    }
    if (!expected.has(error.code)) say(`bad ${what}: ${error.code}: ${error.message}`);
    else say(`failed ${what} ${error.code}`);
    return false;
  }
}

class Worker {
  readonly #db: Database;
  readonly #worker: number;
  readonly #random: Random;
  #n: number;

  constructor(db: Database, worker: number, seed: number) {
    this.#db = db;
    this.#worker = worker;
    this.#random = new Random(seed);
    this.#n = db.table(Rows).get(markOf(worker))?.n ?? 0;
  }

  async run(): Promise<void> {
    say(`ready ${this.#n}`);
    for (let turn = 1; ; turn++) {
      await this.#turn();
      if (turn % 16 === 0) await Bun.sleep(0);
    }
  }

  async #turn(): Promise<void> {
    const die = this.#random.below(100);
    if (die < 40) await this.#commit("sync");
    else if (die < 78) await this.#commit("async");
    else if (die < 84) await this.#rewrite();
    else if (die < 88) await this.#read();
    else if (die < 92) await this.#durable();
    else if (die < 96) await this.#extra();
    else await tried("checkpoint", () => this.#db.checkpoint());
  }

  /** The next transaction. One that failed and is visible all the same counts, and is repeated. */
  async #commit(durability: "sync" | "async"): Promise<void> {
    const n = this.#n + 1;
    const write = (tx: Transaction): void => this.#write(tx, n);
    const done = await tried("commit", () => this.#db.transact(write, { durability }));
    const isThere = done || this.#db.table(Rows).get(markOf(this.#worker))?.n === n;
    if (isThere) this.#n = n;
    if (done) say(durability === "sync" ? `durable ${this.#worker} ${n}` : `done ${n}`);
    else if (isThere) await this.#rewrite();
  }

  #write(tx: Transaction, n: number): void {
    const rows = tx.table(Rows);
    const { upserts, deletes } = cellsOf(this.#worker, n);
    for (const row of upserts) rows.upsert(row);
    for (const id of deletes) rows.delete(id);
    const shared = sharedOf(n);
    rows.upsert({ id: shared, n: (rows.get(shared)?.n ?? 0) + 1, text: "" });
    rows.upsert({ id: markOf(this.#worker), n, text: "" });
  }

  /** Writes what is there, of this or another worker: it is durable when that returns. */
  async #rewrite(): Promise<void> {
    const worker = this.#random.oneIn(2) ? this.#worker : this.#random.below(6);
    let n = 0;
    const same = (tx: Transaction): void => {
      const found = tx.table(Rows).get(markOf(worker));
      n = found?.n ?? 0;
      if (found !== undefined) tx.table(Rows).upsert(found);
    };
    if (await tried("rewrite", () => this.#db.transact(same, { durability: "sync" }))) {
      say(`durable ${worker} ${n}`);
    }
  }

  /** The same without writing. */
  async #read(): Promise<void> {
    const worker = this.#random.below(6);
    let n = 0;
    const read = (tx: Transaction): void => {
      n = tx.table(Rows).get(markOf(worker))?.n ?? 0;
    };
    if (await tried("read", () => this.#db.transact(read, { durability: "sync" }))) {
      say(`durable ${worker} ${n}`);
    }
  }

  async #durable(): Promise<void> {
    const n = this.#n;
    if (await tried("durable", () => this.#db.durable())) say(`durable ${this.#worker} ${n}`);
  }

  /** Makes a table, perhaps with others at once, and writes into it. */
  async #extra(): Promise<void> {
    const name = extraName(this.#random.below(4), this.#n);
    const table = extraTable(name, this.#random.oneIn(2));
    const made = await tried("table", () => this.#db.createTable(table));
    if (!made) return;
    const row = { id: this.#worker, n: this.#n };
    const write = (tx: Transaction): unknown => tx.table(table).upsert(row);
    if (await tried("row", () => this.#db.transact(write, { durability: "sync" }))) {
      say(`row ${name} ${row.id} ${row.n}`);
    }
  }
}

async function work(): Promise<void> {
  let db: Database | undefined;
  await tried("open", async () => {
    db = await post.open({ tables: [Rows] });
  });
  if (db === undefined) return;
  await new Worker(db, post.number(1), post.number(2)).run();
}

async function decoy(): Promise<void> {
  await tried("decoy", async () => {
    const db = await post.open({ tables: [Rows] });
    for (let id = 1; id <= 5; id++) {
      const write = (tx: Transaction): unknown => tx.table(Rows).upsert({ id, n: id, text: "" });
      db.transact(write, { durability: "sync" });
      say(`decoy ${id}`);
    }
    db.close();
  });
}

/** All rows, and what `check` finds. */
async function look(): Promise<void> {
  try {
    using db = await post.open();
    const tables = db.tables().map(({ name }) => name);
    const rows = tables.includes("Rows") ? db.table(Rows).search("-sort id").toArray() : [];
    const extras = tables
      .filter((name) => name !== "Rows")
      .flatMap((name) =>
        db
          .table(name)
          .search()
          .toArray()
          .map((row) => [name, Number(row["id"]), Number(row["n"])]),
      );
    const { mode, reason } = db.boot;
    const { problems } = db.check();
    const cells = rows.map(({ id, n }) => [id, n]);
    say(JSON.stringify({ mode, reason, problems, tables, cells, extras }));
  } catch (error) {
    if (!(error instanceof AerostoreError)) throw error;
    say(JSON.stringify({ refused: `${error.code}: ${error.message}` }));
  }
}

// Rooms of all workers are apart.
if (cellCount < 1 || groupCount < 1) throw new RangeError("nothing to write");
if (post.word(0) === "work") await work();
else if (post.word(0) === "decoy") await decoy();
else await look();
