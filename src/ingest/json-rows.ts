/**
 * Rows as JSON in general: a list of objects, objects one after the other over any number of lines,
 * or an object that wraps one list of them. Values are passed on as they stand.
 */
import { DocumentSplitter } from "./documents.ts";
import { JsonText, placeOf, readElements } from "./json-text.ts";
import type { ReaderContext, RecordReader } from "./records.ts";

/** A reader of rows. */
export function readJsonRows({ table, names, sink }: ReaderContext): RecordReader {
  const isColumn = (name: string): boolean => table.find(name) !== undefined || names.has(name);
  const refuse = (text: string, line: number, element: number, place: number): void => {
    const column = element === 0 ? undefined : element;
    const isCut = place >= text.length;
    const reason = `malformed JSON${isCut ? ", cut off" : ""} at ${placeOf(text, place, line)}`;
    sink.refuse(reason, { line, column, text });
  };
  const splitter = new DocumentSplitter([], {
    document: ({ text, line, element, whole }) => {
      const list = wrappedList(text, isColumn);
      if (list < 0) {
        if (whole) sink.row(text, { line, column: element === 0 ? undefined : element, text });
        else refuse(text, line, element, faultOf(text));
        return;
      }
      const json = new JsonText(text, list);
      const isEnded = readElements(json, ({ text: row, number, fault }) => {
        if (fault !== undefined) refuse(text, line, number, fault);
        else sink.row(row, { line, column: number, text: row });
      });
      if (!isEnded) refuse(text, line, element, json.at);
    },
    junk: (line, text) => {
      sink.refuse("a row is a JSON object", { line, column: undefined, text });
    },
    tooLong: (line) => {
      sink.refuse("a row longer than 64 MiB", { line, column: undefined, text: "" });
    },
  });
  return { push: (bytes) => splitter.push(bytes), end: () => splitter.end() };
}

/** Where a text is malformed. */
export function faultOf(text: string): number {
  const json = new JsonText(text);
  json.value();
  return json.at;
}

/** Where the list of rows begins in an object that has no column but one list of objects; or -1. */
function wrappedList(text: string, isColumn: (name: string) => boolean): number {
  if (!/\[\s*\{/.test(text)) return -1;
  const json = new JsonText(text);
  let list = -1;
  let lists = 0;
  let columns = 0;
  json.members((name, start) => {
    if (isColumn(name)) columns += 1;
    if (text[start] !== "[") return;
    list = start;
    lists += 1;
  });
  if (lists === 1 && columns === 0) return list;
  const damaged = /^\{\s*"([^"\\]*)"\s*:\s*(?=\[\s*\{)/.exec(text);
  return damaged !== null && lists === 0 && !isColumn(damaged[1] ?? "") ? damaged[0].length : -1;
}
