/**
 * Checks recorded histories for serializability in real-time order: the transactions as nodes, the
 * dependencies between them as edges; a cycle is an anomaly (Adya, *Weak Consistency*, 1999).
 *
 * Every write installs a version whose number is one above the one it replaces, and every read says
 * the number that it saw, so the version order of a key is known without guessing.
 */

/** A key and the number of a version of it; 0 is the key's absence before any version. */
export interface Access {
  readonly key: number;
  readonly version: number;
}

/** That a read showed a key at this version or an earlier one. */
export interface Bound {
  readonly key: number;
  readonly atMost: number;
}

/** A committed transaction. */
export interface HistoryTransaction {
  /** Any name, unique in the history. */
  readonly id: number;
  /** Versions seen, without those that the transaction wrote itself. */
  readonly reads: readonly Access[];
  /** What searches showed by not returning it. */
  readonly bounds?: readonly Bound[];
  /** Versions installed. */
  readonly writes: readonly Access[];
  /** Before its first and after its last statement, by one clock for all. */
  readonly beganAt: number;
  readonly endedAt: number;
}

export type EdgeKind = "ww" | "wr" | "rw" | "rt";

export interface Anomaly {
  readonly what: string;
  /** Transactions of the cycle, each with the edge that leads to the next. */
  readonly cycle: readonly { readonly id: number; readonly edge: EdgeKind }[];
}

interface Edge {
  readonly to: number;
  readonly kind: EdgeKind;
}

/** The first anomaly of a history, if there is one. Linear, but for sorting by time. */
export function findAnomaly(history: readonly HistoryTransaction[]): Anomaly | undefined {
  const writers = new Map<number, Map<number, number>>();
  for (const [index, { writes, id }] of history.entries()) {
    for (const { key, version } of writes) {
      const versions = mapOf(writers, key);
      const other = versions.get(version);
      if (other !== undefined) {
        const name = history[other]?.id ?? -1;
        return plain(`version ${version} of key ${key} was written twice, by ${name} and ${id}`);
      }
      versions.set(version, index);
    }
  }
  const edges: Edge[][] = history.map(() => []);
  const link = (from: number | undefined, to: number | undefined, kind: EdgeKind): void => {
    if (from !== undefined && to !== undefined && from !== to) edges[from]?.push({ to, kind });
  };
  for (const [index, { reads, bounds = [], writes, id }] of history.entries()) {
    for (const { key, version } of writes) {
      const before = writers.get(key)?.get(version - 1);
      if (version > 1 && before === undefined) {
        return plain(`${id} wrote version ${version} of key ${key}, but nobody the one before`);
      }
      link(before, index, "ww");
    }
    for (const { key, version } of reads) {
      const writer = writers.get(key)?.get(version);
      if (version > 0 && writer === undefined) {
        return plain(`${id} read version ${version} of key ${key}, which nobody committed`);
      }
      link(writer, index, "wr");
      link(index, writers.get(key)?.get(version + 1), "rw");
    }
    for (const { key, atMost } of bounds) link(index, writers.get(key)?.get(atMost + 1), "rw");
  }
  linkRealTime(history, edges);
  return findCycle(history, edges);
}

function mapOf(writers: Map<number, Map<number, number>>, key: number): Map<number, number> {
  const found = writers.get(key) ?? new Map<number, number>();
  writers.set(key, found);
  return found;
}

function plain(what: string): Anomaly {
  return { what, cycle: [] };
}

/**
 * Whoever ended before another began comes first. One node for each end that is followed by a
 * beginning stands for "everything that has ended by now", so that there are few edges: nodes
 * behind
 * those of the history, each leading to the next.
 */
function linkRealTime(history: readonly HistoryTransaction[], edges: Edge[][]): void {
  const events = history.flatMap(({ beganAt, endedAt }, index) => [
    { at: beganAt, index, isEnd: false },
    { at: endedAt, index, isEnd: true },
  ]);
  // A beginning at the same instant as an end is not behind it.
  events.sort((a, b) => a.at - b.at || Number(a.isEnd) - Number(b.isEnd));
  let waiting: number[] = [];
  let barrier: number | undefined;
  for (const { index, isEnd } of events) {
    if (isEnd) {
      waiting.push(index);
      continue;
    }
    if (waiting.length > 0) {
      const next = edges.length;
      edges.push([]);
      if (barrier !== undefined) edges[barrier]?.push({ to: next, kind: "rt" });
      for (const ended of waiting) edges[ended]?.push({ to: next, kind: "rt" });
      waiting = [];
      barrier = next;
    }
    if (barrier !== undefined) edges[barrier]?.push({ to: index, kind: "rt" });
  }
}

/** Depth first, without recursion: histories are long. */
function findCycle(
  history: readonly HistoryTransaction[],
  edges: readonly (readonly Edge[])[],
): Anomaly | undefined {
  const unseen = 0;
  const open = 1;
  const done = 2;
  const state = new Uint8Array(edges.length);
  for (let start = 0; start < edges.length; start++) {
    if (state[start] !== unseen) continue;
    const trail: { node: number; next: number }[] = [{ node: start, next: 0 }];
    state[start] = open;
    while (trail.length > 0) {
      const top = trail.at(-1);
      if (top === undefined) break;
      const edge = edges[top.node]?.[top.next++];
      if (edge === undefined) {
        state[top.node] = done;
        trail.pop();
      } else if (state[edge.to] === open) {
        return describe(history, trail, edges, edge.to);
      } else if (state[edge.to] === unseen) {
        state[edge.to] = open;
        trail.push({ node: edge.to, next: 0 });
      }
    }
  }
  return undefined;
}

function describe(
  history: readonly HistoryTransaction[],
  trail: readonly { readonly node: number; readonly next: number }[],
  edges: readonly (readonly Edge[])[],
  first: number,
): Anomaly {
  const from = trail.findIndex(({ node }) => node === first);
  const cycle = trail.slice(from).flatMap(({ node, next }) => {
    const id = history[node]?.id;
    // Instants between transactions are no transactions.
    if (id === undefined) return [];
    return [{ id, edge: edges[node]?.[next - 1]?.kind ?? "rt" }];
  });
  const words = cycle.map(({ id, edge }) => `${id} -${edge}->`).join(" ");
  return { what: `a cycle: ${words} ${cycle[0]?.id}`, cycle };
}
