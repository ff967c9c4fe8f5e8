/**
 * Children of the restart suite. `work`: writes until it is ended or ends itself, in one of the
 * ways in which programs end. `look`: opens, and says what is there. `step`: opens and closes,
 * killed at a step of the way.
 */
import { defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { loadLibrary } from "../../src/ffi/library.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";

const rowCount = 300;

const Rows = defineTable("Rows", {
  id: t.u32().primaryKey(),
  group: t.u16().index(),
  text: t.string(24).index(),
  number: t.u32(),
});

/** What is said of a database. `newest` is the last write that is in it. */
function describe(db: Database): string {
  const rows = db
    .table(Rows)
    .search({ sort: ["id"] })
    .toArray();
  const hash = new Bun.CryptoHasher("sha256").update(JSON.stringify(rows)).digest("hex");
  const newest = db.table(Rows).get(rowCount + 1)?.number ?? 0;
  const { mode, reason } = db.boot;
  return JSON.stringify({ mode, reason, hash, newest, problems: db.check().problems });
}

async function work(): Promise<void> {
  const [ending, seed, count] = [post.word(1), post.number(2), post.number(3)];
  const random = new Random(seed);
  const db = await post.open({ tables: [Rows] });
  const rows = db.table(Rows);
  let number = rows.get(rowCount + 1)?.number ?? 0;
  const write = (): void => {
    number++;
    const id = random.below(rowCount);
    if (random.oneIn(8)) rows.delete(random.below(rowCount));
    rows.upsert({ id, group: random.below(20), text: `write ${random.below(50)}`, number: 0 });
    rows.upsert({ id: rowCount + 1, group: 0, text: "newest", number });
  };
  for (let n = 0; n < count; n++) {
    write();
    // A search and an abandoned transaction are in the way of every ending.
    if (n % 100 === 0) db.begin().table(Rows).upsert({ id: 1, group: 1, text: "never", number: 1 });
    if (n % 50 === 0) say(`wrote ${number}`);
  }
  say(`wrote ${number}`);
  if (ending === "exit") process.exit(0);
  if (ending === "using") {
    using _ = db;
    return;
  }
  if (ending === "close") {
    db.close();
    return;
  }
  say("on");
  for (let n = 1; ; n++) {
    write();
    if (n % 500 === 0) await Bun.sleep(0);
  }
}

async function look(): Promise<void> {
  const db = await post.open({ tables: [Rows] });
  // A commit behind all others: what they have left for the log is in it, too.
  db.table(Rows).delete(rowCount);
  db.table(Rows).upsert({ id: rowCount, group: 0, text: "looked", number: 0 });
  await db.durable();
  say(describe(db));
  db.close();
}

/** Killed at the `at`-th shared step, or state of boot, of opening or of closing. */
async function step(): Promise<void> {
  const [part, at] = [post.word(1), post.number(2)];
  const { symbols } = loadLibrary();
  let states = 0;
  if (part === "open") symbols.aerostore_fault_arm_steps(at);
  const db = await post.open({
    tables: [Rows],
    onBoot: () => {
      states++;
      if (part === "states" && states === at) process.kill(process.pid, "SIGKILL");
    },
  });
  if (part === "close") symbols.aerostore_fault_arm_steps(at);
  db.close();
  symbols.aerostore_fault_arm_steps(0);
  say("whole");
}

if (post.word(0) === "work") await work();
else if (post.word(0) === "look") await look();
else await step();
