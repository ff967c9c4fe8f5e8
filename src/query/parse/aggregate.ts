/** What is asked of groups of rows: `-group {operator {bucket altitude 5000}} -aggregate {…}`. */
import type { Name, RawValue } from "../query.ts";
import type { Function, GroupKey, Select } from "../query.ts";
import { describeValue } from "../../schema/value.ts";
import { parseError } from "./lexer.ts";
import { type Item, listOf, plainText, valueOf } from "./syntax.ts";

const functions: ReadonlySet<string> = new Set<Function>([
  "count",
  "sum",
  "avg",
  "min",
  "max",
  "distinct",
  "quantile",
]);

const groupUsage = "a column, {bucket column size name} or {cell {lat lon} degrees name}";
const selectUsage = "count, or {FUNCTION column} with count sum avg min max distinct quantile";

/** The parts of the key of a group. */
export function groupKeysOf(item: Item): readonly GroupKey[] {
  const isSingle = item.kind === "raw" && isRecord(item.value);
  const members = isSingle ? [item] : listOf(item, groupUsage);
  const [first] = members;
  const name = first === undefined ? undefined : plainText(first);
  // One bucket may stand without its own braces.
  if ((name === "bucket" || name === "cell") && members.length > 2)
    return [listedKey(members, item)];
  return members.map(groupKeyOf);
}

function groupKeyOf(item: Item): GroupKey {
  const text = plainText(item);
  if (text !== undefined) return { kind: "column", column: nameOf(item), as: text };
  if (item.kind === "raw" && isRecord(item.value)) return recordKey(item.value, item);
  return listedKey(listOf(item, groupUsage), item);
}

/** `{bucket column size name}` or `{cell {lat lon} degrees name}`; the name may be left out. */
function listedKey(parts: readonly Item[], whole: Item): GroupKey {
  const [kind, columns, size, as, more] = parts;
  const word = kind === undefined ? undefined : plainText(kind);
  if (columns === undefined || size === undefined || more !== undefined) {
    throw parseError("a part of -group is incomplete", whole.position, groupUsage);
  }
  return keyOf(word, columns, sizeOf(size), as, whole);
}

function recordKey(record: Record<string, unknown>, whole: Item): GroupKey {
  const raw = (value: unknown): Item => ({ kind: "raw", value, position: whole.position });
  const as = record["as"] === undefined ? undefined : raw(record["as"]);
  if ("bucket" in record) {
    return keyOf("bucket", raw(record["bucket"]), sizeOf(raw(record["size"])), as, whole);
  }
  if ("cell" in record) {
    return keyOf("cell", raw(record["cell"]), sizeOf(raw(record["degrees"])), as, whole);
  }
  throw parseError("a part of the group is neither bucket nor cell", whole.position, groupUsage);
}

function keyOf(
  kind: string | undefined,
  columns: Item,
  size: RawValue,
  as: Item | undefined,
  whole: Item,
): GroupKey {
  const name = as === undefined ? undefined : nameOf(as).text;
  const { position } = whole;
  if (kind === "bucket") {
    const column = nameOf(columns);
    return { kind, column, size, as: name ?? column.text, position };
  }
  if (kind === "cell") {
    const names = listOf(columns, "the columns of a cell").map(nameOf);
    const [first, second, more] = names;
    if (first === undefined || more !== undefined) {
      throw parseError("a cell has two columns", position, "{lat lon}, or the name of both");
    }
    return { kind, column: first, second, size, as: name ?? "cell", position };
  }
  throw parseError("a part of -group is unknown", position, groupUsage);
}

/** The values to give of each group: names, each with how it comes about. */
export function selectsOf(item: Item): readonly Select[] {
  if (item.kind === "raw" && isRecord(item.value)) {
    return Object.entries(item.value)
      .filter(([, value]) => value !== undefined)
      .map(([as, value]) => selectOf(as, { kind: "raw", value, position: undefined }));
  }
  const items = listOf(item, "names, each with a function");
  const selects: Select[] = [];
  for (let index = 0; index < items.length; index += 2) {
    const [as, how] = [items[index], items[index + 1]];
    if (as === undefined) break;
    if (how === undefined) {
      throw parseError("a name of -aggregate has no function", as.position, selectUsage);
    }
    selects.push(selectOf(nameOf(as).text, how));
  }
  return selects;
}

function selectOf(as: string, how: Item): Select {
  const { position } = how;
  const [word, column, fraction, more] = listOf(how, selectUsage);
  const name = word === undefined ? undefined : plainText(word)?.toLowerCase();
  if (!isFunction(name) || more !== undefined) {
    const given = name === undefined ? "a list" : describeValue(name);
    throw parseError(`${given} of ${as} is not a function`, position, selectUsage);
  }
  if (column === undefined) {
    if (name !== "count") throw parseError(`${name} needs a column`, position, selectUsage);
    return { as, function: "count", column: undefined, fraction: 0, position };
  }
  const wants = name === "quantile";
  if (wants !== (fraction !== undefined)) {
    const expected = wants ? "{quantile column 0.95}" : `{${name} column}`;
    throw parseError(`${name} of ${as} is not complete, or says too much`, position, expected);
  }
  const share = fraction === undefined ? 0 : Number(sizeOf(fraction));
  if (!(share >= 0 && share <= 1)) {
    throw parseError(
      `the share of a quantile of ${as} is not one`,
      position,
      "a number from 0 to 1",
    );
  }
  return { as, function: name, column: nameOf(column), fraction: share, position };
}

function isFunction(name: string | undefined): name is Function {
  return name !== undefined && functions.has(name);
}

function sizeOf(item: Item): RawValue {
  if (item.kind === "raw" && item.value === undefined) {
    throw parseError("a size is missing", item.position, groupUsage);
  }
  const operand = valueOf(item);
  if (operand?.kind === "value") return operand.value;
  throw parseError("a size is not a value", item.position, "a number");
}

function nameOf(item: Item): Name {
  const text = plainText(item);
  if (text !== undefined && text !== "") return { text, position: item.position };
  throw parseError("a name is missing", item.position, "a name");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
