/** Checks a package as its users meet it: what is inside, what it exports, and its types. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./types.ts";

export interface PackageUnderTest {
  /** What was packed. */
  readonly folder: string;
  readonly tarball: string;
  /** Where `tools/packaging` is installed. */
  readonly installed: string;
  readonly scratch: string;
  readonly say: (line: string) => void;
}

/** Of the tarball, in bytes: two engines, bundles, bytecode and types. */
const tarballSizeMax = 4_000_000;
const planned =
  /^(?:package\.json|README\.md|CHANGELOG\.md|(?:dist|lib\/linux-(?:x64|arm64)|tcl)\/[^/]+)$/;
const compilers = ["typescript-5", "typescript", "typescript-7"];

/** **Throws** with the first thing that is wrong. */
export async function checkPackage(subject: PackageUnderTest): Promise<void> {
  const { folder, tarball, installed, say } = subject;
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  const extra = files.filter((path) => !planned.test(path));
  if (extra.length > 0)
    throw new Error(`the package has what was not planned: ${extra.join(", ")}`);
  const { size } = Bun.file(tarball);
  if (size > tarballSizeMax) throw new Error(`the tarball has ${size} bytes`);
  say(`${files.length} files, ${size} bytes packed`);

  say("publint and @arethetypeswrong/cli");
  const lint = await runTool(installed, ["publint/src/cli.js", folder, "--strict"]);
  if (!lint.includes("All good")) throw new Error(`publint refused:\n${lint}`);
  // An ES module that CommonJS under Node would have to load: nothing of ours runs under Node.
  const attw = ["@arethetypeswrong/cli/dist/index.js", tarball, "--profile", "esm-only"];
  await runTool(installed, [...attw, "--no-emoji", "--no-color"]);
  await checkTypes(subject);
}

/** A program of a user who knows no option of ours, with and without Bun's types beside it. */
const typedProgram = `
import { AerostoreError, defineTable, open, t } from "aerostore";
import { FlightState } from "aerostore/flight";
const Flights = defineTable("Flights", { flight: t.string(8).primaryKey(), altitude: t.i32().index() });
export async function main(): Promise<number> {
  await using db = await open("./data", { tables: [Flights, FlightState] });
  const flights = db.table(Flights);
  flights.upsert({ flight: "UAL123", altitude: 31_000 });
  // @ts-expect-error: a column of another type
  flights.upsert({ flight: "UAL123", altitude: "high" });
  let sum = 0;
  for (const row of flights.search("-compare {{> altitude 30000}}")) sum += row.altitude;
  if (sum < 0) throw new AerostoreError("INVALID_VALUE", "below zero");
  return sum;
}
`;

async function checkTypes({ tarball, installed, scratch, say }: PackageUnderTest): Promise<void> {
  const project = join(scratch, "typed");
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "typed", type: "module" }));
  writeFileSync(join(project, "program.ts"), typedProgram);
  await Bun.$`${process.execPath} add --offline ${tarball}`.cwd(project).quiet();
  const plain = ["--noEmit", "--skipLibCheck", "false"];
  const modern = ["--target", "esnext", "--module", "nodenext", "--strict"];
  const bundled = ["--target", "esnext", "--module", "preserve", "--strict"];
  for (const compiler of compilers) {
    say(`types under ${compiler}`);
    for (const options of [["--target", "es2022", "--module", "nodenext"], modern, bundled]) {
      const words = [`${compiler}/bin/tsc`, ...plain, ...options, join(project, "program.ts")];
      await runTool(installed, words);
    }
  }
  rmSync(project, { recursive: true });
}
