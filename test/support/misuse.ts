/**
 * Every method of the API with what misuse makes of it: one row of a table each. The same calls run
 * in a closed database, an ended transaction, a loop over a result, a transaction, a snapshot, a
 * Worker, and beside a handle that was closed.
 */
import { defineTable, t } from "../../src/index.ts";
import type { Database, Prepared, Result, Table, Transaction } from "../../src/index.ts";

export const Items = defineTable("Items", {
  id: t.i32().primaryKey(),
  rank: t.i32().index(),
  at: t.timestamp().nullable().index(),
});
type Shape = (typeof Items)["$shape"];

/** What a method is called on. */
export interface Subject {
  readonly db: Database;
  readonly table: Table<Shape>;
  readonly prepared: Prepared<Shape>;
  readonly result: Result<Shape["row"]>;
}

/** What a method does, which decides where it is allowed. */
export type Deed =
  /** Reads, and may do so wherever the database is open. */
  | "reads"
  /** Changes rows, tables or settings through the database. */
  | "writes"
  /** Runs a function in a transaction. */
  | "transacts"
  /** Ends the handle. */
  | "closes"
  /** Lets go: allowed everywhere. */
  | "ends";

/** A row of the table. */
export interface Misused {
  readonly name: string;
  readonly deed: Deed;
  readonly call: (subject: Subject) => unknown;
}

const row = { id: 1, rank: 1 };

/** An id beyond those of the tests, which no other thread takes. */
function freshId(): number {
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return 10_000 + (number >>> 2);
}

function line(name: string, deed: Deed, call: Misused["call"]): Misused {
  return { name, deed, call };
}

export const databaseMethods: readonly Misused[] = [
  line("table", "reads", ({ db }) => db.table(Items)),
  line("tables", "reads", ({ db }) => db.tables()),
  line("createTable", "writes", ({ db }) => db.createTable(Items)),
  line("transact", "transacts", ({ db }) => db.transact((tx) => tx.table(Items).get(1))),
  line("snapshot", "reads", ({ db }) => db.snapshot((view) => view.table(Items).get(1))),
  line("begin", "reads", ({ db }) => db.begin().abort()),
  line("outcome", "reads", ({ db }) => db.outcome("0000000000000001")),
  line("getConfig", "reads", ({ db }) => db.getConfig("aerostore.log_size_limit_mb")),
  line("setConfig", "writes", ({ db }) => db.setConfig("aerostore.log_size_limit_mb", 1_024)),
  line("config", "reads", ({ db }) => db.config()),
  line("durable", "reads", ({ db }) => db.durable()),
  line("checkpoint", "reads", ({ db }) => db.checkpoint()),
  line("stats", "reads", ({ db }) => db.stats()),
  line("check", "reads", ({ db }) => db.check()),
  line("close", "closes", ({ db }) => db.close()),
];

export const tableMethods: readonly Misused[] = [
  line("get", "reads", ({ table }) => table.get(1)),
  line("upsert", "writes", ({ table }) => table.upsert(row)),
  line("insert", "writes", ({ table }) => table.insert({ ...row, id: freshId() })),
  line("update", "writes", ({ table }) => table.update(1, { rank: 2 })),
  line("delete", "writes", ({ table }) => table.delete(-1)),
  line("upsertMany", "writes", ({ table }) => table.upsertMany([row])),
  line("ingest", "writes", ({ table }) => table.ingest("1\t1\t\\N\n", { format: "tsv" })),
  line("ingestTsv", "writes", ({ table }) => table.ingestTsv("1\t1\t\\N\n")),
  line("search", "reads", ({ table }) => table.search("-limit 3").toArray()),
  line("count", "reads", ({ table }) => table.count()),
  line("explain", "reads", ({ table }) => table.explain("-compare {> rank 1}", { analyze: true })),
  line("prepare", "reads", ({ table }) => table.prepare("-compare {= id $id}")),
  line("updateWhere", "writes", ({ table }) => table.updateWhere("-compare {= id 1}", { rank: 1 })),
  line("execute", "writes", ({ table }) => table.execute("-compare {= id -1} -delete 1")),
  line("deleteWhere", "writes", ({ table }) => table.deleteWhere("-compare {= id -1}")),
  line("takeWhere", "writes", ({ table }) => table.takeWhere("-compare {= id -1}")),
];

export const searchMethods: readonly Misused[] = [
  line("prepared.search", "reads", ({ prepared }) => prepared.search({ id: 1 }).length),
  line("prepared.all", "reads", ({ prepared }) => prepared.all({ id: 1 })),
  line("prepared.first", "reads", ({ prepared }) => prepared.first({ id: 1 })),
  line("prepared.count", "reads", ({ prepared }) => prepared.count({ id: 1 })),
  line("result.length", "reads", ({ result }) => result.length),
  line("result.first", "reads", ({ result }) => result.first()),
  line("result.toArray", "reads", ({ result }) => result.toArray()),
  line("result.column", "reads", ({ result }) => result.column("rank")),
  line("result iterator", "reads", ({ result }) => [...result]),
  line("result.cursor", "reads", ({ result }) => [...result.cursor()]),
  line("result.close", "ends", ({ result }) => result.close()),
];

/** Methods of a transaction itself. */
export interface MisusedTransaction {
  readonly name: string;
  readonly deed: Deed;
  readonly call: (transaction: Transaction) => unknown;
}

export const transactionMethods: readonly MisusedTransaction[] = [
  { name: "table", deed: "reads", call: (tx) => tx.table(Items) },
  { name: "savepoint", deed: "writes", call: (tx) => tx.savepoint() },
  { name: "rollbackTo", deed: "writes", call: (tx) => tx.rollbackTo({ id: 1 }) },
  { name: "release", deed: "writes", call: (tx) => tx.release({ id: 1 }) },
  { name: "commit", deed: "writes", call: (tx) => tx.commit() },
  { name: "token", deed: "reads", call: (tx) => tx.token },
  { name: "abort", deed: "ends", call: (tx) => tx.abort() },
];

/** What a call came to: `works`, a code, or the class of another error with its first words. */
export async function outcomeOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return "works";
  } catch (error) {
    if (!(error instanceof Error)) return String(error);
    return "code" in error ? String(error.code) : error.name;
  }
}

/** A subject on a handle. */
export function subjectOf(db: Database): Subject {
  const table = db.table(Items);
  return {
    db,
    table,
    prepared: table.prepare("-compare {= id $id}"),
    result: table.search("-limit 5"),
  };
}
