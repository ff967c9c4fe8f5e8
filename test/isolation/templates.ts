/** Small groups of transactions that go wrong in every known way where isolation is weaker. */
import { defineTable, t } from "../../src/index.ts";
import type { Script, Step, Template } from "./schedule.ts";

export const Cells = defineTable("Cells", {
  id: t.u32().primaryKey(),
  value: t.i32().index(),
  note: t.i32(),
});

/** Before each run: cells 1 and 2 have 10 and 20. Cell 3 and later ones are absent. */
export const cellsAtStart = [
  { id: 1, value: 10, note: 0 },
  { id: 2, value: 20, note: 0 },
] as const;

const get =
  (id: number): Step =>
  (tx, seen) => {
    seen.push(tx.table(Cells).get(id)?.value);
  };

const put =
  (id: number, value: number): Step =>
  (tx) => {
    tx.table(Cells).upsert({ id, value, note: 0 });
  };

/** Adds to what the transaction saw last. */
const putLast =
  (id: number, more: number): Step =>
  (tx, seen) => {
    tx.table(Cells).upsert({ id, value: Number(seen.at(-1) ?? 0) + more, note: 0 });
  };

/** Writes the sum of all that the transaction saw. */
const putSum =
  (id: number, more: number): Step =>
  (tx, seen) => {
    const sum = seen.reduce<number>((total, each) => total + (Number(each) || 0), 0);
    tx.table(Cells).upsert({ id, value: sum + more, note: 0 });
  };

const note =
  (id: number, value: number): Step =>
  (tx) => {
    tx.table(Cells).update(id, { note: value });
  };

const remove =
  (id: number): Step =>
  (tx) => {
    tx.table(Cells).delete(id);
  };

/** The rows of a search, as text. */
const find =
  (query: string): Step =>
  (tx, seen) => {
    const rows = tx.table(Cells).search(query).toArray();
    seen.push(
      rows
        .map(({ id, value }) => `${id}=${value}`)
        .sort()
        .join(" "),
    );
  };

const count =
  (query: string): Step =>
  (tx, seen) => {
    seen.push(tx.table(Cells).count(query));
  };

/** Does `steps` and takes them back. */
const rolledBack =
  (...steps: readonly Step[]): Step =>
  (tx, seen) => {
    const savepoint = tx.savepoint();
    for (const step of steps) step(tx, seen);
    tx.rollbackTo(savepoint);
  };

const released =
  (...steps: readonly Step[]): Step =>
  (tx, seen) => {
    const savepoint = tx.savepoint();
    for (const step of steps) step(tx, seen);
    tx.release(savepoint);
  };

const nothing: Step = () => undefined;

const byIndex = "-compare {{range value 25 100}}";
const byScan = "-compare {{> note 0}}";
const lowest = "-sort value -limit 1";

function pair(name: string, first: Script, second: Script): Template {
  return { name, scripts: [first, second] };
}

/** Four steps each, of which the last is the commit. */
export const pairs: readonly Template[] = [
  // The ten cases of Hermitage, as far as two transactions show them.
  pair("G0 write cycles", [put(1, 11), put(2, 21), nothing], [put(1, 12), put(2, 22), nothing]),
  pair("G1a aborted reads", [rolledBack(put(1, 101)), get(1), put(3, 1)], [get(1), get(1), get(3)]),
  pair("G1b intermediate reads", [put(1, 101), put(1, 11), get(2)], [get(1), get(1), put(2, 5)]),
  pair(
    "G1c circular information flow",
    [put(1, 11), get(2), nothing],
    [put(2, 22), get(1), nothing],
  ),
  pair(
    "OTV observed transaction vanishes",
    [put(1, 11), put(2, 19), nothing],
    [get(1), get(2), get(1)],
  ),
  pair(
    "PMP predicate, many preceders",
    [find(byIndex), find(byIndex), put(2, 3)],
    [put(3, 30), get(2), nothing],
  ),
  pair(
    "PMP for a write by predicate",
    [count(byIndex), putLast(1, 0), nothing],
    [put(3, 30), put(2, 30), nothing],
  ),
  pair("P4 lost update", [get(1), putLast(1, 1), nothing], [get(1), putLast(1, 1), nothing]),
  pair("G-single read skew", [get(1), get(2), put(3, 1)], [put(1, 12), put(2, 18), nothing]),
  pair(
    "G-single by predicate",
    [find(byIndex), find(byScan), put(5, 1)],
    [put(3, 30), note(1, 7), nothing],
  ),
  pair("G-single write predicate", [get(1), remove(2), nothing], [put(1, 12), put(2, 18), nothing]),
  pair("G2-item write skew", [get(1), get(2), putSum(1, 1)], [get(1), get(2), putSum(2, 1)]),
  pair(
    "G2 predicates that exclude each other",
    [count(byIndex), putLast(3, 30), nothing],
    [count(byIndex), putLast(4, 30), nothing],
  ),
  // Keys that are absent, and rows that come and go.
  pair(
    "write skew over absent keys",
    [get(3), putLast(4, 1), nothing],
    [get(4), putLast(3, 1), nothing],
  ),
  pair(
    "the same key inserted by both",
    [get(3), putLast(3, 5), nothing],
    [get(3), putLast(3, 7), nothing],
  ),
  pair(
    "a row deleted under a reader",
    [get(1), get(2), putSum(3, 0)],
    [remove(1), remove(2), nothing],
  ),
  pair(
    "deleted here, changed there",
    [get(2), remove(1), nothing],
    [get(1), putLast(2, 1), putLast(1, 1)],
  ),
  pair(
    "deleted and inserted again",
    [remove(1), put(1, 50), get(2)],
    [get(1), putLast(2, 1), nothing],
  ),
  pair(
    "a row that moves in the index",
    [put(1, 30), nothing, nothing],
    [find(byIndex), count(byIndex), putLast(2, 0)],
  ),
  pair(
    "two rows that change places",
    [get(1), put(1, 20), put(2, 10)],
    [find("-sort value"), find(""), put(3, 1)],
  ),
  // Searches through every route.
  pair(
    "write skew through a scan",
    [find(byScan), note(1, 1), nothing],
    [find(byScan), note(2, 1), nothing],
  ),
  pair(
    "write skew through a sort with limit",
    [find(lowest), put(2, 5), nothing],
    [find(lowest), put(1, 4), nothing],
  ),
  pair("a new first row", [find(lowest), putSum(3, 40), nothing], [put(4, 1), get(3), nothing]),
  pair("counts", [count(""), putLast(3, 0), nothing], [count(""), putLast(4, 0), nothing]),
  // Savepoints: what is rolled back is not written, but what was read in it counts.
  pair(
    "a read inside a rolled back savepoint",
    [rolledBack(get(1), put(1, 99)), put(2, 1), nothing],
    [get(2), put(1, 2), nothing],
  ),
  pair(
    "writes of a released savepoint",
    [released(get(1), putLast(1, 1)), nothing, nothing],
    [get(1), putLast(1, 1), nothing],
  ),
  pair(
    "rolled back, then written",
    [rolledBack(put(1, 99), put(3, 9)), get(3), putSum(1, 1)],
    [get(1), putLast(3, 1), nothing],
  ),
  pair(
    "own writes in own searches",
    [put(3, 30), find(byIndex), rolledBack(remove(3))],
    [count(byIndex), putLast(3, 60), find(byIndex)],
  ),
];

/** Three steps each with their commit: what only three show. */
export const triples: readonly Template[] = [
  {
    name: "the read-only anomaly (Fekete, O'Neil, O'Neil)",
    scripts: [
      [(tx, seen) => (get(1)(tx, seen), get(2)(tx, seen)), putSum(1, -100)],
      [get(2), putLast(2, 20)],
      [get(1), get(2)],
    ],
  },
  {
    name: "G0 of three",
    scripts: [
      [put(1, 1), put(2, 2)],
      [put(2, 3), put(3, 3)],
      [put(3, 4), put(1, 4)],
    ],
  },
  {
    name: "write skew in a circle",
    scripts: [
      [get(1), putLast(2, 1)],
      [get(2), putLast(3, 1)],
      [get(3), putLast(1, 1)],
    ],
  },
  {
    name: "OTV with a third that reads both",
    scripts: [
      [put(1, 11), put(2, 19)],
      [put(1, 12), put(2, 18)],
      [get(1), get(2)],
    ],
  },
  {
    name: "predicates in a circle",
    scripts: [
      [count(byIndex), putLast(3, 30)],
      [find(byScan), put(4, 40)],
      [find(lowest), note(1, 3)],
    ],
  },
];
