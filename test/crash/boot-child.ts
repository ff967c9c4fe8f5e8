/**
 * Children of the boot suite. `open`: opens, says how it came up, writes rows until told to stop.
 * `fill`: makes the rows. `try`: opens and uses the database in every way, whatever its state.
 * `flips`: does that with copies of the database in which one bit of the segment is flipped each.
 */
import { chmodSync, cpSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { open } from "../../src/index.ts";
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import type { Tried } from "./boot.ts";

const lockName = "aerostore.lock";
const rowCount = 400;

const Rows = defineTable("Rows", {
  id: t.u32().primaryKey(),
  twice: t.u32().index(),
  text: t.string(16).index(),
  writes: t.u32(),
});

/** One size for all: a larger one would have the segment built anew. */
const small = { tables: [Rows], maxBytes: 4 << 20, maxSessions: 16 };

const textOf = (id: number): string => `row ${id % 50}`;

async function openAndWrite(): Promise<void> {
  // Of whatever size it has, or the default one.
  const db = await post.open({ tables: [Rows], maxBytes: undefined });
  say(`open ${db.boot.mode}`);
  const rows = db.table(Rows);
  const own = post.number(1);
  for (let n = 1; !post.isOver; n++) {
    rows.upsert({ id: own, twice: own * 2, text: textOf(own), writes: n });
    if (n === 1) say("wrote");
    if (n % 100 === 0) await Bun.sleep(0);
  }
  db.close();
}

async function fill(): Promise<void> {
  const db = await post.open(small);
  const rows = db.table(Rows);
  for (let id = 0; id < rowCount; id++) {
    rows.insert({ id, twice: id * 2, text: textOf(id), writes: 0 });
  }
  for (let id = 0; id < rowCount; id += 3) rows.update(id, { writes: 1 });
  await db.durable();
  if (post.word(1) === "checkpoint") await db.checkpoint();
  db.close();
  say("null");
}

/** Everything that a search or a get may answer is computed here, too. */
function wrongAnswers(db: Database): string[] {
  const rows = db.table(Rows);
  const wrong: string[] = [];
  const look = (what: string, found: unknown, expected: unknown): void => {
    if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push(what);
  };
  for (let id = 0; id < rowCount + 5; id += 7) {
    const row = { id, twice: id * 2, text: textOf(id), writes: id % 3 === 0 ? 1 : 0 };
    look(`get ${id}`, rows.get(id), id < rowCount ? row : undefined);
  }
  const ids = (query: string): number[] =>
    rows
      .search(query)
      .toArray()
      .map(({ id }) => id)
      .sort((a, b) => a - b);
  look(
    "all",
    ids(""),
    Array.from({ length: rowCount }, (_, id) => id),
  );
  look(
    "range",
    ids("-compare {{range twice 100 200}}"),
    Array.from({ length: 50 }, (_, i) => 50 + i),
  );
  const texts = ids('-compare {{= text "row 7"}}');
  look(
    "text",
    texts,
    Array.from({ length: rowCount / 50 }, (_, i) => 7 + i * 50),
  );
  look(
    "sorted",
    rows
      .search("-sort twice -limit 3")
      .toArray()
      .map(({ id }) => id),
    [0, 1, 2],
  );
  return wrong;
}

/** What came of an attempt: `ok`, a code, or what was wrong. */
function attempt(body: () => string): string {
  try {
    return body();
  } catch (error) {
    if (error instanceof AerostoreError) return error.code;
    return `${error instanceof Error ? (error.stack ?? error.message) : error}`;
  }
}

async function tryEverything(opening: Promise<Database>): Promise<Tried> {
  let db: Database;
  try {
    db = await opening;
  } catch (error) {
    if (!(error instanceof AerostoreError)) throw error;
    return { opened: error.code, message: error.message };
  }
  const { mode, reason } = db.boot;
  const read = attempt(() => {
    const wrong = wrongAnswers(db);
    return wrong.length === 0 ? "ok" : `wrong: ${wrong.join(", ")}`;
  });
  const check = attempt(() => {
    const { problems } = db.check();
    return problems.length === 0 ? "ok" : `problems: ${problems.slice(0, 3).join("; ")}`;
  });
  const write = attempt(() => {
    for (let id = 0; id < rowCount; id += 11) db.table(Rows).update(id, { twice: id * 2 + 1 });
    for (let id = 0; id < rowCount; id += 13) db.table(Rows).delete(id);
    for (let id = 0; id < 50; id++) {
      db.table(Rows).upsert({ id: id + 1_000, twice: id, text: "new", writes: 9 });
    }
    return "ok";
  });
  db.close();
  return { opened: "ok", mode, reason, read, check, write };
}

/** Where the flips are: `byte * 8 + bit`, in the words of this child. */
async function tryFlips(): Promise<void> {
  const model = readFileSync(post.shmPath);
  for (const place of post.words.slice(1).map(Number)) {
    say(`try ${place}`);
    const [data, shmPath] = [`${post.data}.flip.${place}`, `${post.shmPath}.flip.${place}`];
    cpSync(post.data, data, { recursive: true });
    // The segment belongs to the lock file, not to a copy of it.
    rmSync(join(data, lockName));
    linkSync(join(post.data, lockName), join(data, lockName));
    const at = Math.floor(place / 8);
    const byte = model[at] ?? 0;
    model[at] = byte ^ (1 << (place % 8));
    writeFileSync(shmPath, model, { mode: 0o600 });
    model[at] = byte;
    chmodSync(shmPath, 0o600);
    say(JSON.stringify(await tryEverything(open(data, { shmPath, tables: [Rows] }))));
    rmSync(data, { recursive: true });
    rmSync(shmPath, { force: true });
  }
}

if (post.word(0) === "open") await openAndWrite();
else if (post.word(0) === "fill") await fill();
else if (post.word(0) === "flips") await tryFlips();
else say(JSON.stringify(await tryEverything(post.open(small))));
