/**
 * What a Tcl interpreter can ask of its bridge. The first field of a request is the operation, the
 * second of most is the table.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition, ColumnValue } from "../schema/column.ts";
import type { AnyTable, DynamicShape } from "../schema/table.ts";
import type { Bridge } from "./bridge.ts";
import { Reply } from "./frames.ts";
import type { Request } from "./frames.ts";
import { ingestTsv, metricsOf } from "./ingest.ts";
import { queryOfTcl } from "./query.ts";
import { RowPages } from "./rows.ts";
import { addAmount, addValue, columnOf, valueOfTcl } from "./values.ts";

export type Operation = (bridge: Bridge, request: Request) => Reply | Promise<Reply>;

const synchronousCommit = "aerostore.synchronous_commit";

export const operations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  [
    "open",
    ({ database }) => {
      const { mode, orphansCleared } = database.boot;
      const place = database.tables().findIndex(({ name }) => name === "FlightState");
      return Reply.of(
        `occ_table=0x${place.toString(16)}, boot=${mode === "WarmAttach" ? "warm" : "cold"}, ` +
          `procarray_orphans_cleared=${orphansCleared}`,
      );
    },
  ],
  [
    "config_get",
    (bridge, request) => {
      const key = request.text(1);
      if (key === synchronousCommit) return Reply.of(bridge.isSynchronous ? "on" : "off");
      return Reply.of(bridge.database.getConfig(key));
    },
  ],
  ["config_set", setConfig],
  [
    "checkpoint",
    async ({ database }) => Reply.of(`checkpoint rows=${(await database.checkpoint()).rows}`),
  ],
  ["begin", async (bridge, request) => Reply.of(await bridge.begin(request.number(1)))],
  ["commit", nothing((bridge) => bridge.commit())],
  ["abort", nothing((bridge) => bridge.abort())],
  ["savepoint", nothing((bridge) => bridge.savepoint())],
  ["release", nothing((bridge) => bridge.release(false))],
  ["rollback", nothing((bridge) => bridge.release(true))],
  ["outcome", ({ database }, request) => Reply.of(database.outcome(request.text(1)))],
  ["ingest_tsv", ingest],
  [
    // Lines after one that names their columns; field 3 is 1 when it is not the file's own. Field 5
    // is "none" when a backslash is a backslash.
    "read_tabsep",
    async (bridge, request) => {
      const first = request.text(3) === "1" ? "added header" : "header";
      const report = await bridge.patiently(request.text(1), (table) =>
        ingestTsv(table, request.bytes(4), request.number(2), first, request.text(5) !== "none"),
      );
      return Reply.of(report.rows);
    },
  ],
  [
    "count",
    (bridge, request) => {
      const table = bridge.table(request.text(1));
      return Reply.of(table.count(queryOfTcl(table.definition, request.texts(2))));
    },
  ],
  [
    // `-update` or `-delete` of a query.
    "change",
    (bridge, request) => {
      const count = bridge.atomically(request.text(1), (table) => {
        return table.execute(queryOfTcl(table.definition, request.texts(2)));
      });
      return Reply.of(count);
    },
  ],
  ["search", openSearch],
  [
    "next",
    (bridge, request) => {
      const number = request.number(1);
      const pages = bridge.pages(number);
      if (pages === undefined) throw new AerostoreError("CLOSED", "the search is over");
      const reply = new Reply();
      pages.addPage(reply);
      if (pages.isDone) bridge.drop(number);
      return reply;
    },
  ],
  ["close", nothing((bridge, request) => bridge.drop(request.number(1)))],
  [
    // Names and values of a row; nothing when it is not there.
    "get",
    (bridge, request) => {
      const table = bridge.table(request.text(1));
      const { definition } = table;
      const columns = columnsOf(definition, request.texts(3));
      const row = table.get(keyOf(definition, request.text(2)));
      const reply = new Reply();
      if (row === undefined) return reply;
      for (const column of columns) {
        reply.text(column.name);
        addValue(reply, column, row[column.name] ?? null);
      }
      return reply;
    },
  ],
  [
    "exists",
    (bridge, request) => {
      const table = bridge.table(request.text(1));
      const row = table.get(keyOf(table.definition, request.text(2)));
      return Reply.of(row === undefined ? 0 : 1);
    },
  ],
  [
    "delete",
    (bridge, request) => {
      const found = bridge.atomically(request.text(1), (table) => {
        let count = 0;
        for (const key of request.texts(2)) {
          if (table.delete(keyOf(table.definition, key))) count++;
        }
        return count;
      });
      return Reply.of(found);
    },
  ],
  ["set", setRow],
  ["store", setRow],
  ["incr", increment],
  [
    // Sets columns to null.
    "null",
    (bridge, request) => {
      bridge.atomically(request.text(1), (table) => {
        const { definition } = table;
        const names = request.texts(3).map((name) => columnOf(definition, name).name);
        const nulls = Object.fromEntries(names.map((name) => [name, null]));
        table.update(keyOf(definition, request.text(2)), nulls);
      });
      return new Reply();
    },
  ],
  [
    // Columns of rows by their keys: for `-update` beside `-code`.
    "update_keys",
    (bridge, request) => {
      bridge.atomically(request.text(1), (table) => {
        const count = request.number(2) * 2;
        const words = request.texts(3);
        const patch = rowOf(table.definition, words.slice(0, count), false);
        for (const key of words.slice(count)) table.update(keyOf(table.definition, key), patch);
      });
      return new Reply();
    },
  ],
  [
    "fields",
    (bridge, request) => {
      const { columns } = bridge.table(request.text(1)).definition;
      return Reply.of(...columns.map(({ name }) => name));
    },
  ],
]);

function nothing(body: (bridge: Bridge, request: Request) => void): Operation {
  return (bridge, request) => {
    body(bridge, request);
    return new Reply();
  };
}

async function ingest(bridge: Bridge, request: Request): Promise<Reply> {
  const name = request.text(1);
  const batch = request.number(2);
  const data = request.bytes(3);
  if (hasLines(data, batch)) {
    const report = await ingestTsv(bridge.table(name), data, batch, "row");
    await bridge.settle();
    return Reply.of(metricsOf(report));
  }
  // One batch is one transaction, whose commit can ask the log not to wait for others.
  const report = await bridge.patiently(name, (table) => ingestTsv(table, data, batch, "row"));
  return Reply.of(metricsOf(report));
}

/** Whether there are more than `count` line ends. */
function hasLines(data: Uint8Array, count: number): boolean {
  let at = -1;
  for (let found = 0; found <= count; found++) {
    at = data.indexOf(10, at + 1);
    if (at < 0) return false;
  }
  return true;
}

/** Whether commits wait for the disk is this interpreter's; other settings are the database's. */
function setConfig(bridge: Bridge, request: Request): Reply {
  const [key, value] = [request.text(1), request.text(2)];
  if (key !== synchronousCommit) {
    bridge.database.setConfig(key, value);
  } else {
    const choice = value.toLowerCase();
    if (choice !== "on" && choice !== "off") {
      throw new AerostoreError(
        "INVALID_VALUE",
        `${key} is on or off, not ${JSON.stringify(value)}`,
        {
          column: key,
          value,
        },
      );
    }
    bridge.isSynchronous = choice === "on";
  }
  return Reply.of("ok");
}

/**
 * A search whose rows Tcl wants. Field 2 is 1 for the key in front of each row; field 3 counts the
 * columns that follow, none for all. The reply: the number of columns, their names, the number of
 * rows, the number to ask for more by (0: there are no more), then the first page.
 */
function openSearch(bridge: Bridge, request: Request): Reply {
  const table = bridge.table(request.text(1));
  const { definition } = table;
  const count = request.number(3);
  const words = request.texts(4);
  const fields = columnsOf(definition, words.slice(0, count));
  const columns = request.text(2) === "1" ? [definition.key, ...fields] : fields;
  const names = [...new Set(columns.map(({ name }) => name))];
  const query = [...words.slice(count), "-fields", names.join(" ")];
  const pages = new RowPages(table.search(queryOfTcl(definition, query)), columns);
  const reply = Reply.of(fields.length, ...fields.map(({ name }) => name), pages.length);
  reply.text(String(pages.isOnePage ? 0 : bridge.keep(pages)));
  pages.addPage(reply);
  return reply;
}

function columnsOf(table: AnyTable, names: readonly string[]): readonly ColumnDefinition[] {
  return names.length === 0 ? table.columns : names.map((name) => columnOf(table, name));
}

function keyOf(table: AnyTable, text: string): ColumnValue {
  return valueOfTcl(table, table.key, text);
}

/** Field 2 is 1 to pass over unknown columns; then the key (`set` only), then the pairs. */
function setRow(bridge: Bridge, request: Request): Reply {
  const isSet = request.text(0) === "set";
  const table = bridge.table(request.text(1));
  const { definition } = table;
  const row = rowOf(definition, request.texts(isSet ? 4 : 3), request.text(2) === "1");
  if (isSet) checkKey(definition, row, keyOf(definition, request.text(3)));
  else if (row[definition.key.name] === undefined) throw noKey(definition);
  bridge.upsert(table, row);
  const reply = new Reply();
  addValue(reply, definition.key, row[definition.key.name] ?? null);
  return reply;
}

function checkKey(table: AnyTable, row: DynamicShape["row"], key: ColumnValue): void {
  const { name } = table.key;
  const named = row[name];
  if (named !== undefined && String(named) !== String(key)) {
    throw new AerostoreError(
      "INVALID_VALUE",
      `${table.name}: the key ${JSON.stringify(String(key))} cannot be set to ` +
        `${JSON.stringify(String(named))}: a row keeps its key`,
      { table: table.name, column: name },
    );
  }
  row[name] = key;
}

function noKey({ name: table, key: { name: column } }: AnyTable): AerostoreError {
  const message = `storing a row of ${table}: "${column}", its key, is not among the fields`;
  return new AerostoreError("INVALID_VALUE", message, { table, column });
}

function rowOf(
  table: AnyTable,
  pairs: readonly string[],
  ignoreUnknown: boolean,
): Record<string, ColumnValue> {
  const row: Record<string, ColumnValue> = {};
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    const [name = "", text = ""] = [pairs[index], pairs[index + 1]];
    if (ignoreUnknown && table.find(name) === undefined) continue;
    const column = columnOf(table, name);
    row[column.name] = valueOfTcl(table, column, text);
  }
  return row;
}

/** Columns and amounts; the new values. A missing row counts as one of nulls. */
function increment(bridge: Bridge, request: Request): Reply {
  return bridge.atomically(request.text(1), (table) => {
    const { definition } = table;
    const key = keyOf(definition, request.text(2));
    const old = table.get(key) ?? {};
    const row: Record<string, ColumnValue> = { [definition.key.name]: key };
    const changed: ColumnDefinition[] = [];
    const pairs = request.texts(3);
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      const column = columnOf(definition, pairs[index] ?? "");
      const value = row[column.name] ?? old[column.name] ?? null;
      row[column.name] = addAmount(definition, column, value, pairs[index + 1] ?? "");
      changed.push(column);
    }
    table.upsert(row);
    const now = table.get(key) ?? row;
    const reply = new Reply();
    for (const column of changed) addValue(reply, column, now[column.name] ?? null);
    return reply;
  });
}
