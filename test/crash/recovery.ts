/** Databases whose writer is killed, whose segment is lost, and whose files are damaged. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { Crew } from "../support/crew.ts";
import { Random } from "../support/random.ts";
import type { Damage } from "./damage.ts";

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
  /** How commits wait for the disk; `switch`: now this way, now that. */
  readonly mode: "sync" | "async" | "switch";
  /** Whether the segment survives the kill. */
  readonly keepSegment: boolean;
}

export interface KillReport {
  /** What was not as it must be; empty when all is well. */
  readonly problems: readonly string[];
  readonly acknowledged: number;
  /** Acknowledged, and lost with the segment: only what had not been waited for. */
  readonly lost: number;
  /** The longest time between the acknowledgement of a lost commit and the kill. */
  readonly lostAgeMs: number;
}

/** Kills writers after a random number of acknowledgements, and looks at what is left. */
export async function runKills(options: RecoveryOptions): Promise<KillReport> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const problems: string[] = [];
  let [total, lost, lostAgeMs] = [0, 0, 0];
  for (let round = 0; round < options.rounds && problems.length === 0; round++) {
    const checkpointEvery = random.oneIn(2) ? 0 : random.between(20, 200);
    const words = ["write", options.mode, checkpointEvery];
    let [acknowledged, synced] = [0, 0];
    const saidAt = new Map<number, number>();
    let [target, before] = [Number.POSITIVE_INFINITY, 0];
    const child = crew.start(program, words, {
      onLine: (line) => {
        if (line.startsWith("checkpoint ")) return;
        if (line.startsWith("ready ")) {
          before = Number(line.split(" ")[1]);
          target = before + random.between(1, options.mode === "async" ? 600 : 60);
          return;
        }
        acknowledged = Number.parseInt(line);
        if (line.endsWith("on disk")) synced = acknowledged;
        saidAt.set(acknowledged, performance.now());
        if (acknowledged === target) child.signal("SIGKILL");
      },
    });
    const end = await child.ended;
    const killedAt = saidAt.get(target) ?? 0;
    const where = `round ${round}, ${words.join(" ")}, killed at ${target}`;
    if (end.signal !== "SIGKILL") problems.push(`${where}: ended: ${end.status} ${end.stderr}`);
    if (!options.keepSegment) crew.removeSegment();
    const first = await look(crew);
    const wantMode = options.keepSegment ? "WarmAttach" : "ColdReplay";
    const atLeast = options.keepSegment ? acknowledged : synced;
    const found = describe(first, { wantMode, atLeast });
    total += acknowledged - before;
    if (first.kind === "state" && first.n < acknowledged) {
      lost += acknowledged - first.n;
      lostAgeMs = Math.max(lostAgeMs, killedAt - (saidAt.get(first.n + 1) ?? 0));
    }
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
  return { problems, acknowledged: total, lost, lostAgeMs };
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
  readonly kind: Damage;
}

/** Copies that one process opens: each leaves its segment mapped there. */
const copiesMax = 100;

/** Damages copies of a database's files at random places: exact, a reported prefix, or refused. */
export async function runDamage(options: DamageOptions): Promise<DamageReport> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const transactions = 300;
  const writer = crew.start(program, ["write", "sync", 120], {
    onLine: (line) => {
      if (line === `${transactions} on disk`) writer.signal("SIGKILL");
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
  for (let done = 0; done < options.rounds && problems.length === 0; done += copiesMax) {
    const count = Math.min(copiesMax, options.rounds - done);
    const words = ["damage", options.kind, random.below(2 ** 31), count, original];
    const child = crew.start(program, words, { limitMs: 600_000 });
    const { status, signal, stderr } = await child.ended;
    // A fault or a hang would end here.
    if (status !== 0 || child.lines.length !== count) {
      problems.push(`${words.join(" ")} ended with ${signal ?? status}: ${stderr}`);
    }
    for (const line of child.lines) {
      const { what, found } = JSON.parse(line) as { what: string; found: Found };
      if (found.kind === "refused") {
        refused[found.code] = (refused[found.code] ?? 0) + 1;
        const isNamed = /^(WAL|CHECKPOINT)_CORRUPT$/.test(found.code);
        if (!isNamed || found.path === undefined || found.offset === undefined) {
          problems.push(`${what}: ${found.code} without file or offset: ${found.message}`);
        }
        continue;
      }
      const isExact = found.hash === whole.hash;
      if (isExact) exact++;
      else prefixes++;
      if (!found.whole || found.problems.length > 0) {
        problems.push(`${what}: a state that never was, ${found.problems.join("; ")}`);
      } else if (!isExact && found.truncatedBytes === 0 && options.kind === "flip") {
        problems.push(`${what}: ${found.n} of ${whole.n} without a report`);
      }
    }
  }
  return { problems, exact, prefixes, refused };
}
