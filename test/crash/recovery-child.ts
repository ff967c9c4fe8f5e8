/**
 * Children of the recovery suite. `write MODE`: numbered transactions of three rows, each number
 * said when its commit has returned. `export`: the state as a hash, and how far it goes.
 */
import { createHash } from "node:crypto";
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";

const slotCount = 40;

const Rows = defineTable("Rows", {
  id: t.string(8).primaryKey(),
  n: t.u32().index(),
  text: t.string(40),
  ratio: t.f64().nullable(),
});

/** What transaction `n` does: the same in every process, so that a state can be computed again. */
interface Step {
  readonly upserts: readonly { id: string; n: number; text: string; ratio: number | null }[];
  readonly deletes: readonly string[];
}

function stepOf(n: number): Step {
  const random = new Random(n);
  const ids = new Set<string>();
  while (ids.size < 3) ids.add(`r${random.below(slotCount)}`);
  const [first = "", second = "", third = ""] = ids;
  const upserts = [first, second].map((id) => ({
    id,
    n,
    text: "x".repeat(random.below(40)),
    ratio: random.oneIn(3) ? null : random.next(),
  }));
  const last = { id: "last", n, text: "", ratio: null };
  return { upserts: [...upserts, last], deletes: [third] };
}

async function write(sync: boolean): Promise<void> {
  const db = await post.open({ tables: [Rows] });
  const rows = db.table(Rows);
  let n = rows.get("last")?.n ?? 0;
  say(`ready ${n} ${db.boot.mode}`);
  const checkpointEvery = post.number(2);
  while (!post.isOver) {
    n++;
    const step = stepOf(n);
    db.transact(
      (tx) => {
        const table = tx.table(Rows);
        for (const row of step.upserts) table.upsert(row);
        for (const id of step.deletes) table.delete(id);
      },
      { durability: sync ? "sync" : "async" },
    );
    say(String(n));
    if (checkpointEvery > 0 && n % checkpointEvery === 0) {
      await db.checkpoint();
      say(`checkpoint ${n}`);
    }
    if (n % 32 === 0) await Bun.sleep(0);
  }
  db.close();
}

/** The state after `n` transactions, as `exported` tells it. */
function expected(n: number): string {
  const state = new Map<string, Step["upserts"][number]>();
  for (let i = 1; i <= n; i++) {
    const step = stepOf(i);
    for (const row of step.upserts) state.set(row.id, row);
    for (const id of step.deletes) state.delete(id);
  }
  return hash([...state.values()]);
}

function hash(rows: readonly Step["upserts"][number][]): string {
  const lines = rows.map(({ id, n, text, ratio }) => `${id} ${n} ${text} ${ratio}`).sort();
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

function exported(db: Database): object {
  const rows = db.table(Rows).search("-sort n").toArray();
  const n = db.table(Rows).get("last")?.n ?? 0;
  const found = hash(rows);
  const { mode, reason, truncatedBytes, rowsLoaded, recordsReplayed } = db.boot;
  const { problems } = db.check();
  const whole = found === expected(n);
  return {
    n,
    hash: found,
    whole,
    mode,
    reason,
    truncatedBytes,
    rowsLoaded,
    recordsReplayed,
    problems,
  };
}

async function exportState(): Promise<void> {
  try {
    const db = await post.open({ tables: [Rows] });
    say(JSON.stringify({ kind: "state", ...exported(db) }));
    db.close();
  } catch (error) {
    if (!(error instanceof AerostoreError)) throw error;
    const { code, path, offset, message } = error;
    say(JSON.stringify({ kind: "refused", code, path, offset, message }));
  }
}

if (post.word(0) === "write") await write(post.word(1) === "sync");
else await exportState();
