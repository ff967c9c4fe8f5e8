/** What a command is, and the usage text that follows from it. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { dataDirectoryDefault } from "../boot/paths.ts";
import type { Database } from "../database/database.ts";
import { AerostoreError } from "../errors.ts";
import { open } from "../index.ts";
import type { AnyTable } from "../schema/table.ts";
import { UsageError } from "./arguments.ts";
import type { Arguments, OptionSpecs } from "./arguments.ts";
import { Progress } from "../terminal/progress.ts";
import type { Terminal } from "../terminal/terminal.ts";

/** Exit statuses. */
export const done = 0;
export const failed = 1;
export const misused = 2;

/** One run of a command. */
export interface Invocation {
  readonly args: Arguments;
  readonly terminal: Terminal;
  /** `--json` was given. */
  readonly json: boolean;
}

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What stands behind the name in the usage. */
  readonly synopsis: string;
  readonly options: OptionSpecs;
  /** What else there is to say: examples, sentence by sentence. */
  readonly notes?: readonly string[];
  /** Least and greatest number of words. */
  readonly words: readonly [min: number, max: number];
  /** Does it; the exit status. **Throws** `AerostoreError` and `UsageError`. */
  readonly run: (invocation: Invocation) => Promise<number>;
}

/** What every command takes. */
export const commonOptions: OptionSpecs = {
  dir: { value: "PATH", help: `data directory (default ${dataDirectoryDefault})` },
  shm: { value: "PATH", help: "segment file, instead of the one that belongs to the directory" },
  "read-only": { help: "attach to a database that is up, and change nothing" },
  json: { help: "JSON on standard output: one document, or one to a line for rows" },
  debug: { help: "show the stack trace of an error" },
  help: { help: "show this" },
};

/** For commands on one table. */
export const tableOption: OptionSpecs = {
  table: { value: "TABLE", help: "the table (default FlightState)" },
};

/** The name given with `--table`. */
export function tableNameOf(args: Arguments): string {
  return args.text("table") ?? "FlightState";
}

/** The usage of one command. */
export function usageOf(command: Command): string {
  const lines = [`usage: aerostore ${command.name} ${command.synopsis}`.trimEnd()];
  lines.push("", command.summary, "");
  lines.push(...optionLines(command.options), ...optionLines(commonOptions));
  if (command.notes !== undefined) lines.push("", ...command.notes);
  return lines.join("\n");
}

/** The list of all commands. */
export function overviewOf(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    "usage: aerostore <command> [options]",
    "",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "aerostore <command> --help says more. Every command takes",
    ...optionLines(commonOptions),
  ].join("\n");
}

function optionLines(specs: OptionSpecs): string[] {
  return Object.entries(specs).map(([name, { value, help }]) => {
    const option = value === undefined ? `--${name}` : `--${name} ${value}`;
    return `  ${option.padEnd(18)}  ${help}`;
  });
}

/** Any of these is a database, or what is left of one. */
const databaseFiles = ["aerostore.id", "aerostore.wal", "occ_checkpoint.dat"];

/** Whether there is no such file. One that may not be seen is there: opening it says so. */
function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code !== "EACCES";
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/**
 * Opens the database that `--dir` and `--shm` name; creates it when there are `tables` to create.
 *
 * **Throws** `IO_ERROR` when there is none, and what `open` throws.
 */
export async function openDatabase(
  { args, terminal }: Invocation,
  tables?: readonly AnyTable[],
): Promise<Database> {
  const directory = args.text("dir") ?? dataDirectoryDefault;
  if (directory === "") throw new UsageError("--dir is the path of a directory, not empty");
  if (isFile(directory)) {
    throw new AerostoreError(
      "IO_ERROR",
      `opening "${directory}": it is a file; --dir names the data directory`,
      { path: directory },
    );
  }
  if (tables === undefined && databaseFiles.every((name) => isMissing(join(directory, name)))) {
    throw new AerostoreError(
      "IO_ERROR",
      `opening "${directory}": there is no database; name another directory with --dir, or make ` +
        "one with create, ingest or demo",
      { path: directory },
    );
  }
  const shmPath = args.text("shm");
  using progress = new Progress(terminal, "recovering");
  return await open(directory, {
    onBoot: ({ recovery, elapsedMs }) => {
      if (recovery === undefined) return;
      progress.update({
        rows: recovery.rowsLoaded + recovery.recordsReplayed,
        bytes: recovery.doneBytes,
        totalBytes: recovery.sizeBytes,
        elapsedMs,
      });
    },
    ...(shmPath === undefined ? {} : { shmPath }),
    ...(tables === undefined ? { create: false } : { tables }),
    ...(args.has("read-only") ? { readOnly: true } : {}),
  });
}
