/** Damage to one file of a data directory, at random places. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../support/random.ts";

export type Damage = "cut" | "flip";

/** Cuts the current log, or flips a bit of the written part of any file; in words. */
export function damageOne(directory: string, random: Random, kind: Damage): string {
  const files = readdirSync(directory).filter((name) =>
    /^(aerostore\.(wal|id|epoch)|occ_checkpoint)/.test(name),
  );
  const file = kind === "cut" ? "aerostore.wal" : random.pick(files.sort());
  const path = join(directory, file);
  const bytes = readFileSync(path);
  let used = bytes.length;
  while (used > 0 && bytes[used - 1] === 0) used--;
  const at = random.below(used);
  if (kind === "cut") {
    writeFileSync(path, bytes.subarray(0, at));
    return `${file} cut at ${at} of ${used}`;
  }
  const bit = random.below(8);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  writeFileSync(path, bytes);
  return `${file}: bit ${bit} of byte ${at} of ${used} flipped`;
}
