/**
 * Text as a Tcl list, element by element, exactly as Tcl reads it: braces, quotes, backslashes.
 * Nothing is substituted but backslashes, and nothing is evaluated.
 */

/** Elements of `text`; `undefined` when Tcl would not take it for a list. */
export function parseTclList(text: string): string[] | undefined {
  const elements: string[] = [];
  let at = skipSpace(text, 0);
  while (at < text.length) {
    const first = text[at];
    const end =
      first === "{" ? braceEnd(text, at) : first === '"' ? quoteEnd(text, at) : bareEnd(text, at);
    if (end === undefined) return undefined;
    const isQuoted = first === "{" || first === '"';
    const inside = isQuoted ? text.slice(at + 1, end - 1) : text.slice(at, end);
    // Within braces a backslash only keeps the brace behind it from counting.
    elements.push(first !== "{" && inside.includes("\\") ? substitute(inside) : inside);
    if (end < text.length && !isSpace(text.charCodeAt(end))) return undefined;
    at = skipSpace(text, end);
  }
  return elements;
}

const backslash = 0x5c;

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** Behind the brace that closes the one at `open`. */
function braceEnd(text: string, open: number): number | undefined {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return at + 1;
  }
  return undefined;
}

function quoteEnd(text: string, open: number): number | undefined {
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at + 1;
  }
  return undefined;
}

function bareEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && !isSpace(text.charCodeAt(at))) {
    if (text.charCodeAt(at) !== backslash) at++;
    // A line end behind a backslash takes the blanks of the next line with it.
    else if (text[at + 1] !== "\n") at += 2;
    else for (at += 2; text[at] === " " || text[at] === "\t";) at++;
  }
  return Math.min(at, text.length);
}

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

const hex = "[0-9a-fA-F]";
const escapePattern = new RegExp(
  `\\\\(?:x(${hex}{1,2})|u(${hex}{1,4})|U(${hex}{1,8})|([0-3]?[0-7]{1,2})|(\n[ \t]*)|([^]))`,
  "gu",
);

function substitute(text: string): string {
  return text.replace(
    escapePattern,
    (
      _,
      hex: string | undefined,
      unit: string | undefined,
      point: string | undefined,
      octal: string | undefined,
      line: string | undefined,
      other: string | undefined,
    ) => {
      const digits = hex ?? unit ?? point;
      if (digits !== undefined) return codePoint(Number.parseInt(digits, 16));
      if (octal !== undefined) return codePoint(Number.parseInt(octal, 8));
      if (line !== undefined) return " ";
      return other === undefined ? "" : (escapes[other] ?? other);
    },
  );
}

function codePoint(code: number): string {
  return code <= 0x10_ffff ? String.fromCodePoint(code) : "\ufffd";
}
