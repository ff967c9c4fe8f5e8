/**
 * Children of the outcome suite. `work INDEX SEED`: named transactions, each with a row of its own;
 * says number and token before it commits or aborts, and how that ended. `ask FILE`: what became of
 * the tokens in the file, against the rows that are there. `wrap COUNT`: names so many transactions
 * and asks for all of them, the oldest of which are forgotten.
 */
import { readFileSync } from "node:fs";
import { defineTable, t } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";

const Rows = defineTable("Rows", { id: t.string(24).primaryKey(), n: t.u32().index() });

/** As many outcomes as are asked for, and few for those that are to be forgotten. */
const segmentBytes = post.word(0) === "wrap" ? 16 << 20 : 256 << 20;
const namedMax = 100_000;
const db = await post.open({ tables: [Rows], maxBytes: segmentBytes });
const rows = db.table(Rows);
if (post.word(0) === "work") {
  const random = new Random(post.number(2));
  for (let n = 0; n < namedMax && !post.isOver; n++) {
    const id = `${post.number(1)}:${post.number(2)}:${n}`;
    using tx = db.begin();
    const { token } = tx;
    tx.table(Rows).insert({ id, n });
    say(`${id} ${token} asked`);
    if (random.oneIn(4)) tx.abort();
    else tx.commit();
    say(`${id} ${token} ${tx.isOpen ? "open" : "ended"}`);
  }
} else if (post.word(0) === "ask") {
  const problems: string[] = [];
  const counts: Record<string, number> = {};
  for (const line of readFileSync(post.word(1), "utf8").trimEnd().split("\n")) {
    const [id = "", token = ""] = line.split(" ");
    const outcome = db.outcome(token);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    const expected = rows.get(id) === undefined ? "aborted" : "committed";
    if (outcome !== expected) problems.push(`${id} ${token} is ${outcome}, its row ${expected}`);
  }
  say(JSON.stringify({ problems, counts }));
} else {
  const tokens: string[] = [];
  const committed: boolean[] = [];
  for (let n = 0; n < post.number(1); n++) {
    using tx = db.begin();
    tokens.push(tx.token);
    tx.table(Rows).upsert({ id: "one", n });
    if (n % 3 > 0) tx.commit();
    committed.push(n % 3 > 0);
  }
  const outcomes = tokens.map((token) => db.outcome(token));
  const known = outcomes.findIndex((outcome) => outcome !== "unknown");
  const problems = outcomes.flatMap((outcome, n) => {
    const expected = n < known ? "unknown" : committed[n] === true ? "committed" : "aborted";
    return outcome === expected ? [] : [`token ${n} is ${outcome}, not ${expected}`];
  });
  say(JSON.stringify({ problems, known: outcomes.length - known }));
}
db.close();
