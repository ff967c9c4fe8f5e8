/**
 * Workers of the index torture and of the race for first inserts, as processes or as threads of
 * one. `KIND SEED NUMBER OF COUNT`: one worker. With NUMBER `all`: OF workers, each a thread.
 */
import { defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";

/** What one worker did, or found wrong. */
export interface TortureResult {
  readonly problems: readonly string[];
  /** Of the torture: the worker's rows at the end, id and rank. */
  readonly rows: readonly (readonly [id: number, rank: number])[];
  /** Of the race: the keys that this worker's inserts and upserts made. */
  readonly won: readonly number[];
}

export const Things = defineTable("Things", {
  id: t.u32().primaryKey(),
  rank: t.i32().index(),
});
/** Few, so that workers meet at the same and at neighbouring keys. */
export const rankCount = 6;
const idsEach = 16;

const [kind, seedText, number, of, count] = post.words;

/** Rows come, go and move between the same few index keys; only their worker changes them. */
function torture(db: Database, worker: number): TortureResult {
  const things = db.table(Things);
  const random = new Random(Number(seedText) + worker);
  const mine = new Map<number, number>();
  const problems: string[] = [];
  for (let n = 0; n < Number(count) && problems.length < 10; n++) {
    const id = worker + Number(of) * random.below(idsEach);
    const rank = random.below(rankCount);
    const had = mine.get(id);
    if (random.oneIn(3)) {
      if (things.delete(id) !== (had !== undefined)) problems.push(`delete of ${id}, ${had}`);
      mine.delete(id);
    } else {
      if (things.upsert({ id, rank }) !== (had === undefined)) problems.push(`upsert of ${id}`);
      mine.set(id, rank);
    }
    for (const each of new Set([rank, had ?? rank])) {
      const found = things.search(`-compare {= rank ${each}}`).column("id");
      const times = [...found].filter((one) => one === id).length;
      const expected = mine.get(id) === each ? 1 : 0;
      if (times !== expected) problems.push(`${id} found ${times} times at ${each}`);
    }
  }
  return { problems, rows: [...mine], won: [] };
}

/** All workers insert the same keys; who is behind goes on where the foremost is. */
function race(db: Database, worker: number): TortureResult {
  const things = db.table(Things);
  const problems: string[] = [];
  const won: number[] = [];
  for (let key = 0; key < Number(count); key = Math.max(key + 1, things.count())) {
    try {
      if (key % 2 === 0) {
        things.insert({ id: key, rank: worker });
        won.push(key);
      } else if (things.upsert({ id: key, rank: worker })) {
        won.push(key);
      }
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : error;
      if (code !== "DUPLICATE_KEY") problems.push(`insert of ${key}: ${String(error)}`);
    }
  }
  return { problems, rows: [], won };
}

async function work(worker: number): Promise<TortureResult> {
  using db = await post.open({ tables: [Things] });
  return kind === "race" ? race(db, worker) : torture(db, worker);
}

/** A thread that runs this file; its result. */
async function startThread(worker: number): Promise<unknown> {
  const words = [kind, seedText, worker, of, count].map(String);
  const argv = [post.data, post.shmPath, "", ...words];
  const thread = new Worker(new URL(import.meta.url), { argv });
  return new Promise((resolve, reject) => {
    thread.onmessage = ({ data }): void => resolve(data);
    thread.onerror = ({ message }): void => reject(new Error(message));
  });
}

if (!Bun.isMainThread) {
  postMessage(await work(Number(number)));
} else if (import.meta.main) {
  if (number === "all") {
    const workers = Array.from({ length: Number(of) }, (_, worker) => startThread(worker));
    say(JSON.stringify(await Promise.all(workers)));
  } else {
    say(JSON.stringify([await work(Number(number))]));
  }
  process.exit(0);
}
