/** Loading rows into a peer, each store the way it loads many at once. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Peer } from "../peers/peer.ts";
import type { Shape } from "./model.ts";

/** How long it takes, in ms. */
export async function loadInto<R extends object>(
  peer: Peer,
  parent: string,
  shape: Shape<R>,
  rows: readonly R[],
): Promise<number> {
  const directory = mkdtempSync(join(parent, "aerostore-load-"));
  const memory = mkdtempSync("/dev/shm/aerostore-load-");
  try {
    const options = { create: true, durable: false, bytesMax: 1 << 30, processes: 1 };
    const store = await peer.open({ directory, memory }, [shape], options);
    const table = store.table(shape);
    const start = performance.now();
    await table.load(rows);
    const ms = performance.now() - start;
    await store.close();
    return ms;
  } finally {
    rmSync(directory, { recursive: true });
    rmSync(memory, { recursive: true });
  }
}
