/** Single calls, measured by mitata: `bun run bench micro [suite…]`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "aerostore";
import type { Database } from "aerostore";
import { run } from "mitata";
import { scanTables } from "./scans.ts";
import { Flights } from "./table.ts";

/** Declares benchmarks over an open database that has `Flights`. */
type Suite = (db: Database) => void;

const suites: Readonly<Record<string, () => Promise<Suite>>> = {
  rows: async () => (await import("./rows.ts")).declareRows,
  queries: async () => (await import("./queries.ts")).declareQueries,
  scans: async () => (await import("./scans.ts")).declareScans,
  transactions: async () => (await import("./transactions.ts")).declareTransactions,
};

export const microSuites: readonly string[] = Object.keys(suites);

/** Runs suites by name, all without names; prints mitata's own tables. */
export async function runMicro(names: readonly string[]): Promise<void> {
  const chosen = names.length > 0 ? names : microSuites;
  const directory = mkdtempSync(join(tmpdir(), "aerostore-micro-"));
  const memory = mkdtempSync("/dev/shm/aerostore-micro-");
  try {
    using db = await open(directory, {
      tables: [Flights, ...scanTables],
      shmPath: join(memory, "segment"),
    });
    for (const name of chosen) {
      const load = suites[name];
      if (load === undefined) {
        throw new RangeError(`no micro suite "${name}"; there are ${microSuites.join(", ")}`);
      }
      const declare = await load();
      declare(db);
    }
    await run({ colors: process.stdout.isTTY === true });
  } finally {
    for (const folder of [directory, memory]) rmSync(folder, { recursive: true, force: true });
  }
}
