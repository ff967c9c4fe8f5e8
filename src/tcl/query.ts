/**
 * The options of a search as Tcl gives them, made a query. Lists are read as Tcl reads lists; the
 * query is written down again as text, with every value in quotes, because plans are kept by text.
 */
import type { AnyTable } from "../schema/table.ts";
import { parseTclList } from "./tcl-list.ts";
import { bytesOfTcl } from "./values.ts";

/** Text, or bytes that no text of a query could say. */
type Value = { readonly value: string | Uint8Array };
/** Names are plain strings, values are wrapped, so that `$name` in one is never a parameter. */
type Word = string | Value | readonly Word[];

/** A query for `Table.search` from alternating options and arguments, flags alone. */
export function queryOfTcl(table: AnyTable, words: readonly string[]): string | readonly unknown[] {
  const query: Word[] = [];
  for (let index = 0; index < words.length; index++) {
    const option = words[index] ?? "";
    query.push(option);
    if (option === "-asc" || option === "-desc") continue;
    query.push(argumentOf(table, option, words[++index] ?? ""));
  }
  return hasBytes(query) ? query.map(rawOf) : query.map(textOf).join(" ");
}

/** What Tcl does not take for a list goes on as it is: the query's own grammar judges it. */
function argumentOf(table: AnyTable, option: string, text: string): Word {
  switch (option) {
    case "-compare":
      return clausesOf(table, text) ?? text;
    case "-or": {
      const groups = parseTclList(text);
      if (groups === undefined) return text;
      if (isOneClause(groups)) return clauseOf(table, groups);
      return groups.map((group) => clausesOf(table, group) ?? group);
    }
    case "-sort":
    case "-fields":
      return parseTclList(text) ?? text;
    case "-update":
      return (
        parseTclList(text)?.map((word, index, all) =>
          index % 2 === 0 ? word : valueFor(table, all[index - 1] ?? "", word),
        ) ?? text
      );
    default:
      return text;
  }
}

function clausesOf(table: AnyTable, text: string): readonly Word[] | undefined {
  const members = parseTclList(text);
  if (members === undefined) return undefined;
  if (isOneClause(members)) return clauseOf(table, members);
  const clauses: Word[] = [];
  for (const member of members) {
    const parts = parseTclList(member);
    if (parts === undefined) return undefined;
    clauses.push(clauseOf(table, parts));
  }
  return clauses;
}

/** A clause has several words: a first member of one word is the operator of a lone clause. */
function isOneClause([first]: readonly string[]): boolean {
  if (first === undefined) return false;
  const words = parseTclList(first);
  return words?.length === 1 && words[0] === first;
}

function clauseOf(table: AnyTable, parts: readonly string[]): readonly Word[] {
  const [operator = "", column = ""] = parts;
  return parts.map((part, index): Word => {
    if (index < 2) return part;
    const isList = index === 2 && operator.toLowerCase() === "in";
    const list = isList ? parseTclList(part) : undefined;
    return list?.map((each) => valueFor(table, column, each)) ?? valueFor(table, column, part);
  });
}

function valueFor(table: AnyTable, name: string, text: string): Value {
  const column = table.find(name);
  if (column?.kind !== "bytes") return { value: text };
  return { value: bytesOfTcl(table, column, text) };
}

function hasBytes(words: readonly Word[]): boolean {
  return words.some((word) => {
    if (typeof word === "string") return false;
    return "value" in word ? typeof word.value !== "string" : hasBytes(word);
  });
}

function rawOf(word: Word): unknown {
  if (typeof word === "string") return word;
  if (!("value" in word)) return word.map(rawOf);
  return typeof word.value === "string" ? word : word.value;
}

function textOf(word: Word): string {
  if (typeof word !== "string" && !("value" in word)) return `{${word.map(textOf).join(" ")}}`;
  const text = typeof word === "string" ? word : String(word.value);
  return /^[-\w]+$/.test(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}
