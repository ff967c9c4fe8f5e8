/**
 * The command line: finds the command, runs it, and turns what went wrong into one line and an exit
 * status (0 done, 1 failed, 2 wrong usage).
 */
import { AerostoreError } from "../errors.ts";
import { nearestName } from "../schema/nearest.ts";
import { version } from "../../package.json" with { type: "json" };
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
import { OutputClosed, printable, Terminal } from "../terminal/terminal.ts";

/** By name, in the order of the overview; each is loaded when it is named. */
const commands = new Map<string, () => Promise<Command>>([
  ["demo", async () => (await import("./commands/demo.ts")).demo],
  ["create", async () => (await import("./commands/create.ts")).create],
  ["ingest", async () => (await import("./commands/ingest.ts")).ingest],
  ["feed", async () => (await import("./commands/feed.ts")).feed],
  ["search", async () => (await import("./commands/search.ts")).search],
  ["aggregate", async () => (await import("./commands/aggregate.ts")).aggregate],
  ["get", async () => (await import("./commands/get.ts")).get],
  ["explain", async () => (await import("./commands/explain.ts")).explain],
  ["shell", async () => (await import("./commands/shell.ts")).shell],
  ["tables", async () => (await import("./commands/tables.ts")).tables],
  ["stats", async () => (await import("./commands/stats.ts")).stats],
  ["check", async () => (await import("./commands/check.ts")).check],
  ["checkpoint", async () => (await import("./commands/checkpoint.ts")).checkpoint],
  ["recover", async () => (await import("./commands/recover.ts")).recover],
  ["segments", async () => (await import("./commands/segments.ts")).segments],
  ["resize", async () => (await import("./commands/resize.ts")).resize],
  ["config", async () => (await import("./commands/config.ts")).config],
  ["watch", async () => (await import("./commands/watch.ts")).watch],
  ["subscriptions", async () => (await import("./commands/subscriptions.ts")).subscriptions],
  ["export", async () => (await import("./commands/export.ts")).exportRows],
  ["follow-feed", async () => (await import("./commands/follow-feed.ts")).followFeed],
  ["serve", async () => (await import("./commands/serve.ts")).serve],
  ["bench", async () => (await import("./commands/bench.ts")).bench],
  ["tcl-bridge", async () => (await import("./commands/tcl-bridge.ts")).tclBridge],
]);

commands.set("completion", async () => {
  const { completionOf } = await import("./commands/completion.ts");
  return completionOf(async () => {
    const others = [...commands].filter(([name]) => name !== "completion");
    return Promise.all(others.map(([, load]) => load()));
  });
});

/** The processes of the demo, which starts them by their words; no commands of the overview. */
const demoParts = new Map<string, (options: string | undefined) => Promise<void>>([
  ["demo-writer", async (options) => (await import("../demo/parts.ts")).runWriterChild(options)],
  [
    "demo-searcher",
    async (options) => (await import("../demo/parts.ts")).runSearcherChild(options),
  ],
]);

/** Runs one command line; the exit status. Never throws. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--help" || name === "-h" || name === "help") {
    terminal.print(await overview());
    terminal.flush();
    return done;
  }
  if (name === "--version") {
    terminal.print(version);
    terminal.print(await engineLine());
    terminal.flush();
    return done;
  }
  const part = demoParts.get(name ?? "");
  if (part !== undefined) {
    await part(rest[0]);
    return done;
  }
  const command = await commands.get(name ?? "")?.();
  if (command === undefined) {
    terminal.note(await overview());
    if (name !== undefined) terminal.note(`\n${unknownCommand(name)}`);
    return misused;
  }
  let status = done;
  try {
    status = await runCommand(command, rest, terminal);
    terminal.flush();
    return status;
  } catch (error) {
    // The reader of a pipe may have seen enough; what the command found out stands.
    if (error instanceof OutputClosed) return status;
    return report(error, command, rest, terminal);
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

/** Which engine this command line would load, for `--version`. */
async function engineLine(): Promise<string> {
  try {
    const { source, path } = (await import("../ffi/library.ts")).describeEngine();
    return `engine: ${source}, ${path}`;
  } catch (error) {
    return `engine: none (${error instanceof Error ? error.message : String(error)})`;
  }
}

async function overview(): Promise<string> {
  return overviewOf(await Promise.all([...commands.values()].map((load) => load())));
}

function unknownCommand(name: string): string {
  const near = nearestName(name, [...commands.keys()]);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return `aerostore: there is no command "${printable(name)}"${hint}`;
}

/** Says what went wrong on standard error; the exit status. */
function report(
  error: unknown,
  command: Command,
  words: readonly string[],
  terminal: Terminal,
): number {
  const isUsage = error instanceof UsageError;
  const message = error instanceof Error ? error.message : String(error);
  const code = isUsage ? "USAGE" : error instanceof AerostoreError ? error.code : codeOf(error);
  if (words.includes("--json")) {
    terminal.note(
      JSON.stringify({ error: error instanceof AerostoreError ? error : { code, message } }),
    );
  } else if (isUsage) {
    // The error comes last, where the eye is.
    terminal.note(`${usageOf(command)}\n\naerostore ${command.name}: ${printable(message)}`);
  } else {
    terminal.note(`${code}: ${printable(message.replace(/\s*\n\s*/g, " "))}`);
  }
  if (words.includes("--debug") && error instanceof Error) terminal.note(error.stack ?? "");
  return isUsage ? misused : failed;
}

/** The code of an error that is not ours. */
function codeOf(error: unknown): string {
  return error instanceof TypeError || error instanceof RangeError ? "INVALID_VALUE" : "INTERNAL";
}

/** Runs the command line of this process. */
export async function main(): Promise<void> {
  process.exitCode = await runCommandLine(process.argv.slice(2), new Terminal());
}

if (import.meta.main) void main();
