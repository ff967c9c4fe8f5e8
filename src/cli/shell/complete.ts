/** What the word under the cursor may become: commands, tables, columns, options, operators. */
import { operatorNames } from "../../query/parse/clause.ts";
import { optionNames } from "../../query/parse/stapi.ts";

/** Names that the shell knows at the moment. */
export interface Vocabulary {
  readonly commands: readonly string[];
  readonly tables: readonly string[];
  /** Columns of the table in use, with their other names. */
  readonly columns: readonly string[];
}

/** Completions, and the part of the line that they take the place of. */
export type Completion = readonly [matches: readonly string[], word: string];

const columnOptions: ReadonlySet<string> = new Set(["-sort", "-fields"]);
const tableCommands: ReadonlySet<string> = new Set(["use", "tables"]);

/** Completes the last word of `line`. Pure. */
export function complete(line: string, vocabulary: Vocabulary): Completion {
  const word = /[^\s{}]*$/.exec(line)?.[0] ?? "";
  const before = line.slice(0, line.length - word.length);
  const matches = candidates(before, word, vocabulary).filter((each) => each.startsWith(word));
  return [matches.map((each) => `${each} `), word];
}

function candidates(before: string, word: string, known: Vocabulary): readonly string[] {
  const words = before.match(/[^\s{}]+/g) ?? [];
  const [first] = words;
  if (first === undefined && !before.includes("{")) return [...known.commands, ...optionNames];
  if (first !== undefined && tableCommands.has(first)) return known.tables;
  const depth = depthOf(before);
  const option = words.findLast((each) => optionNames.includes(each));
  if (option !== undefined && columnOptions.has(option)) {
    const columns = word.startsWith("-") ? known.columns.map((each) => `-${each}`) : known.columns;
    return depth > 0 ? columns : [...columns, ...optionNames];
  }
  if (depth === 0) return optionNames;
  if (/\{\s*$/.test(before)) return operatorNames;
  const last = words.at(-1)?.toLowerCase() ?? "";
  return operatorNames.includes(last) ? known.columns : [];
}

function depthOf(text: string): number {
  let depth = 0;
  for (const char of text) depth += char === "{" ? 1 : char === "}" ? -1 : 0;
  return depth;
}

/** Whether a statement goes on: braces or quotes are open. */
export function isOpen(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (quoted && char === "\\") at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted) depth += char === "{" ? 1 : char === "}" ? -1 : 0;
  }
  return quoted || depth > 0;
}
