#!/usr/bin/env bun
/**
 * The command line: finds the command, runs it, and turns what went wrong into one line and an exit
 * status (0 done, 1 failed, 2 wrong usage).
 */
import { AerostoreError } from "../errors.ts";
import { nearestName } from "../schema/nearest.ts";
import { parseArguments, UsageError } from "./arguments.ts";
import {
  type Command,
  commonOptions,
  done,
  failed,
  misused,
  overviewOf,
  usageOf,
} from "./command.ts";
import { bench } from "./commands/bench.ts";
import { check } from "./commands/check.ts";
import { checkpoint } from "./commands/checkpoint.ts";
import { config } from "./commands/config.ts";
import { create } from "./commands/create.ts";
import { demo } from "./commands/demo.ts";
import { explain } from "./commands/explain.ts";
import { exportRows } from "./commands/export.ts";
import { get } from "./commands/get.ts";
import { ingest } from "./commands/ingest.ts";
import { recover } from "./commands/recover.ts";
import { search } from "./commands/search.ts";
import { shell } from "./commands/shell.ts";
import { stats } from "./commands/stats.ts";
import { tables } from "./commands/tables.ts";
import { tclBridge } from "./commands/tcl-bridge.ts";
import { OutputClosed, printable, Terminal } from "./terminal.ts";

const commands: readonly Command[] = [
  demo,
  create,
  ingest,
  search,
  get,
  explain,
  shell,
  tables,
  stats,
  check,
  checkpoint,
  recover,
  config,
  exportRows,
  bench,
  tclBridge,
];

/** Runs one command line; the exit status. Never throws. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--help" || name === "-h" || name === "help") {
    terminal.print(overviewOf(commands));
    terminal.flush();
    return done;
  }
  const command = commands.find((each) => each.name === name);
  if (command === undefined) {
    terminal.note(name === undefined ? overviewOf(commands) : unknownCommand(name));
    return misused;
  }
  try {
    const status = await runCommand(command, rest, terminal);
    terminal.flush();
    return status;
  } catch (error) {
    return report(error, command, rest.includes("--debug"), terminal);
  }
}

async function runCommand(
  command: Command,
  argv: readonly string[],
  terminal: Terminal,
): Promise<number> {
  if (argv.includes("--help") || argv[0] === "-h") {
    terminal.print(usageOf(command));
    return done;
  }
  const args = parseArguments(argv, { ...commonOptions, ...command.options });
  const [min, max] = command.words;
  if (args.words.length < min) throw new UsageError(`too few words: ${command.synopsis}`);
  if (args.words.length > max) {
    const expected = command.synopsis === "" ? "it takes none" : command.synopsis;
    throw new UsageError(`"${args.words[max]}" is one word too many: ${expected}`);
  }
  return command.run({ args, terminal, json: args.has("json") });
}

function unknownCommand(name: string): string {
  const names = commands.map((command) => command.name);
  const near = nearestName(name, names);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return `aerostore: there is no command "${printable(name)}"${hint}\n${overviewOf(commands)}`;
}

/** Says what went wrong on standard error; the exit status. */
function report(error: unknown, command: Command, debug: boolean, terminal: Terminal): number {
  if (error instanceof OutputClosed) return done;
  if (error instanceof UsageError) {
    terminal.note(`aerostore ${command.name}: ${printable(error.message)}`);
    terminal.note(usageOf(command));
    return misused;
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof AerostoreError ? error.code : codeOf(error);
  terminal.note(`${code}: ${printable(message.replace(/\s*\n\s*/g, " "))}`);
  if (debug && error instanceof Error) terminal.note(error.stack ?? "");
  return failed;
}

/** The code of an error that is not ours. */
function codeOf(error: unknown): string {
  return error instanceof TypeError || error instanceof RangeError ? "INVALID_VALUE" : "INTERNAL";
}

if (import.meta.main) {
  process.exitCode = await runCommandLine(process.argv.slice(2), new Terminal());
}
