/**
 * Random transactions, recorded with the versions that they saw.
 * Words: index, seed, transactions, file for the record, file of the clock; or `fill` and the
 * cells to begin with.
 */
import { writeFileSync } from "node:fs";
import { AerostoreError } from "../../src/index.ts";
import type { Transaction, TransactionTable } from "../../src/index.ts";
import { say } from "../support/crew.ts";
import { post } from "../support/post.ts";
import { Random } from "../support/random.ts";
import { Cells, groupCount, hotCount, spreadOf, topCount } from "./history-cells.ts";
import type { Recorded } from "./history-cells.ts";

/** Written and taken back, or written over. */
const neverSeen = 4_000_000;

type Table = TransactionTable<(typeof Cells)["$shape"]>;

/** Nobody wakes this word: waiting for it is sleeping. */
const never = new Int32Array(new SharedArrayBuffer(4));
const clock = openClock();
const db = await post.open({ tables: [Cells] });
if (post.word(0) === "fill") {
  for (let id = 0; id < hotCount; id++) {
    db.table(Cells).insert({ id, place: id, spread: spreadOf(id), version: 0 });
  }
  say("null");
} else {
  record(post.number(0), new Random(post.number(1)), post.number(2), post.word(3));
}
db.close();

function openClock(): Uint32Array {
  const path = post.word(0) === "fill" ? "" : post.word(4);
  if (path === "") return new Uint32Array(1);
  return new Uint32Array(Bun.mmap(path).buffer, 0, 1);
}

/** One attempt of a transaction; what it saw and did. */
class Attempt {
  readonly reads: [key: number, version: number][] = [];
  readonly tops: [least: number, keys: readonly number[]][] = [];
  readonly written = new Map<number, number>();
  readonly #cells: Table;

  constructor(cells: Table) {
    this.#cells = cells;
  }

  /** The version of a cell now; 0 when it is absent or nobody has written it. */
  read(key: number): number {
    return this.#saw(key, this.#cells.get(key)?.version ?? 0);
  }

  #saw(key: number, version: number): number {
    const own = this.written.get(key);
    if (own === undefined) this.reads.push([key, version]);
    else if (own !== version) say(`own write of ${key}: ${own}, but ${version} is shown`);
    return version;
  }

  /** Each cell once, in one or two steps; the first one must never be seen. */
  write(key: number, twice: boolean): void {
    if (this.written.has(key)) return;
    const version = this.read(key) + 1;
    const row = { id: key, place: key, spread: spreadOf(key) };
    if (twice) this.#cells.upsert({ ...row, version: neverSeen });
    this.#cells.upsert({ ...row, version });
    this.written.set(key, version);
  }

  /** Writes that are taken back: nobody may ever see them. */
  writeAndRollBack(tx: Transaction, keys: readonly number[]): void {
    const savepoint = tx.savepoint();
    for (const id of keys) {
      this.#cells.upsert({ id, place: id, spread: spreadOf(id), version: neverSeen });
    }
    tx.rollbackTo(savepoint);
  }

  /** Takes a latch, if it is free; what was read before stays as it was. */
  lock(key: number): void {
    try {
      this.#cells.lockForUpdate(key, { timeoutMs: 0 });
    } catch (error) {
      if (!(error instanceof AerostoreError) || error.code !== "LOCK_TIMEOUT") throw error;
    }
  }

  /** All cells of a range of places. */
  range(from: number, to: number): void {
    const found = this.#find(`-compare {{range place ${from} ${to}}}`);
    for (let key = from; key < to; key++) this.#saw(key, found.get(key) ?? 0);
  }

  /** All hot cells of a group; a hot cell never moves to another. */
  group(group: number): void {
    const found = this.#find(`-compare {{= spread ${group}} {< place ${hotCount}}}`);
    for (let key = 0; key < hotCount; key++) {
      if (spreadOf(key) === group) this.#saw(key, found.get(key) ?? 0);
    }
  }

  /** The cells with the highest versions, which change their places in the index all the time. */
  top(): void {
    const found = this.#find(`-sort -version -limit ${topCount}`);
    const least = found.size < topCount ? 0 : Math.min(...found.values());
    for (const [key, version] of found) this.#saw(key, version);
    this.tops.push([least, [...found.keys(), ...this.written.keys()]]);
  }

  #find(query: string): Map<number, number> {
    const rows = this.#cells.search(query).toArray();
    const found = new Map(rows.map(({ id, version }) => [id, version]));
    if (found.size !== rows.length) say(`a row came twice in ${query}`);
    return found;
  }
}

function record(index: number, random: Random, count: number, file: string): void {
  const lines: string[] = [];
  /** Cells from here on are absent, at about this time: where inserts happen. */
  let frontier = hotCount;
  for (let n = 0; n < count; n++) {
    const seed = random.below(2 ** 32);
    const readOnly = random.oneIn(6);
    const beganAt = now();
    const body = (tx: Transaction): Attempt => {
      // The same in each attempt.
      const draw = new Random(seed);
      const attempt = new Attempt(tx.table(Cells));
      for (let left = draw.between(2, 8); left > 0; left--) {
        step(tx, attempt, draw, frontier, readOnly);
        if (draw.oneIn(16)) letOthers();
      }
      return attempt;
    };
    const done = readOnly ? db.snapshot(body) : db.transact(body, { retries: 10_000 });
    const endedAt = now();
    for (const key of done.written.keys()) frontier = Math.max(frontier, key + 1);
    for (const [key, version] of done.reads)
      if (version > 0) frontier = Math.max(frontier, key + 1);
    const recorded: Recorded = {
      id: n * 64 + index,
      beganAt,
      endedAt,
      reads: done.reads,
      tops: done.tops,
      writes: [...done.written],
    };
    lines.push(JSON.stringify(recorded));
  }
  writeFileSync(file, lines.join("\n"));
  const { conflictsRow, conflictsAbsent, conflictsSearch, retries } = db.stats().counters;
  say(JSON.stringify({ conflictsRow, conflictsAbsent, conflictsSearch, retries }));
}

/** Ticks of a counter that all processes share: no two are equal, and no clock is trusted. */
function now(): number {
  return Atomics.add(clock, 0, 1);
}

/** Gives the processor away in the middle of a transaction, so that others come in between. */
function letOthers(): void {
  Atomics.wait(never, 0, 0, 0.02);
}

function step(
  tx: Transaction,
  attempt: Attempt,
  draw: Random,
  frontier: number,
  readOnly: boolean,
): void {
  const key = draw.oneIn(3) ? frontier - 4 + draw.below(8) : draw.below(hotCount);
  switch (draw.below(readOnly ? 5 : 11)) {
    case 0:
      return attempt.range(key, key + draw.between(1, 6));
    case 1:
      return attempt.group(draw.below(groupCount));
    case 2:
      return attempt.top();
    case 3:
    case 4:
    case 5:
      return void attempt.read(key);
    case 6:
      return attempt.writeAndRollBack(
        tx,
        [key, draw.below(hotCount)].filter((each) => !attempt.written.has(each)),
      );
    case 7:
      return attempt.lock(key);
    default:
      return attempt.write(key, draw.oneIn(4));
  }
}
