/** The question before a command changes rows that a query finds. */
import { parseStapi } from "../query/parse/stapi.ts";
import type { Database } from "../database/database.ts";
import type { Table } from "../database/table.ts";
import { formatCount } from "../terminal/terminal.ts";

/** Asks for one line; `undefined` where no user could answer: the statement runs without asking. */
export type Ask = ((question: string) => Promise<string | undefined>) | undefined;

/**
 * Runs a query with `-update` or `-delete` after the user has said yes; the number of rows, or
 * `undefined` when the answer was no. The question tells how many rows it is about.
 */
export async function executeAsked(
  db: Database,
  table: Table,
  query: string | readonly string[],
  ask: Ask,
): Promise<number | undefined> {
  if (ask === undefined) return table.execute(query);
  const count = countOf(db, table, query);
  const verb = parseStapi(query).action.kind === "delete" ? "delete" : "change";
  const rows = `${formatCount(count)} ${count === 1 ? "row" : "rows"}`;
  const answer = await ask(`${verb} ${rows} of ${table.name}? [y/N] `);
  if (!/^y(?:es)?$/i.test(answer?.trim() ?? "")) return undefined;
  return table.execute(query);
}

/** How many rows the statement is about: it runs, and is taken back. */
function countOf(db: Database, table: Table, query: string | readonly string[]): number {
  using attempt = db.begin();
  return attempt.table(table.name).execute(query);
}
