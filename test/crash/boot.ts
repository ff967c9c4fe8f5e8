/** Many processes that open at once, segments that are not what they should be, flipped bits. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Crew } from "../support/crew.ts";
import type { Child } from "../support/crew.ts";
import { Random } from "../support/random.ts";

const program = "test/crash/boot-child.ts";

/** What `try` of the child says. */
export interface Tried {
  /** `ok`, or the code of the refusal. */
  readonly opened: string;
  readonly message?: string;
  readonly mode?: string;
  readonly reason?: string;
  /** `ok`, a code, or what was wrong. */
  readonly read?: string;
  readonly check?: string;
  readonly write?: string;
}

/** Lets `count` processes open at the same moment and kills half of them on the way. */
export async function runCrowd(options: { seed: number; count: number }): Promise<string[]> {
  await using crew = new Crew();
  const random = new Random(options.seed);
  const problems: string[] = [];
  const doomed = new Set<Child>();
  const children: Child[] = [];
  let lines = 0;
  // Each victim dies when so many lines have been said by all: before, in, or after its own boot.
  const deaths = new Map<number, number>();
  for (let index = 0; index < options.count; index += 2) {
    deaths.set(index, random.below(options.count));
  }
  const killDue = (): void => {
    for (const [index, at] of deaths) {
      const child = children[index];
      if (child === undefined || lines < at) continue;
      doomed.add(child);
      child.signal("SIGKILL");
      deaths.delete(index);
    }
  };
  for (let index = 0; index < options.count; index++) {
    const child = crew.start(program, ["open", 1_000 + index], {
      onLine: () => {
        lines++;
        killDue();
      },
    });
    children.push(child);
    killDue();
  }
  const survivors = children.filter((_, index) => index % 2 === 1);
  await Promise.all(survivors.map(async (child) => child.said("wrote")));
  crew.stop();
  for (const child of children) {
    const { status, signal, stderr } = await child.ended;
    if (status !== 0 && !(doomed.has(child) && signal === "SIGKILL")) {
      problems.push(`${child.name} ended with ${signal ?? status}: ${stderr.slice(-400)}`);
    }
  }
  const cold = children.filter((child) => child.lines.includes("open ColdReplay")).length;
  if (cold > 1) problems.push(`${cold} processes came up cold beside each other`);
  const tried = (await crew.run(program, ["try"])) as Tried;
  if (tried.check !== "ok" || tried.write !== "ok") problems.push(JSON.stringify(tried));
  return problems;
}

/** What is done to a segment, and what must come of opening it. */
export interface SegmentCase {
  readonly name: string;
  readonly damage: (crew: Crew) => void;
  /** `WarmAttach`, `ColdReplay`, or the code of the refusal. */
  readonly expected: string;
}

const versionOffset = 8;

export const segmentCases: readonly SegmentCase[] = [
  { name: "untouched", damage: () => undefined, expected: "WarmAttach" },
  { name: "missing", damage: (crew) => crew.removeSegment(), expected: "ColdReplay" },
  {
    name: "half as long",
    damage: ({ shmPath }) => truncateSync(shmPath, 2 << 20),
    expected: "ColdReplay",
  },
  {
    name: "a page longer",
    damage: ({ shmPath }) => truncateSync(shmPath, (4 << 20) + 4_096),
    expected: "ColdReplay",
  },
  { name: "empty", damage: ({ shmPath }) => truncateSync(shmPath, 0), expected: "ColdReplay" },
  {
    name: "100 bytes long",
    damage: ({ shmPath }) => truncateSync(shmPath, 100),
    expected: "ColdReplay",
  },
  {
    name: "all zeros",
    damage: ({ shmPath }) => writeFileSync(shmPath, new Uint8Array(4 << 20), { mode: 0o600 }),
    expected: "ColdReplay",
  },
  {
    name: "of another version",
    damage: ({ shmPath }) => flip(shmPath, versionOffset, 1),
    expected: "ColdReplay",
  },
  {
    name: "a symlink to itself elsewhere",
    damage: ({ shmPath, directory }) => {
      const elsewhere = join(directory, "elsewhere.mmap");
      cpSync(shmPath, elsewhere);
      chmodSync(elsewhere, 0o600);
      rmSync(shmPath);
      symlinkSync(elsewhere, shmPath);
    },
    expected: "PERMISSION",
  },
  {
    name: "readable and writable by everybody",
    damage: ({ shmPath }) => chmodSync(shmPath, 0o666),
    expected: "PERMISSION",
  },
  {
    name: "a directory",
    damage: ({ shmPath }) => {
      rmSync(shmPath);
      mkdirSync(shmPath);
    },
    expected: "PERMISSION",
  },
];

/** What came of opening a segment that `damage` was done to. */
export async function trySegment({ damage }: SegmentCase): Promise<Tried> {
  await using crew = new Crew();
  await crew.run(program, ["fill"]);
  damage(crew);
  try {
    return (await crew.run(program, ["try"])) as Tried;
  } finally {
    rmSync(crew.shmPath, { recursive: true, force: true });
  }
}

/** What came of opening a database with the segment of another one. */
export async function tryForeignSegment(): Promise<Tried> {
  await using crew = new Crew();
  await using other = new Crew();
  await crew.run(program, ["fill"]);
  await other.run(program, ["fill"]);
  renameSync(other.shmPath, crew.shmPath);
  return (await crew.run(program, ["try"])) as Tried;
}

function flip(path: string, offset: number, bits: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ bits;
  writeFileSync(path, bytes);
}

export interface FlipOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Children at the same time. */
  readonly width: number;
}

export interface FlipReport {
  /** Faults, hangs, and errors without a code: never right. */
  readonly problems: readonly string[];
  /** What came of the flips, in words, with how often. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Longer than anything that works, on a busy machine. */
const hangMs = 60_000;

/** Flips single bits in used parts of a segment; each flip is tried by a child on a copy. */
export async function runFlips(options: FlipOptions): Promise<FlipReport> {
  await using model = new Crew();
  const random = new Random(options.seed);
  await model.run(program, ["fill", random.oneIn(2) ? "checkpoint" : "log"]);
  const original = readFileSync(model.shmPath);
  const used: number[] = [];
  for (let at = 0; at < original.length; at += 16) {
    if (original.subarray(at, at + 16).some((byte) => byte !== 0)) used.push(at);
  }
  const problems: string[] = [];
  const outcomes: Record<string, number> = {};
  let left = options.rounds;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      await using crew = new Crew();
      cpSync(model.data, crew.data, { recursive: true });
      copyFileSync(model.shmPath, crew.shmPath);
      chmodSync(crew.shmPath, 0o600);
      const [at, bit] = [random.pick(used) + random.below(16), random.below(8)];
      flip(crew.shmPath, at, 1 << bit);
      const child = crew.start(program, ["try"], { limitMs: hangMs });
      const { status, signal, stderr } = await child.ended;
      const where = `seed ${options.seed}, bit ${bit} of byte ${at}`;
      if (status !== 0) {
        const outcome = signal === "SIGKILL" ? "hang" : (signal ?? `exit ${status}`);
        count(outcomes, outcome);
        const panic = stderr.split("\n").find((line) => line.includes("internal error"));
        problems.push(`${where}: ${outcome}: ${panic ?? stderr.slice(-300)}`);
        continue;
      }
      const tried = JSON.parse(child.lines.at(-1) ?? "null") as Tried;
      const outcome = outcomeOf(tried);
      count(outcomes, outcome);
      if (outcome === "unnamed") problems.push(`${where}: ${JSON.stringify(tried)}`);
    }
  };
  await Promise.all(Array.from({ length: options.width }, work));
  return { problems, outcomes };
}

function count(outcomes: Record<string, number>, outcome: string): void {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

/** One word for what came of a flip. */
function outcomeOf({ opened, mode, read = "", check = "", write = "" }: Tried): string {
  if (opened !== "ok") return `refused: ${opened}`;
  const isNamed = (result: string): boolean => /^(ok$|[A-Z_]+$|wrong: |problems: )/.test(result);
  if (![read, check, write].every(isNamed)) return "unnamed";
  if (mode === "ColdReplay") return read === "ok" ? "cold, exact" : "cold, wrong";
  if (read === "ok" && check === "ok" && write === "ok") return "unnoticed, exact";
  if (!read.startsWith("wrong: ")) return "noticed";
  return check === "ok" ? "wrong answer, check is content" : "wrong answer, check tells";
}
