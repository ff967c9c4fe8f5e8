/** Many processes that open at once, segments that are not what they should be, flipped bits. */
import {
  chmodSync,
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
import { layouts } from "../../src/ffi/layouts.gen.ts";
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

/** In the segment's header (zig/segment/layout.zig). */
const versionOffset = 4;
const fingerprintOffset = 8;
const bootIdOffset = 32;

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
    name: "of an older version",
    damage: ({ shmPath }) => flip(shmPath, versionOffset, 1),
    expected: "ColdReplay",
  },
  {
    name: "of a newer version",
    damage: ({ shmPath }) => flip(shmPath, versionOffset, 64),
    expected: "LAYOUT_MISMATCH",
  },
  {
    name: "of another build",
    damage: ({ shmPath }) => flip(shmPath, fingerprintOffset, 1),
    expected: "ColdReplay",
  },
  {
    name: "from before the machine's last start",
    damage: ({ shmPath }) => flip(shmPath, bootIdOffset, 1),
    expected: "ColdReplay",
  },
  {
    name: "damaged in its catalog",
    damage: ({ shmPath }) => {
      const bytes = readFileSync(shmPath);
      flip(shmPath, bytes.indexOf("Rows", readGeometry(bytes, "arena_offset")), 1);
    },
    expected: "ColdReplay",
  },
  {
    name: "without an entry of its catalog",
    damage: ({ shmPath }) => {
      const bytes = readFileSync(shmPath);
      const at = readGeometry(bytes, "catalog_offset");
      bytes.fill(0, at, at + 8);
      writeFileSync(shmPath, bytes);
    },
    expected: "ColdReplay",
  },
  {
    name: "of a machine of the other byte order",
    damage: ({ shmPath }) => {
      const bytes = readFileSync(shmPath);
      bytes.subarray(0, 4).reverse();
      bytes.subarray(4, 8).reverse();
      writeFileSync(shmPath, bytes);
    },
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

function readGeometry(bytes: Buffer, name: "arena_offset" | "catalog_offset"): number {
  const at = layouts.SegmentHeader.fields.geometry.offset + layouts.Geometry.fields[name].offset;
  return Number(bytes.readBigUInt64LE(at));
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
  /** Faults, hangs, errors without a code, wrong answers that `check` has no word for. */
  readonly problems: readonly string[];
  /** What came of the flips, in words, with how often. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Longer than anything that works, on a busy machine. */
const hangMs = 60_000;
/** A child keeps what it has mapped, so it does not try more. */
const flipsPerChild = 100;

/** Flips single bits in used parts of a segment; each flip is tried on a copy of the database. */
export async function runFlips(options: FlipOptions): Promise<FlipReport> {
  const random = new Random(options.seed);
  const problems: string[] = [];
  const outcomes: Record<string, number> = {};
  // A model for each worker: the copies of one share its lock file, so only one is open at a time.
  const work = async (): Promise<void> => {
    await using model = new Crew();
    const source = random.oneIn(2) ? "checkpoint" : "log";
    const rolls = Array.from({ length: Math.ceil(options.rounds / options.width) }, () => {
      return [random.below(2 ** 31), random.below(16 * 8)] as const;
    });
    await model.run(program, ["fill", source]);
    const original = readFileSync(model.shmPath);
    const used: number[] = [];
    for (let at = 0; at < original.length; at += 16) {
      if (original.subarray(at, at + 16).some((byte) => byte !== 0)) used.push(at);
    }
    const places = rolls.map(([pick, bit]) => (used[pick % used.length] ?? 0) * 8 + bit);
    for (let mine = places.splice(0, flipsPerChild); mine.length > 0;) {
      const lines = await runFlipChild(model, mine);
      for (const { place, outcome, detail } of lines) {
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        if (right.test(outcome)) continue;
        const where = `seed ${options.seed}, bit ${place % 8} of byte ${Math.floor(place / 8)}`;
        problems.push(`${where}: ${outcome}: ${detail}`);
      }
      // A child that died is followed by one for the rest.
      mine = mine.slice(lines.length);
      if (mine.length === 0) mine = places.splice(0, flipsPerChild);
    }
  };
  await Promise.all(Array.from({ length: options.width }, work));
  return { problems, outcomes };
}

/** What may come of a flip. */
const right = /^(refused|cold, exact|unnoticed, exact|noticed|wrong answer, check tells)/;

interface FlipOutcome {
  readonly place: number;
  readonly outcome: string;
  readonly detail: string;
}

/** The flips that one child came to, the last of which may have killed it. */
async function runFlipChild(model: Crew, places: readonly number[]): Promise<FlipOutcome[]> {
  let last = performance.now();
  const child = model.start(program, ["flips", ...places], {
    onLine: () => {
      last = performance.now();
    },
  });
  const watch = setInterval(() => {
    if (performance.now() - last > hangMs) child.signal("SIGKILL");
  }, 1_000);
  const { status, signal, stderr } = await child.ended;
  clearInterval(watch);
  const found: FlipOutcome[] = [];
  for (let index = 0; index < child.lines.length; index += 2) {
    const place = Number(child.lines[index]?.slice("try ".length));
    const line = child.lines[index + 1];
    if (line !== undefined) {
      found.push({ place, outcome: outcomeOf(JSON.parse(line) as Tried), detail: line });
      continue;
    }
    const ending = signal === "SIGKILL" ? "hang" : `${signal ?? `exit ${status}`}`;
    const panic = stderr.split("\n").find((each) => each.includes("internal error"));
    found.push({ place, outcome: ending, detail: panic ?? stderr.slice(-300) });
    for (const path of [model.data, model.shmPath]) {
      rmSync(`${path}.flip.${place}`, { recursive: true, force: true });
    }
  }
  if (found.length === 0) throw new Error(`${child.name.slice(0, 40)} did nothing: ${stderr}`);
  return found;
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
