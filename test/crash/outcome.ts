/** Workers that name their transactions are killed; whoever asks later is told the truth. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Crew } from "../support/crew.ts";
import { Random } from "../support/random.ts";

export interface OutcomeOptions {
  readonly seed: number;
  readonly kills: number;
}

export interface OutcomeReport {
  readonly problems: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

const program = "test/crash/outcome-child.ts";

/** Kills workers somewhere between naming and ending a transaction, then asks for every token. */
export async function runOutcomes({ seed, kills }: OutcomeOptions): Promise<OutcomeReport> {
  await using crew = new Crew();
  const random = new Random(seed);
  const lines: string[] = [];
  const survivor = crew.start(program, ["work", 0, seed]);
  await survivor.said("0:");
  for (let kill = 1; kill <= kills; kill++) {
    const count = random.between(1, 60);
    let left = count;
    const victim = crew.start(program, ["work", kill, seed], {
      onLine: (_, child) => {
        if (--left === 0) child.signal("SIGKILL");
      },
    });
    await victim.ended;
    lines.push(...victim.lines);
  }
  crew.stop();
  const { status, stderr } = await survivor.ended;
  lines.push(...survivor.lines.slice(-askedMax));
  const asked = new Set(lines.map((line) => line.split(" ").slice(0, 2).join(" ")));
  const file = join(crew.directory, "tokens");
  writeFileSync(file, [...asked].join("\n"));
  const found = (await crew.run(program, ["ask", file])) as OutcomeReport;
  const ends = status === 0 ? [] : [`the survivor ended with ${status}: ${stderr}`];
  return { problems: [...ends, ...found.problems], counts: found.counts };
}

/** Of the survivor, so that the victims' tokens are not forgotten either. */
const askedMax = 2_000;

/** Names `count` transactions; how many of the newest are known, all of them told truthfully. */
export async function runWrap(
  count: number,
): Promise<{ readonly problems: readonly string[]; readonly known: number }> {
  await using crew = new Crew();
  return (await crew.run(program, ["wrap", count])) as {
    readonly problems: readonly string[];
    readonly known: number;
  };
}
