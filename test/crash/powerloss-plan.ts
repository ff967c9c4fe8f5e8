/** What the numbered transactions of the power-loss suite write: the same in every process. */
import { Random } from "../support/random.ts";

/** Rows of a worker, beside its mark. */
export const cellCount = 12;
/** Rows that the workers share: each transaction counts one of them up. */
export const groupCount = 3;
const workerRoom = 100;
const sharedStart = 10_000;

/** The row with the number of the worker's last transaction. */
export function markOf(worker: number): number {
  return worker * workerRoom;
}

/** The row that transaction `n` of any worker counts up. */
export function sharedOf(n: number): number {
  return sharedStart + (n % groupCount);
}

export function isShared(id: number): boolean {
  return id >= sharedStart;
}

export function extraName(which: number, n: number): string {
  return `Extra_${which}_${Math.floor(n / 50)}`;
}

interface Cells {
  readonly upserts: readonly { readonly id: number; readonly n: number; readonly text: string }[];
  readonly deletes: readonly number[];
}

/** The worker's own rows in its transaction `n`. */
export function cellsOf(worker: number, n: number): Cells {
  const random = new Random(worker * 1_000_003 + n);
  const first = markOf(worker) + 1;
  const start = random.below(cellCount);
  const count = random.between(1, 4);
  const ids = Array.from({ length: count }, (_, i) => first + ((start + i) % cellCount));
  const deletes = random.oneIn(4) ? ids.slice(0, 1) : [];
  return {
    upserts: ids.slice(deletes.length).map((id) => ({ id, n, text: "x".repeat(random.below(40)) })),
    deletes,
  };
}

/** The worker's rows after its transactions 1 to `n`, the mark left out. */
export function cellsAfter(worker: number, n: number): Map<number, number> {
  const cells = new Map<number, number>();
  for (let each = 1; each <= n; each++) {
    const { upserts, deletes } = cellsOf(worker, each);
    for (const row of upserts) cells.set(row.id, each);
    for (const id of deletes) cells.delete(id);
  }
  return cells;
}
