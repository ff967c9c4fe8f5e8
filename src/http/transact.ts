/** `POST /v1/transact`: operations with expectations, all or nothing. */
import type { Transaction, TransactionTable } from "../database/transaction.ts";
import type { ColumnValue } from "../schema/column.ts";
import { readJson } from "./content.ts";
import type { Door, Handler } from "./door.ts";
import { acknowledge } from "./one-row.ts";
import { HttpProblem } from "./problem.ts";
import { keyFromText, rowFromJson, rowText } from "./values.ts";

const operationNames = ["insert", "upsert", "update", "delete", "get"] as const;
type OperationName = (typeof operationNames)[number];

/** One operation, checked. */
interface Operation {
  readonly op: OperationName;
  readonly table: string;
  readonly key: string | undefined;
  readonly row: unknown;
  /** `null`: there must be no row; an object: the row must have these values. */
  readonly expect: unknown;
}

export function postTransact(door: Door): Handler {
  return async (request) => {
    const operations = readOperations(await readJson(request, door.limits.bodyBytes), door);
    for (const { op, table } of operations) {
      door.access.check(request, { write: op !== "get", table });
    }
    const results = door.db.transact((tx) =>
      operations.map((operation, index) => run(tx, operation, index)),
    );
    if (operations.some(({ op }) => op !== "get")) await acknowledge(door, request);
    return answer(results);
  };
}

function answer(results: readonly string[]): Response {
  return new Response(`{"results":[${results.join(",")}]}`, {
    headers: { "content-type": "application/json" },
  });
}

function readOperations(body: unknown, { limits }: Door): Operation[] {
  const list = isObject(body) ? body["operations"] : undefined;
  if (!Array.isArray(list)) throw malformed('a transaction is {"operations": [...]}');
  if (list.length > limits.operations) {
    const found = `${list.length} operations; a transaction has at most ${limits.operations}`;
    throw new HttpProblem(413, "TOO_LARGE", `the body has ${found}`);
  }
  return list.map((each: unknown, index) => readOperation(each, index));
}

function readOperation(value: unknown, index: number): Operation {
  if (!isObject(value)) throw malformed(`operation ${index} is no object`, index);
  const { op, table, key, row, expect } = value;
  if (!isOperationName(op)) {
    throw malformed(`operation ${index}: op is one of ${operationNames.join(", ")}`, index);
  }
  if (typeof table !== "string") throw malformed(`operation ${index} names no table`, index);
  const isScalarKey = ["string", "number", "boolean"].includes(typeof key);
  if (key !== undefined && !isScalarKey) throw malformed(`operation ${index}: wrong key`, index);
  return { op, table, key: key === undefined ? undefined : String(key), row, expect };
}

/** Runs one operation; its result as JSON. */
function run(tx: Transaction, operation: Operation, index: number): string {
  const table = tx.table(operation.table);
  const { definition } = table;
  const row = operation.row === undefined ? {} : rowFromJson(definition, operation.row);
  const key = keyOf(operation, index, table, row);
  if (operation.expect !== undefined) expectRow(table, key, operation, index);
  switch (operation.op) {
    case "get": {
      const found = table.get(key);
      return found === undefined ? "null" : rowText(definition.columns, found);
    }
    case "insert":
      table.insert({ ...row, [definition.key.name]: key });
      return '{"inserted":true}';
    case "upsert":
      return JSON.stringify({ inserted: table.upsert({ ...row, [definition.key.name]: key }) });
    case "update": {
      const { [definition.key.name]: _key, ...patch } = row;
      return JSON.stringify({ found: table.update(key, patch) });
    }
    case "delete":
      return JSON.stringify({ found: table.delete(key) });
  }
}

function keyOf(
  { key, op, table }: Operation,
  index: number,
  { definition }: TransactionTable,
  row: Readonly<Record<string, ColumnValue>>,
): ColumnValue {
  if (key !== undefined) return keyFromText(definition, key);
  const named = row[definition.key.name];
  if (named !== undefined && named !== null) return named;
  throw malformed(`operation ${index}: ${op} in ${table} needs a key`, index);
}

/** **Throws** `HttpProblem` 412 when the row is not as expected. */
function expectRow(
  table: TransactionTable,
  key: ColumnValue,
  { expect }: Operation,
  index: number,
): void {
  const row = table.get(key);
  if (expect === null) {
    if (row !== undefined) throw unmet(index, "there is a row, and none was expected");
    return;
  }
  if (row === undefined) throw unmet(index, "there is no row");
  const wanted = rowFromJson(table.definition, expect);
  const columns = table.definition.columns.filter(({ name }) => name in wanted);
  if (rowText(columns, row) !== rowText(columns, wanted)) {
    throw unmet(index, `the row is ${rowText(columns, row)}`);
  }
}

function unmet(operation: number, found: string): HttpProblem {
  const message = `operation ${operation}: ${found}; nothing was written`;
  return new HttpProblem(412, "PRECONDITION_FAILED", message, { operation });
}

function malformed(message: string, operation?: number): HttpProblem {
  return new HttpProblem(400, "INVALID_VALUE", message, { operation });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOperationName(value: unknown): value is OperationName {
  return operationNames.some((name) => name === value);
}
