/** Statements that SQLite and PostgreSQL have in common, from shapes and queries. */
import type { AnyShape, Change, Column, Modification, Query, Sort } from "../workloads/model.ts";

export interface Dialect {
  /** The n-th parameter, from 1. */
  readonly parameter: (position: number) => string;
  readonly type: (column: Column, isKey: boolean) => string;
  /** Behind the closing parenthesis of a table. */
  readonly tableOptions: (shape: AnyShape) => string;
  /** `column match parameter`, as a condition. */
  readonly match: (column: string, parameter: string) => string;
}

export function keyOf(shape: AnyShape): Column {
  const [key] = shape.columns;
  if (key === undefined) throw new Error(`shape ${shape.name} has no columns`);
  return key;
}

export function createTable(shape: AnyShape, dialect: Dialect): string {
  const columns = shape.columns.map(
    (column, position) =>
      `${column.name} ${dialect.type(column, position === 0)}` +
      (position === 0 ? " PRIMARY KEY" : " NOT NULL"),
  );
  return `CREATE TABLE ${shape.name} (${columns.join(", ")})${dialect.tableOptions(shape)}`;
}

export function createIndexes(shape: AnyShape): string[] {
  return shape.columns
    .filter(({ indexed }) => indexed === true)
    .map(({ name }) => `CREATE INDEX ${shape.name}_${name} ON ${shape.name} (${name})`);
}

export function insertRow(shape: AnyShape, dialect: Dialect): string {
  const names = shape.columns.map(({ name }) => name).join(", ");
  const values = shape.columns.map((_, position) => dialect.parameter(position + 1)).join(", ");
  return `INSERT INTO ${shape.name} (${names}) VALUES (${values})`;
}

/** What follows an insert that may meet an existing row. */
export function onConflictUpdate(shape: AnyShape): string {
  const sets = shape.columns.slice(1).map(({ name }) => `${name} = excluded.${name}`);
  return ` ON CONFLICT (${keyOf(shape).name}) DO UPDATE SET ${sets.join(", ")}`;
}

export function selectByKey(shape: AnyShape, dialect: Dialect): string {
  const names = shape.columns.map(({ name }) => name).join(", ");
  return `SELECT ${names} FROM ${shape.name} WHERE ${keyOf(shape).name} = ${dialect.parameter(1)}`;
}

export function deleteByKey(shape: AnyShape, dialect: Dialect): string {
  return `DELETE FROM ${shape.name} WHERE ${keyOf(shape).name} = ${dialect.parameter(1)}`;
}

/** A search; `what` is its select list, all columns by default. */
export function selectWhere(
  shape: AnyShape,
  query: Query,
  dialect: Dialect,
  what: string = shape.columns.map(({ name }) => name).join(", "),
): string {
  const where = query.where.map(({ column, op, value }, position) => {
    if (value !== position) throw new RangeError("values stand in the order of the clauses");
    const parameter = dialect.parameter(value + 1);
    return op === "match" ? dialect.match(column, parameter) : `${column} ${op} ${parameter}`;
  });
  const order = query.sort === undefined ? "" : orderBy(shape, query.sort);
  const limit = query.limit === undefined || query.limit === 0 ? "" : ` LIMIT ${query.limit}`;
  const condition = where.length === 0 ? "" : ` WHERE ${where.join(" AND ")}`;
  return `SELECT ${what} FROM ${shape.name}${condition}${order}${limit}`;
}

function orderBy(shape: AnyShape, sort: Sort): string {
  const ties = sort.distinct === true ? "" : `, ${keyOf(shape).name}`;
  return ` ORDER BY ${sort.column}${sort.descending ? " DESC" : ""}${ties}`;
}

/** A change as one statement: parameters are the key and the value. */
export function updateByChange<R extends object>(
  shape: AnyShape,
  change: Change<R>,
  dialect: Dialect,
  raiseByte: (column: string) => string,
): string {
  const set = (step: Modification): string => {
    if (step.kind === "set") return `${step.column} = ${dialect.parameter(2)}`;
    if (step.kind === "add") return `${step.column} = ${step.column} + ${step.add}`;
    return `${step.column} = ${raiseByte(step.column)}`;
  };
  const sets = change.steps.map(set).join(", ");
  const where = `${keyOf(shape).name} = ${dialect.parameter(1)}`;
  return `UPDATE ${shape.name} SET ${sets} WHERE ${where}`;
}
