/**
 * Children of the recovery suite. `write MODE`: numbered transactions of three rows, each number
 * said when its commit has returned, with a word behind it when it is on disk; the mode `switch`
 * turns synchronous_commit on and off. `export`: the state as a hash, and how far it goes.
 * `damage KIND SEED COUNT ORIGINAL`: the same of copies of a database with damaged files.
 */
import { createHash } from "node:crypto";
import { cpSync, rmSync } from "node:fs";
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";
import { damageOne } from "./damage.ts";

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

type Mode = "sync" | "async" | "switch";

async function write(mode: Mode): Promise<void> {
  const db = await post.open({ tables: [Rows] });
  const rows = db.table(Rows);
  let n = rows.get("last")?.n ?? 0;
  say(`ready ${n} ${db.boot.mode}`);
  const checkpointEvery = post.number(2);
  const random = new Random(n + 1);
  let sync = mode === "sync";
  while (!post.isOver) {
    n++;
    const step = stepOf(n);
    db.transact(
      (tx) => {
        const table = tx.table(Rows);
        for (const row of step.upserts) table.upsert(row);
        for (const id of step.deletes) table.delete(id);
      },
      mode === "switch" ? {} : { durability: mode },
    );
    say(sync ? `${n} on disk` : String(n));
    if (mode === "switch" && random.oneIn(7)) {
      sync = !sync;
      db.setConfig("aerostore.synchronous_commit", sync);
    }
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

async function look(): Promise<object> {
  try {
    using db = await post.open({ tables: [Rows] });
    return { kind: "state", ...exported(db) };
  } catch (error) {
    if (!(error instanceof AerostoreError)) throw error;
    const { code, path, offset, message } = error;
    return { kind: "refused", code, path, offset, message };
  }
}

async function damageCopies(): Promise<void> {
  const kind = post.word(1) === "cut" ? "cut" : "flip";
  const [random, original] = [new Random(post.number(2)), post.word(4)];
  for (let round = 0; round < post.number(3); round++) {
    rmSync(post.shmPath, { force: true });
    rmSync(post.data, { recursive: true, force: true });
    cpSync(original, post.data, { recursive: true });
    const what = damageOne(post.data, random, kind);
    say(JSON.stringify({ what, found: await look() }));
  }
}

switch (post.word(0)) {
  case "write":
    await write(post.word(1) === "sync" ? "sync" : post.word(1) === "switch" ? "switch" : "async");
    break;
  case "damage":
    await damageCopies();
    break;
  default:
    say(JSON.stringify(await look()));
}
