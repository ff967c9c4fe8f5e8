/**
 * The text of a query as words. Words are separated by white space; `{…}` is one word with balanced
 * braces, whose content is words again; `"…"` is one word with backslash escapes, also inside
 * braces, so that a brace between quotes does not count. A closing brace ends its word, an opening
 * one begins one. A quote inside a bare word is a character like others.
 *
 * One pass with an explicit stack: linear in the text, whatever the nesting.
 */
import { AerostoreError } from "../../errors.ts";

export interface Word {
  readonly kind: "word";
  readonly form: "bare" | "quoted" | "braced";
  /** A bare word as written; a quoted one with its escapes resolved; the inside of braces. */
  readonly text: string;
  /** Characters from the start of the query. */
  readonly position: number;
  /** The words inside braces; of other forms none. */
  readonly words: readonly Word[];
}

const none: readonly Word[] = [];

/** Splits `source`. **Throws** `PARSE_ERROR` for a brace or quote without its partner. */
export function splitWords(source: string): readonly Word[] {
  const outer: { readonly words: Word[]; readonly open: number }[] = [];
  let words: Word[] = [];
  let open = 0;
  let at = 0;
  while (at < source.length) {
    const code = source.charCodeAt(at);
    if (isSpace(code)) {
      at++;
    } else if (code === leftBrace) {
      outer.push({ words, open });
      words = [];
      open = at++;
    } else if (code === rightBrace) {
      const level = outer.pop();
      if (level === undefined) fail(source, at, "this } closes nothing", "an option or a word");
      const text = source.slice(open + 1, at);
      level.words.push({ kind: "word", form: "braced", text, position: open, words });
      ({ words, open } = level);
      at++;
    } else if (code === quote) {
      const end = findQuote(source, at);
      const inside = source.slice(at + 1, end);
      const text = inside.includes("\\") ? unescapeText(inside) : inside;
      words.push({ kind: "word", form: "quoted", text, position: at, words: none });
      at = end + 1;
      if (at < source.length && !endsWord(source.charCodeAt(at))) {
        fail(source, at, 'a word goes on behind its closing "', "white space");
      }
    } else {
      const start = at++;
      while (at < source.length && !endsWord(source.charCodeAt(at))) at++;
      words.push({
        kind: "word",
        form: "bare",
        text: source.slice(start, at),
        position: start,
        words: none,
      });
    }
  }
  if (outer.length > 0) fail(source, open, "this { is never closed", "a } further on");
  return words;
}

const quote = 0x22;
const backslash = 0x5c;
const leftBrace = 0x7b;
const rightBrace = 0x7d;

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

function endsWord(code: number): boolean {
  return isSpace(code) || code === leftBrace || code === rightBrace;
}

/** Index of the quote that closes the one at `open`. */
function findQuote(source: string, open: number): number {
  for (let at = open + 1; at < source.length; at++) {
    const code = source.charCodeAt(at);
    if (code === quote) return at;
    if (code === backslash) at++;
  }
  return fail(source, open, 'this " is never closed', 'a " further on');
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/** `\n`, `\r`, `\t`, `\uXXXX`; any other character behind a backslash stands for itself. */
function unescapeText(inside: string): string {
  return inside.replace(/\\(?:u([0-9a-fA-F]{4})|([^]))/g, (_, code?: string, other = "") =>
    code === undefined ? (escapes[other] ?? other) : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

function fail(source: string, position: number, problem: string, expected: string): never {
  throw parseError(problem, position, expected, source);
}

/** A `PARSE_ERROR` that shows the place in `source`, if there is one. */
export function parseError(
  problem: string,
  position: number | undefined,
  expected: string,
  source?: string,
): AerostoreError {
  const near = source === undefined || position === undefined ? "" : excerpt(source, position);
  const place = position === undefined ? "" : ` at position ${position}${near}`;
  return new AerostoreError("PARSE_ERROR", `${problem}${place}; expected ${expected}`, {
    position,
    expected,
  });
}

function excerpt(source: string, position: number): string {
  const part = source.slice(position, position + 24);
  if (part === "") return " (the end)";
  return ` (${JSON.stringify(part)}${position + 24 < source.length ? "…" : ""})`;
}
