/** Databases whose writer is killed, whose segment is lost, and whose files are damaged. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Crew } from "../support/crew.ts";
import { Random } from "../support/random.ts";

const program = "test/crash/recovery-child.ts";

/** What `export` of the child says. */
export type Found =
  | {
      readonly kind: "state";
      /** Transactions that the state shows. */
      readonly n: number;
      readonly hash: string;
      /** The state is exactly that of the first `n` transactions. */
      readonly whole: boolean;
      readonly mode: string;
      readonly reason: string;
      readonly truncatedBytes: number;
      readonly rowsLoaded: number;
      readonly recordsReplayed: number;
      readonly problems: readonly string[];
    }
  | {
      readonly kind: "refused";
      readonly code: string;
      readonly path?: string;
      readonly offset?: number;
      readonly message: string;
    };

export interface RecoveryOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly sync: boolean;
  /** Whether the segment survives the kill. */
  readonly keepSegment: boolean;
}

/** What was not as it must be; empty when all is well. */
export async function runKills(options: RecoveryOptions): Promise<string[]> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const problems: string[] = [];
  for (let round = 0; round < options.rounds && problems.length === 0; round++) {
    const checkpointEvery = random.oneIn(2) ? 0 : random.between(20, 200);
    const words = ["write", options.sync ? "sync" : "async", checkpointEvery];
    let acknowledged = 0;
    let [target, before] = [Number.POSITIVE_INFINITY, 0];
    const child = crew.start(program, words, {
      onLine: (line) => {
        if (line.startsWith("checkpoint ")) return;
        if (line.startsWith("ready ")) {
          before = Number(line.split(" ")[1]);
          target = before + random.between(1, options.sync ? 60 : 600);
          return;
        }
        acknowledged = Number(line);
        if (acknowledged === target) child.signal("SIGKILL");
      },
    });
    const end = await child.ended;
    const where = `round ${round}, ${words.join(" ")}, killed at ${target}`;
    if (end.signal !== "SIGKILL") problems.push(`${where}: ended: ${end.status} ${end.stderr}`);
    if (!options.keepSegment) crew.removeSegment();
    const first = await look(crew);
    const wantMode = options.keepSegment ? "WarmAttach" : "ColdReplay";
    const nothingLost = options.sync || options.keepSegment;
    const found = describe(first, { wantMode, atLeast: nothingLost ? acknowledged : 0 });
    if (found !== undefined) problems.push(`${where}: ${acknowledged} acknowledged: ${found}`);
    if (first.kind === "state" && first.n > acknowledged + 1 && acknowledged > 0) {
      problems.push(`${where}: ${first.n} found, ${acknowledged} acknowledged`);
    }
    // Warm, then cold again: the same contents.
    const second = await look(crew);
    crew.removeSegment();
    const third = await look(crew);
    for (const [each, mode] of [
      [second, "WarmAttach"],
      [third, "ColdReplay"],
    ] as const) {
      const other = describe(each, { wantMode: mode, atLeast: 0 });
      if (other !== undefined) problems.push(`${where}: ${other}`);
      if (each.kind === "state" && first.kind === "state" && each.hash !== first.hash) {
        problems.push(`${where}: ${mode} shows ${each.n}, the first look ${first.n}`);
      }
    }
  }
  return problems;
}

async function look(crew: Crew): Promise<Found> {
  return (await crew.run(program, ["export"])) as Found;
}

function describe(
  found: Found,
  { wantMode, atLeast }: { readonly wantMode: string; readonly atLeast: number },
): string | undefined {
  if (found.kind === "refused") return `${found.code}: ${found.message}`;
  if (found.mode !== wantMode) return `${found.mode} instead of ${wantMode}: ${found.reason}`;
  if (!found.whole) return `a state that never was, ${found.n} transactions`;
  if (found.n < atLeast) return `only ${found.n} transactions are there: ${found.reason}`;
  if (found.problems.length > 0) return found.problems.join("; ");
  return undefined;
}

export interface DamageReport {
  readonly problems: readonly string[];
  readonly exact: number;
  readonly prefixes: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface DamageOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly kind: "cut" | "flip";
}

/** Damages copies of a database's files at random places: exact, a reported prefix, or refused. */
export async function runDamage(options: DamageOptions): Promise<DamageReport> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const transactions = 300;
  const writer = crew.start(program, ["write", "sync", 120], {
    onLine: (line) => {
      if (line === String(transactions)) writer.signal("SIGKILL");
    },
  });
  await writer.ended;
  crew.removeSegment();
  const whole = await look(crew);
  if (whole.kind !== "state") throw new Error(`the undamaged database: ${whole.message}`);
  const original = join(crew.directory, "original");
  cpSync(crew.data, original, { recursive: true });
  const problems: string[] = [];
  const refused: Record<string, number> = {};
  let [exact, prefixes] = [0, 0];
  const files = filesOf(original);
  for (let round = 0; round < options.rounds; round++) {
    crew.removeSegment();
    rmSync(crew.data, { recursive: true });
    cpSync(original, crew.data, { recursive: true });
    const file = options.kind === "cut" ? lastLogOf(files) : random.pick(files);
    const what = damage(join(crew.data, file), random, options.kind);
    const found = await look(crew);
    if (found.kind === "refused") {
      refused[found.code] = (refused[found.code] ?? 0) + 1;
      const isNamed = /^(WAL|CHECKPOINT)_CORRUPT$/.test(found.code);
      if (!isNamed || found.path === undefined || found.offset === undefined) {
        problems.push(`${file} ${what}: ${found.code} without file or offset: ${found.message}`);
      }
      continue;
    }
    if (found.hash === whole.hash) exact++;
    else prefixes++;
    const isReported = found.hash === whole.hash || found.truncatedBytes > 0;
    if (!found.whole || found.problems.length > 0) {
      problems.push(`${file} ${what}: a state that never was, ${found.problems.join("; ")}`);
    } else if (!isReported && options.kind === "flip") {
      problems.push(`${file} ${what}: ${found.n} of ${whole.n} without a report`);
    }
  }
  return { problems, exact, prefixes, refused };
}

function filesOf(directory: string): string[] {
  return readdirSync(directory).filter((name) => /^(aerostore\.wal|occ_checkpoint)/.test(name));
}

function lastLogOf(files: readonly string[]): string {
  if (!files.includes("aerostore.wal")) throw new Error(`no log among ${files.join(", ")}`);
  return "aerostore.wal";
}

/** Cuts the file, or flips a bit of its written part; in words. */
function damage(path: string, random: Random, kind: DamageOptions["kind"]): string {
  if (!existsSync(path)) throw new Error(`${path} is gone`);
  const bytes = readFileSync(path);
  let used = bytes.length;
  while (used > 0 && bytes[used - 1] === 0) used--;
  if (kind === "cut") {
    const at = random.below(used);
    writeFileSync(path, bytes.subarray(0, at));
    return `cut at ${at} of ${used}`;
  }
  const at = random.below(used);
  const bit = random.below(8);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  writeFileSync(path, bytes);
  return `bit ${bit} of byte ${at} of ${used} flipped`;
}
