/**
 * STAPI, the query language, in its three forms: one text, an array of words, or an object. All
 * become a `Query`; the table is not looked at yet. `docs/stapi.md` lists every option and
 * operator.
 *
 * Linear in the size of the input; depth costs no stack.
 */
import { nearestName } from "../../schema/nearest.ts";
import { describeValue } from "../../schema/value.ts";
import { clauseListOf, groupsOf } from "./clause.ts";
import { type Item, listOf, plainText, valueOf } from "./syntax.ts";
import { groupKeysOf, selectsOf } from "./aggregate.ts";
import type { Action, After, Assignment, Clause, Count, GroupKey, Name } from "../query.ts";
import type { Operand, Query, Select, SortKey } from "../query.ts";
import { parseError, splitWords } from "./lexer.ts";

/** Words of a query: options and their arguments, which may be text or arrays. */
export type QueryWords = readonly unknown[];

/** What is being put together; as the query, but writable. */
type Draft = { -readonly [K in keyof Query]: Query[K] } & {
  readonly compare: Clause[];
  keys?: readonly GroupKey[];
  selects?: readonly Select[];
  having?: readonly Clause[];
};

type Option = {
  /** Whether an argument follows. */
  readonly argument: boolean;
  readonly apply: (draft: Draft, item: Item) => void;
};

const options: ReadonlyMap<string, Option> = new Map<string, Option>([
  [
    "-compare",
    argument((draft, item) => {
      if (item.kind === "word" && item.form === "braced" && item.words.length === 0) {
        draft.isAll = true;
      }
      for (const clause of clauseListOf(item)) draft.compare.push(clause);
    }),
  ],
  [
    "-or",
    argument((draft, item) => {
      if (draft.or !== undefined) {
        throw parseError("-or stands twice", item.position, "one -or with all groups");
      }
      draft.or = groupsOf(item);
    }),
  ],
  [
    "-sort",
    argument((draft, item) => {
      draft.sort = listOf(item, "columns to sort by").map(sortKeyOf);
    }),
  ],
  [
    "-asc",
    flag((draft) => {
      draft.reverse = false;
    }),
  ],
  [
    "-desc",
    flag((draft) => {
      draft.reverse = true;
    }),
  ],
  [
    "-limit",
    argument((draft, item) => {
      draft.limit = countOf(item, "-limit");
    }),
  ],
  [
    "-offset",
    argument((draft, item) => {
      draft.offset = countOf(item, "-offset");
    }),
  ],
  [
    "-after",
    argument((draft, item) => {
      draft.after = afterOf(item);
    }),
  ],
  [
    "-group",
    argument((draft, item) => {
      draft.keys = groupKeysOf(item);
    }),
  ],
  ...["-aggregate", "-select"].map((name): [string, Option] => [
    name,
    argument((draft, item) => {
      draft.selects = selectsOf(item);
    }),
  ]),
  [
    "-having",
    argument((draft, item) => {
      draft.having = clauseListOf(item);
    }),
  ],
  [
    "-fields",
    argument((draft, item) => {
      draft.fields = listOf(item, "columns").map(nameOf);
    }),
  ],
  [
    "-countOnly",
    argument((draft, item) => {
      draft.countOnly = switchOf(item, "-countOnly");
    }),
  ],
  [
    "-delete",
    argument((draft, item) => {
      if (switchOf(item, "-delete")) setAction(draft, item, { kind: "delete" });
    }),
  ],
  [
    "-update",
    argument((draft, item) => {
      setAction(draft, item, { kind: "update", assignments: assignmentsOf(item) });
    }),
  ],
]);

/** All options, with their dash. */
export const optionNames: readonly string[] = [...options.keys()];

function argument(apply: Option["apply"]): Option {
  return { argument: true, apply };
}

function flag(apply: (draft: Draft) => void): Option {
  return { argument: false, apply };
}

/**
 * Parses a query in any of its forms. `undefined` and the empty query mean all rows.
 *
 * **Throws** `PARSE_ERROR` with the position and what was expected there; `TypeError` for what is
 * neither text, nor an array, nor an object.
 */
export function parseStapi(query: unknown): Query {
  const draft: Draft = {
    compare: [],
    or: undefined,
    sort: [],
    reverse: false,
    limit: { kind: "count", count: 0 },
    offset: { kind: "count", count: 0 },
    after: undefined,
    fields: undefined,
    countOnly: false,
    action: { kind: "read" },
    aggregation: undefined,
    isAll: false,
  };
  if (query === undefined) return draft;
  if (typeof query === "string") {
    readWords(draft, splitWords(query), query);
  } else if (Array.isArray(query)) {
    const items = Array.from(query, (value: unknown, position): Item => {
      return { kind: "raw", value, position, isWord: true };
    });
    readWords(draft, items);
  } else if (typeof query === "object" && query !== null) {
    readObject(draft, query);
  } else {
    throw new TypeError(`a query is text, an array of words or an object, not ${typeof query}`);
  }
  // What changes rows has to find them, and gives their number anyway.
  if (draft.action.kind !== "read") draft.countOnly = false;
  return grouped(draft);
}

/** Where groups are asked for, order and window are those of groups. */
function grouped(draft: Draft): Query {
  const { keys, selects, having, ...query } = draft;
  if (keys === undefined && selects === undefined) {
    if (having === undefined) return query;
    throw parseError("-having stands without groups", undefined, "-group or -aggregate");
  }
  if (query.action.kind !== "read" || query.after !== undefined || query.fields !== undefined) {
    const expected = "-compare -or -group -aggregate -having -sort -limit -offset";
    throw parseError("groups are only read, as a whole", undefined, expected);
  }
  const { sort, reverse, limit, offset } = query;
  const aggregation = { keys: keys ?? [], selects: selects ?? [], having: having ?? [] };
  const none: Count = { kind: "count", count: 0 };
  return {
    ...query,
    sort: [],
    reverse: false,
    limit: none,
    offset: none,
    countOnly: false,
    aggregation: { ...aggregation, sort, reverse, limit, offset },
  };
}

function readWords(draft: Draft, items: readonly Item[], source?: string): void {
  for (let index = 0; index < items.length; index++) {
    const item = items[index];
    if (item === undefined) break;
    const name = plainText(item);
    const option = name === undefined ? undefined : options.get(name);
    if (option === undefined) throw unknownOption(name, item.position, source);
    if (!option.argument) {
      option.apply(draft, item);
      continue;
    }
    const value = items[++index];
    if (value === undefined) {
      const end = source === undefined ? items.length : source.length;
      throw parseError(`${name} has no argument`, end, `the argument of ${name}`, source);
    }
    option.apply(draft, value);
  }
}

/** An object has the options as properties, without their dash. */
function readObject(draft: Draft, query: object): void {
  for (const [key, value] of Object.entries(query)) {
    const name = `-${key}`;
    if (key === "all") {
      const item: Item = { kind: "raw", value, position: undefined };
      draft.isAll = value !== undefined && switchOf(item, key);
      continue;
    }
    const option = options.get(name);
    if (option === undefined) throw unknownOption(key, undefined, undefined, "");
    if (value === undefined) continue;
    const item: Item = { kind: "raw", value, position: undefined };
    if (option.argument) {
      option.apply(draft, item);
    } else if (switchOf(item, key)) {
      option.apply(draft, item);
    }
  }
}

function unknownOption(
  name: string | undefined,
  position: number | undefined,
  source?: string,
  dash = "-",
): Error {
  const names = Array.from(options.keys(), (each) => dash + each.slice(1));
  const near = name === undefined ? undefined : nearestName(name, names);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  const what = name === undefined ? "a list" : describeValue(name);
  const expected = `an option: ${names.join(" ")}`;
  return parseError(`${what} is not an option${hint}`, position, expected, source);
}

function sortKeyOf(item: Item): SortKey {
  const { text, position } = nameOf(item);
  const descending = text.startsWith("-");
  return { column: { text: descending ? text.slice(1) : text, position }, descending };
}

function nameOf(item: Item): Name {
  const text = plainText(item);
  if (text === undefined || text === "") {
    throw parseError("a column has no name", item.position, "the name of a column");
  }
  return { text, position: item.position };
}

function countOf(item: Item, option: string): Count {
  const operand = valueOf(item);
  if (operand?.kind === "parameter") return operand;
  const count = operand === null ? undefined : wholeNumber(operand.value);
  if (count === undefined) {
    throw parseError(
      `${option} is not a count`,
      item.position,
      "a whole number from 0, or a parameter",
    );
  }
  return { kind: "count", count };
}

/** Values in the order of the sort, the key last; or a row. */
function afterOf(item: Item): After {
  const { position } = item;
  if (item.kind !== "raw" || !isRecord(item.value)) {
    const values = listOf(item, "values of the sort columns and the key").map(valueOf);
    return { kind: "values", values, position };
  }
  const values = Object.entries(item.value).flatMap(
    ([name, value]): readonly (readonly [string, Operand | null])[] => {
      if (value === undefined) return [];
      return [[name, valueOf({ kind: "raw", value, position: undefined })]];
    },
  );
  return { kind: "row", values, position };
}

/** A safe whole number from 0, also as text. */
export function wholeNumber(value: unknown): number | undefined {
  const isDigits = typeof value === "string" && /^\d{1,16}$/.test(value);
  const number = isDigits || typeof value === "bigint" ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number >= 0
    ? number
    : undefined;
}

function switchOf(item: Item, option: string): boolean {
  const value = item.kind === "word" ? item.text : item.value;
  if (value === true || value === 1 || value === "1" || value === "true") return true;
  if (value === false || value === 0 || value === "0" || value === "false") return false;
  throw parseError(`${option} is a switch`, item.position, "0 or 1");
}

function setAction(draft: Draft, item: Item, action: Action): void {
  if (draft.action.kind !== "read" && draft.action.kind !== action.kind) {
    throw parseError("-update and -delete exclude each other", item.position, "only one of them");
  }
  draft.action = action;
}

/** `{column value …}`, or an object with the columns as properties. */
function assignmentsOf(item: Item): readonly Assignment[] {
  if (item.kind === "raw" && isRecord(item.value)) {
    return Object.entries(item.value)
      .filter(([, value]) => value !== undefined)
      .map(([text, value]) => {
        const column = { text, position: undefined };
        return { column, value: valueOf({ kind: "raw", value, position: undefined }) };
      });
  }
  const items = listOf(item, "columns and values");
  const assignments: Assignment[] = [];
  for (let index = 0; index < items.length; index += 2) {
    const [name, value] = [items[index], items[index + 1]];
    if (name === undefined) break;
    if (value === undefined) {
      throw parseError("a column of -update has no value", name.position, "columns and values");
    }
    assignments.push({ column: nameOf(name), value: valueOf(value) });
  }
  return assignments;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}
