/** `aggregate`: values of groups of rows. */
import { type Command, done, openDatabase, tableNameOf, tableOption } from "../command.ts";
import type { Group, GroupValue } from "../../search/groups.ts";
import { printable } from "../../terminal/terminal.ts";
import { queryOf } from "./search.ts";

export const aggregate: Command = {
  name: "aggregate",
  summary: "prints counts, sums and other values of groups of rows",
  synopsis: "'<STAPI options>'",
  options: { ...tableOption, tsv: { help: "tab-separated lines, also on a terminal" } },
  notes: [
    "The first line has the names.",
    "Without --tsv and --json: a table on a terminal, tab-separated lines elsewhere.",
    "",
    "  aerostore aggregate '-group {{bucket altitude 5000 level}} -aggregate {n count v {avg gs}}'",
  ],
  words: [1, Number.MAX_SAFE_INTEGER],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    await using db = await openDatabase(invocation);
    const groups = db.table(tableNameOf(args)).aggregate(queryOf(args));
    if (json) {
      for (const group of groups) terminal.print(JSON.stringify(group, digits));
      return done;
    }
    const [first] = groups;
    if (first === undefined) return done;
    const lines = [Object.keys(first), ...groups.map(cellsOf)];
    const isTable = terminal.isInteractive && !args.has("tsv");
    const widths = Object.keys(first).map((_, index) =>
      Math.max(...lines.map((line) => line[index]?.length ?? 0)),
    );
    for (const line of lines) {
      const padded = line.map((cell, index) => cell.padEnd(widths[index] ?? 0));
      terminal.print(isTable ? padded.join("  ").trimEnd() : line.join("\t"));
    }
    return done;
  },
};

function cellsOf(group: Group): string[] {
  return Object.values(group).map((value) => printable(textOf(value)));
}

function textOf(value: GroupValue): string {
  if (value === null) return "";
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return Array.isArray(value) ? value.join(" ") : String(value);
}

/** JSON has no integers beyond 2^53 that all readers keep: as text. */
function digits(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
}
