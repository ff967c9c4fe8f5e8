/** `watch`: a query that stands, or all changes, as lines. */
import type { Change } from "../../changes/feed.ts";
import type { Position } from "../../changes/position.ts";
import type { Delta } from "../../changes/standing.ts";
import type { Database } from "../../database/database.ts";
import { type Command, done, type Invocation, openDatabase } from "../command.ts";
import { tableNameOf, tableOption } from "../command.ts";
import { queryOf } from "./search.ts";

export const watch: Command = {
  name: "watch",
  summary: "prints what changes in the rows that a query finds, as it happens",
  synopsis: "['<STAPI options>']",
  options: {
    ...tableOption,
    changes: { help: "print every commit instead, with its position" },
    from: {
      value: "POSITION",
      help: "with --changes: now, oldest, snapshot or a position; default now",
    },
  },
  notes: [
    "Lines begin with + for rows that the query finds now, ~ for rows that have changed and - for",
    "keys of rows that it does not find any more. Control-C ends it.",
    "",
    "  aerostore watch '-compare {> altitude 30000}'",
  ],
  words: [0, Number.MAX_SAFE_INTEGER],
  async run(invocation) {
    await using db = await openDatabase(invocation);
    const ending = new AbortController();
    const end = (): void => ending.abort();
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, end);
    if (invocation.args.has("changes")) await printChanges(invocation, db, ending.signal);
    else await printDeltas(invocation, db, ending.signal);
    return done;
  },
};

async function printDeltas(
  { args, json, terminal }: Invocation,
  db: Database,
  signal: AbortSignal,
): Promise<void> {
  const watched = db.table(tableNameOf(args)).watch(queryOf(args), { signal });
  for await (const delta of watched) {
    if (json) terminal.print(text(delta));
    else for (const line of linesOf(delta)) terminal.print(line);
    terminal.flush();
  }
}

function linesOf({ entered, changed, left }: Delta<object>): readonly string[] {
  return [
    ...entered.map((row) => `+ ${text(row)}`),
    ...changed.map((row) => `~ ${text(row)}`),
    ...left.map((key) => `- ${text(key)}`),
  ];
}

async function printChanges(
  { args, json, terminal }: Invocation,
  db: Database,
  signal: AbortSignal,
): Promise<void> {
  const from = (args.text("from") ?? "now") as Position;
  const table = args.text("table");
  const tables = table === undefined ? undefined : [table];
  for await (const change of db.changes({ from, tables, signal })) {
    if (json) terminal.print(text(documentOf(change)));
    else for (const line of changeLines(change)) terminal.print(line);
    terminal.flush();
  }
}

function documentOf({ kind, csn, position, time, writes }: Change): object {
  return { kind, csn, position, time: Number.isNaN(time) ? null : time, writes };
}

function changeLines({ kind, position, writes }: Change): readonly string[] {
  if (writes.length === 0) return [`${position} ${kind}`];
  return writes.map(({ table, op, key, changed, row }) => {
    const values = row ?? changed;
    const rest = values === undefined ? "" : ` ${text(values)}`;
    return `${position} ${table} ${op} ${text(key)}${rest}`;
  });
}

/** JSON, with wide integers as digits and bytes in hexadecimal. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === "bigint") return each.toString();
    return each instanceof Uint8Array ? each.toHex() : each;
  });
}
