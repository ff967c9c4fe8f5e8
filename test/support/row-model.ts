/**
 * Random operations on a table beside the same on a `Map`: small domains of keys and values, so
 * that everything collides. One seed is one run.
 */
import { defineTable, t } from "../../src/index.ts";
import type { Database, Table, TransactionTable, WriteCounts } from "../../src/index.ts";
import { Random } from "./random.ts";

export const Things = defineTable("things", {
  id: t.u8().primaryKey(),
  rank: t.i32().index(),
  tag: t.string(4).nullable().unique(),
  note: t.string(40).nullable(),
});
type Shape = (typeof Things)["$shape"];
/** What a transaction and the database itself have in common. */
type AnyThings = Table<Shape> | TransactionTable<Shape>;

interface Row {
  readonly id: number;
  readonly rank: number;
  readonly tag: string | null;
  readonly note: string | null;
}
type Rows = Map<number, Row>;
type Patch = { -readonly [K in Exclude<keyof Row, "id">]?: Row[K] };

const keyCount = 8;
const tags = ["a", "b", "c", null] as const;

function codeOf(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
}

/** Runs up to `operationsMax` operations from `seed`; what differs from the model. */
export function runModel(
  db: Database,
  other: Database,
  seed: number,
  operationsMax = 100,
): readonly string[] {
  const run = new ModelRun(db, other, new Random(seed));
  return run.play(operationsMax);
}

class ModelRun {
  readonly #db: Database;
  readonly #other: Database;
  readonly #random: Random;
  readonly #problems: string[] = [];
  #log: string[] = [];

  constructor(db: Database, other: Database, random: Random) {
    this.#db = db;
    this.#other = other;
    this.#random = random;
  }

  play(operationsMax: number): readonly string[] {
    const things = this.#db.table(Things);
    things.deleteWhere("-compare {}");
    let rows: Rows = new Map();
    const count = 1 + this.#random.below(operationsMax);
    for (let i = 0; i < count && this.#problems.length === 0; i++) {
      if (this.#random.oneIn(6)) rows = this.#transaction(rows);
      else rows = this.#statement(things, rows, true);
    }
    this.#compareAll(this.#other.table(Things), rows);
    return this.#problems;
  }

  #expect(what: string, found: unknown, expected: unknown): void {
    if (Bun.deepEquals(found, expected)) return;
    const words = `${what}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`;
    this.#problems.push(`${words}\n  after ${this.#log.slice(-8).join("; ")}`);
  }

  #row(): Row {
    const random = this.#random;
    const note = random.oneIn(3) ? null : "n".repeat(random.below(40));
    const id = random.below(keyCount);
    return { id, rank: random.below(5) - 2, tag: random.pick(tags), note };
  }

  #patch(): Patch {
    const { rank, tag, note } = this.#row();
    const patch: Patch = {};
    if (this.#random.oneIn(2)) patch.rank = rank;
    if (this.#random.oneIn(3)) patch.tag = tag;
    if (this.#random.oneIn(2)) patch.note = note;
    return patch;
  }

  /**
   * One statement; the model's rows after it. Where `checked`, a clash of tags is an error of the
   * statement: in a transaction it shows at the commit.
   */
  #statement(things: AnyThings, rows: Rows, checked: boolean): Rows {
    const row = this.#row();
    const { id } = row;
    const had = rows.get(id);
    const next: Rows = new Map(rows);
    const settle = (name: string, run: () => unknown, expected: unknown): Rows => {
      this.#log.push(`${name} ${JSON.stringify(row)}`);
      const clashes = checked && hasClash(next);
      this.#expect(name, codeOf(run), clashes ? "DUPLICATE_KEY" : expected);
      return clashes ? rows : next;
    };
    switch (this.#random.below(10)) {
      case 0: {
        if (had === undefined) next.set(id, row);
        const expected = had === undefined ? undefined : "DUPLICATE_KEY";
        return settle("insert", () => things.insert(row), expected);
      }
      case 1: {
        next.set(id, row);
        return settle("upsert", () => things.upsert(row), had === undefined);
      }
      case 2: {
        const patch = this.#patch();
        if (had !== undefined) next.set(id, { ...had, ...patch });
        const words = `update ${JSON.stringify(patch)}`;
        return settle(words, () => things.update(id, patch), had !== undefined);
      }
      case 3: {
        next.delete(id);
        return settle("delete", () => things.delete(id), had !== undefined);
      }
      case 4: {
        const many = Array.from({ length: 1 + this.#random.below(5) }, () => this.#row());
        for (const each of many) next.set(each.id, each);
        const words = `upsertMany ${JSON.stringify(many)}`;
        return settle(words, () => sum(things.upsertMany(many)), many.length);
      }
      case 5: {
        const matching = [...rows.values()].filter(({ rank }) => rank >= row.rank);
        const rank = 1 - row.rank;
        for (const each of matching) next.set(each.id, { ...each, rank });
        const query = `-compare {>= rank ${row.rank}}`;
        const run = (): number => things.updateWhere(query, { rank });
        return settle("updateWhere", run, matching.length);
      }
      case 6: {
        if (!this.#random.oneIn(3)) break;
        const matching = [...rows.values()].filter(({ rank }) => rank === row.rank);
        for (const each of matching) next.delete(each.id);
        const run = (): number => things.deleteWhere(`-compare {= rank ${row.rank}}`);
        return settle("deleteWhere", run, matching.length);
      }
      case 7: {
        const found = things.search(`-compare {< rank ${row.rank}} -sort {-rank id}`).toArray();
        const expected = [...rows.values()].filter(({ rank }) => rank < row.rank);
        this.#expect(
          "search",
          found,
          expected.sort((a, b) => b.rank - a.rank || a.id - b.id),
        );
        break;
      }
      case 8: {
        const query = row.tag === null ? "-compare {null tag}" : `-compare {= tag ${row.tag}}`;
        const expected = [...rows.values()].filter(({ tag }) => tag === row.tag).length;
        this.#expect("count", things.count(query), expected);
        break;
      }
      default:
        this.#expect("get", things.get(id), had);
    }
    return rows;
  }

  #transaction(rows: Rows): Rows {
    using tx = this.#db.begin();
    const things = tx.table(Things);
    let inside = rows;
    this.#log.push("begin");
    for (let i = this.#random.below(6); i > 0; i--) {
      if (!this.#random.oneIn(4)) {
        inside = this.#statement(things, inside, false);
        continue;
      }
      const savepoint = tx.savepoint();
      const before = inside;
      inside = this.#statement(things, inside, false);
      if (this.#random.oneIn(2)) {
        this.#log.push("rollback");
        tx.rollbackTo(savepoint);
        inside = before;
      }
      tx.release(savepoint);
    }
    if (this.#random.oneIn(4)) {
      this.#log.push("abort");
      tx.abort();
      return rows;
    }
    this.#log.push("commit");
    const clashes = hasClash(inside);
    const code = codeOf(() => tx.commit());
    // Whoever is preempted in the middle of a commit may lose it to the log writer.
    if (code === "SERIALIZATION_FAILURE") return rows;
    this.#expect("commit", code, clashes ? "DUPLICATE_KEY" : undefined);
    return clashes ? rows : inside;
  }

  /** The whole table, seen by another session: by scan, by each index and by key. */
  #compareAll(things: Table<Shape>, rows: Rows): void {
    const all = [...rows.values()].sort((a, b) => a.id - b.id);
    this.#expect("all", things.search("-sort id").toArray(), all);
    const byRank = all.toSorted((a, b) => a.rank - b.rank || a.id - b.id);
    this.#expect("by rank", things.search("-sort {rank id}").toArray(), byRank);
    for (const tag of tags) {
      if (tag === null) continue;
      const expected = all.find((row) => row.tag === tag);
      this.#expect(`tag ${tag}`, things.search(`-compare {= tag ${tag}}`).first(), expected);
    }
    for (let id = 0; id < keyCount; id++) this.#expect("get", things.get(id), rows.get(id));
    this.#expect("count", things.count(), all.length);
  }
}

function hasClash(rows: Rows): boolean {
  const seen = [...rows.values()].flatMap(({ tag }) => (tag === null ? [] : [tag]));
  return new Set(seen).size < seen.length;
}

function sum({ inserted, updated, unchanged, stale }: WriteCounts): number {
  return inserted + updated + unchanged + stale;
}
