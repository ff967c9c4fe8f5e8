/**
 * JSON as text: where values begin and end, without reading numbers into doubles. Texts are in
 * latin1, one character for each byte, so that positions are those of the input and its UTF-8
 * reaches the native parser as it came.
 */

const depthMax = 64;

const quoteMark = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;

/** A cursor over a text. Methods that fail leave `at` where the fault is. */
export class JsonText {
  readonly text: string;
  readonly end: number;
  at: number;

  constructor(text: string, at = 0, end: number = text.length) {
    this.text = text;
    this.at = at;
    this.end = end;
  }

  /** The byte at the cursor; 0 at the end. */
  get byte(): number {
    return this.at < this.end ? this.text.charCodeAt(this.at) : 0;
  }

  space(): void {
    const { text, end } = this;
    while (this.at < end) {
      const byte = text.charCodeAt(this.at);
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.at += 1;
    }
  }

  take(byte: number): boolean {
    if (this.byte !== byte) return false;
    this.at += 1;
    return true;
  }

  /** Passes over one value of any shape. False when it is malformed. */
  value(depth = 0): boolean {
    if (depth > depthMax) return false;
    switch (this.byte) {
      case quoteMark:
        return this.string();
      case openBrace:
        this.at += 1;
        return this.#list(closeBrace, depth);
      case openBracket:
        this.at += 1;
        return this.#list(closeBracket, depth);
      case 0x74:
        return this.#word("true");
      case 0x66:
        return this.#word("false");
      case 0x6e:
        return this.#word("null");
      default:
        return this.#number();
    }
  }

  /** Passes over a string in quotes. */
  string(): boolean {
    const { text, end } = this;
    if (!this.take(quoteMark)) return false;
    while (this.at < end) {
      const byte = text.charCodeAt(this.at);
      if (byte < 0x20) return false;
      this.at += 1;
      if (byte === quoteMark) return true;
      if (byte !== backslash) continue;
      const size = /^["\\/bfnrt]/.test(text[this.at] ?? "")
        ? 1
        : /^u[0-9a-fA-F]{4}/.test(text.slice(this.at, this.at + 5))
          ? 5
          : 0;
      if (size === 0) {
        // At the end of the text, what is missing may follow.
        if (this.end - this.at < 5 && /^u?[0-9a-fA-F]*$/.test(text.slice(this.at, end))) {
          this.at = end;
        }
        return false;
      }
      this.at += size;
    }
    return false;
  }

  /** Calls `visit` with each name of the object at the cursor and its value's place. */
  members(visit: (name: string, start: number, end: number) => void): boolean {
    if (!this.take(openBrace)) return false;
    this.space();
    if (this.take(closeBrace)) return true;
    while (true) {
      const name = this.name();
      if (name === undefined) return false;
      const start = this.at;
      if (!this.value(1)) return false;
      visit(name, start, this.at);
      this.space();
      if (this.take(closeBrace)) return true;
      if (!this.take(comma)) return false;
      this.space();
    }
  }

  /** Passes over `"name" :` and the space around it; the name. */
  name(): string | undefined {
    const start = this.at;
    if (!this.string()) return undefined;
    const raw = this.text.slice(start, this.at);
    this.space();
    if (!this.take(colon)) return undefined;
    this.space();
    return readString(raw);
  }

  #list(close: number, depth: number): boolean {
    this.space();
    if (this.take(close)) return true;
    while (true) {
      if (close === closeBrace) {
        if (!this.string()) return false;
        this.space();
        if (!this.take(colon)) return false;
        this.space();
      }
      if (!this.value(depth + 1)) return false;
      this.space();
      if (this.take(close)) return true;
      if (!this.take(comma)) return false;
      this.space();
    }
  }

  #word(word: string): boolean {
    const rest = this.text.slice(this.at, Math.min(this.end, this.at + word.length));
    if (rest === word) {
      this.at += word.length;
      return true;
    }
    if (word.startsWith(rest)) this.at += rest.length;
    return false;
  }

  #number(): boolean {
    const { text, end } = this;
    const start = this.at;
    let at = start;
    while (at < end && isNumberByte(text.charCodeAt(at))) at += 1;
    const isWhole = isNumber(text.slice(start, at));
    // A number that the end of the text cuts is a fault there.
    if (isWhole || at === end) this.at = at;
    return isWhole;
  }
}

function isNumberByte(byte: number): boolean {
  const digit = byte >= 0x30 && byte <= 0x39;
  return digit || byte === 0x2e || byte === 0x2d || byte === 0x2b || (byte | 0x20) === 0x65;
}

/** Whether a text is a number as JSON writes it. */
export function isNumber(text: string): boolean {
  return /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$/.test(text);
}

/** The text of a JSON string in quotes that has been checked. */
export function readString(raw: string): string {
  const inner = raw.slice(1, -1);
  if (/^[\x20-\x5b\x5d-\x7e]*$/.test(inner)) return inner;
  const parsed: unknown = JSON.parse(Buffer.from(raw, "latin1").toString("utf8"));
  return String(parsed);
}

/** A text as a JSON string in quotes, in latin1. */
export function writeString(text: string): string {
  if (/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(text)) return `"${text}"`;
  return Buffer.from(JSON.stringify(text), "utf8").toString("latin1");
}

/** A piece of a latin1 text as people read it, at most `size` bytes. */
export function readable(text: string, size = 1_000): string {
  return Buffer.from(text.slice(0, size), "latin1").toString("utf8");
}

/** Line breaks between values become spaces: the value is one line then. */
export function onOneLine(json: string): string {
  // A line break inside a string is malformed, and is not in a text that has been checked.
  return /[\r\n]/.test(json) ? json.replace(/[\r\n]/g, " ") : json;
}

/** One element of a list that may be damaged. */
export interface ListElement {
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** Where in the whole text it is malformed. */
  readonly fault: number | undefined;
}

/**
 * Reads the list at the cursor, element by element. A malformed element costs itself: the next one
 * is where an object or list begins as the first one does. False when the list does not end.
 */
export function readElements(json: JsonText, visit: (element: ListElement) => void): boolean {
  if (!json.take(openBracket)) return false;
  json.space();
  if (json.take(closeBracket)) return true;
  return readFrom(json, visit, 1, undefined);
}

/**
 * Goes on with a list that seemed to end before `from`, at the next element that begins as `first`
 * does; what is between is a damaged element. False when there is none, or the list does not end.
 */
export function resumeElements(
  json: JsonText,
  from: number,
  elements: readonly ListElement[],
  visit: (element: ListElement) => void,
): boolean {
  const first = elements.find(({ fault }) => fault === undefined);
  if (first === undefined) return false;
  const sibling = siblingOf(first.text, 0);
  sibling.lastIndex = from;
  const next = sibling.exec(json.text);
  if (next === null) return false;
  const number = elements.length + 1;
  visit({ text: json.text.slice(from, next.index), number, fault: json.at });
  json.at = next.index + 1;
  json.space();
  return readFrom(json, visit, number + 1, sibling);
}

function readFrom(
  json: JsonText,
  visit: (element: ListElement) => void,
  first: number,
  like: RegExp | undefined,
): boolean {
  const { text } = json;
  let sibling = like;
  for (let number = first; ; number += 1) {
    const start = json.at;
    let fault: number | undefined;
    let end: number;
    if (json.value(1)) {
      end = json.at;
      json.space();
      if (json.byte !== comma && json.byte !== closeBracket) fault = json.at;
      else sibling ??= siblingOf(text, start);
    } else {
      fault = json.at;
      end = start;
    }
    if (fault !== undefined) {
      end = endOfDamaged(json, start, fault, sibling ?? siblingOf(text, start));
      if (end < 0) return false;
      json.at = end;
      json.space();
    }
    visit({ text: text.slice(start, end), number, fault });
    if (json.take(closeBracket)) return true;
    if (!json.take(comma)) return false;
    json.space();
  }
}

/** How an element begins that is like the one at `start`. */
function siblingOf(text: string, start: number): RegExp {
  const head = /^\{\s*("[^"\\\n]*")\s*:/.exec(text.slice(start, start + 200))?.[1];
  if (head !== undefined) {
    const name = head.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return new RegExp(`,\\s*\\{\\s*${name}\\s*:`, "g");
  }
  return text[start] === "[" ? /,\s*\[/g : /,\s*\{/g;
}

/** Where a damaged element ends: at a comma, or at the end of the list. -1 when nowhere. */
function endOfDamaged(json: JsonText, start: number, fault: number, sibling: RegExp): number {
  const { text } = json;
  const balanced = endOfBalanced(json, start);
  if (balanced >= 0) return balanced;
  sibling.lastIndex = start;
  const next = sibling.exec(text);
  if (next !== null && next.index < json.end) return next.index;
  const last = text.lastIndexOf("]", json.end - 1);
  return last >= fault ? last : -1;
}

/** The end of an element by its braces, when a separator follows. */
function endOfBalanced(json: JsonText, start: number): number {
  const { text, end } = json;
  if (text[start] !== "{" && text[start] !== "[") return -1;
  const open: number[] = [];
  for (let at = start; at < end; at += 1) {
    const byte = text.charCodeAt(at);
    if (byte === quoteMark) {
      const string = new JsonText(text, at, end);
      if (!string.string()) return -1;
      at = string.at - 1;
    } else if (byte === openBrace) {
      open.push(closeBrace);
    } else if (byte === openBracket) {
      open.push(closeBracket);
    } else if (byte === closeBrace || byte === closeBracket) {
      if (open.pop() !== byte) return -1;
      if (open.length > 0) continue;
      const after = new JsonText(text, at + 1, end);
      after.space();
      return after.byte === comma || after.byte === closeBracket ? at + 1 : -1;
    }
  }
  return -1;
}

/** Line, from `line` on, and column, from 1, of a position in a text. */
export function placeOf(text: string, position: number, line: number): string {
  const before = text.slice(0, position);
  const breaks = before.split("\n");
  return `line ${line + breaks.length - 1}, column ${(breaks.at(-1) ?? "").length + 1}`;
}
