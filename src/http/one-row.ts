/** `/v1/tables/T/rows/KEY`: one row, with expectations by `If-Match` and `If-None-Match`. */
import type { Table } from "../database/table.ts";
import type { ColumnValue } from "../schema/column.ts";
import { readJson, textResponse } from "./content.ts";
import { parameterOf, tableOf } from "./door.ts";
import type { Door, DoorRequest, Handler } from "./door.ts";
import { HttpProblem } from "./problem.ts";
import { keyFromText, rowFromJson, rowText } from "./values.ts";
import type { JsonRow } from "./values.ts";

export function getRow(door: Door): Handler {
  return (request) => {
    const table = tableOf(door, request);
    const row = table.get(keyOf(table, request));
    if (row === undefined) throw absent(table, request);
    const text = rowText(table.definition.columns, row);
    const etag = etagOf(text);
    if (matches(request.headers.get("if-none-match"), etag)) {
      return new Response(null, { status: 304, headers: { etag } });
    }
    return textResponse(text, "application/json", { headers: { etag } });
  };
}

/** Puts the row in place: columns that the body leaves out get their default, else null. */
export function putRow(door: Door): Handler {
  return async (request) => {
    const named = tableOf(door, request);
    const key = keyOf(named, request);
    const given = await bodyRow(door, named, request, key);
    const { inserted, text } = door.db.transact((tx) => {
      const table = tx.table(named.name);
      const before = table.get(key);
      expectMatch(named, request, before);
      if (before === undefined) table.insert(given);
      else table.update(key, replacement(named, given));
      return { inserted: before === undefined, text: currentText(table, key) };
    });
    await acknowledge(door, request);
    const headers = { etag: etagOf(text) };
    return textResponse(text, "application/json", { status: inserted ? 201 : 200, headers });
  };
}

/** Changes the columns that the body names. */
export function patchRow(door: Door): Handler {
  return async (request) => {
    const named = tableOf(door, request);
    const key = keyOf(named, request);
    const { [named.definition.key.name]: _key, ...patch } = await bodyRow(
      door,
      named,
      request,
      key,
    );
    const text = door.db.transact((tx) => {
      const table = tx.table(named.name);
      const before = table.get(key);
      expectMatch(named, request, before);
      if (before === undefined) throw absent(named, request);
      table.update(key, patch);
      return currentText(table, key);
    });
    await acknowledge(door, request);
    return textResponse(text, "application/json", { headers: { etag: etagOf(text) } });
  };
}

export function deleteRow(door: Door): Handler {
  return async (request) => {
    const named = tableOf(door, request);
    const key = keyOf(named, request);
    door.db.transact((tx) => {
      const table = tx.table(named.name);
      const before = table.get(key);
      expectMatch(named, request, before);
      if (before === undefined) throw absent(named, request);
      table.delete(key);
    });
    await acknowledge(door, request);
    return new Response(null, { status: 204 });
  };
}

/** Waits until the write is on disk, unless the caller asks for less by `?durable=0`. */
export async function acknowledge({ db }: Door, request: DoorRequest): Promise<void> {
  if (new URL(request.url).searchParams.get("durable") !== "0") await db.durable();
}

function keyOf(table: Table, request: DoorRequest): ColumnValue {
  return keyFromText(table.definition, parameterOf(request, "key"));
}

/** The row of the body; its key is that of the path. **Throws** `HttpProblem` 400 for another. */
async function bodyRow(
  door: Door,
  { definition }: Table,
  request: DoorRequest,
  key: ColumnValue,
): Promise<Record<string, ColumnValue>> {
  const row = rowFromJson(definition, await readJson(request, door.limits.bodyBytes));
  const { name } = definition.key;
  const named = row[name];
  if (named !== undefined && String(named) !== String(key)) {
    throw new HttpProblem(
      400,
      "INVALID_VALUE",
      `the body has the key ${String(named)}, the path ${String(key)}`,
      { table: definition.name, column: name },
    );
  }
  return { ...row, [name]: key };
}

/** Every column but the key: what is not given goes back to its default, or null. */
function replacement(
  { definition }: Table,
  given: Readonly<Record<string, ColumnValue>>,
): Record<string, ColumnValue> {
  const patch: Record<string, ColumnValue> = {};
  for (const column of definition.columns) {
    if (column === definition.key) continue;
    const value = given[column.name] ?? column.default ?? (column.nullable ? null : undefined);
    if (value === undefined) {
      throw new HttpProblem(
        400,
        "INVALID_VALUE",
        `putting a row of ${definition.name}: ${column.name} has no value, default or null; ` +
          "PATCH changes single columns",
        { table: definition.name, column: column.name },
      );
    }
    patch[column.name] = value;
  }
  for (const name of Object.keys(given)) {
    // An unknown name is for the table to refuse.
    if (definition.find(name) === undefined) patch[name] = given[name] ?? null;
  }
  return patch;
}

function currentText(table: Pick<Table, "get" | "definition">, key: ColumnValue): string {
  const row = table.get(key);
  return row === undefined ? "null" : rowText(table.definition.columns, row);
}

/** **Throws** `HttpProblem` 412 when the row is not the one that the headers ask for. */
function expectMatch({ definition }: Table, request: DoorRequest, row: JsonRow | undefined): void {
  const etag = row === undefined ? undefined : etagOf(rowText(definition.columns, row));
  const match = request.headers.get("if-match");
  if (match !== null && !matches(match, etag)) {
    throw unmet(row === undefined ? "the row is not there" : "the row has changed", etag);
  }
  const noneMatch = request.headers.get("if-none-match");
  if (noneMatch !== null && matches(noneMatch, etag)) throw unmet("the row is there", etag);
}

function unmet(found: string, etag: string | undefined): HttpProblem {
  const headers = etag === undefined ? {} : { etag };
  return new HttpProblem(412, "PRECONDITION_FAILED", `${found}; nothing was written`, {}, headers);
}

function absent({ name }: Table, request: DoorRequest): HttpProblem {
  const key = parameterOf(request, "key");
  return new HttpProblem(404, "NOT_FOUND", `${name} has no row ${key}`, { table: name, key });
}

function etagOf(text: string): string {
  return `"${Bun.hash(text).toString(36)}"`;
}

/** Whether a list of entity tags, or `*`, names the row. */
function matches(header: string | null, etag: string | undefined): boolean {
  if (header === null || etag === undefined) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((each) => each.trim().replace(/^W\//, "") === etag);
}
