/**
 * Cuts a stream of bytes into JSON documents: objects one after the other, one to a line or over
 * many, or the elements of a list. A damaged document costs itself. The next one is found
 *
 * - at an object that begins as only documents do (`heads`), wherever it stands;
 * - at an object that begins its line as the damaged one did, where no value may stand;
 * - at an object whose first name is that of the damaged one.
 *
 * The documents do not depend on how the stream is cut: a decision waits for the bytes it needs.
 */
import { JsonText } from "./json-text.ts";

/** A document longer than this is a reject. */
export const documentSizeMax: number = 64 << 20;
/** Deeper nesting is damage. */
const depthMax = 80;
/** The room for the first name of an object, with the space before it. */
const headSize = 128;

export interface Document {
  /** In latin1. */
  readonly text: string;
  /** Of the source, on which it begins. */
  readonly line: number;
  /** In its list, from 1; 0 outside one. */
  readonly element: number;
  /** It is well-formed JSON. */
  readonly whole: boolean;
}

export interface DocumentSink {
  readonly document: (document: Document) => void;
  /** Text that is no document, up to its line's end. */
  readonly junk: (line: number, text: string) => void;
  readonly tooLong: (line: number) => void;
}

const newline = 0x0a;
const openBrace = 0x7b;
const openBracket = 0x5b;

export class DocumentSplitter {
  readonly #heads: ReadonlySet<string>;
  readonly #sink: DocumentSink;
  #bytes: Buffer = Buffer.alloc(64 * 1024);
  #size = 0;
  #at = 0;
  #line = 1;
  /** The present document: where it begins, or -1 between documents. */
  #start = -1;
  #startLine = 1;
  #element = 0;
  /** Spaces since the line's start, between documents; -1 after anything else. */
  #lineIndent = 0;
  /** What is open in it, as closing bytes. */
  #open: number[] = [];
  #inString = false;
  #isDoubtful = false;
  /** It ends only where another one begins. */
  #isDamaged = false;
  /** Spaces before it on its line, or -1 when something else is before it. */
  #indent = -1;
  /** A place inside it where another document may begin, if it turns out to be damaged. */
  #inner = -1;
  #firstName = "";
  /** That of the last document that was whole. */
  #usualName = "";
  #inList = false;
  #elements = 0;
  /** After a document that was too long: junk is not reported. */
  #isSkipping = false;

  constructor(heads: Iterable<string>, sink: DocumentSink) {
    this.#heads = new Set(heads);
    this.#sink = sink;
  }

  /** Copies `bytes`. */
  push(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
    this.#run(false);
    if (this.#start >= 0 && this.#at - this.#start > documentSizeMax) this.#giveUp();
  }

  end(): void {
    this.#run(true);
    while (this.#start >= 0) {
      this.#finish(this.#size, false);
      this.#run(true);
    }
  }

  #makeRoom(size: number): void {
    const kept = this.#start < 0 ? this.#at : this.#start;
    if (this.#size + size <= this.#bytes.length) return;
    const needed = this.#size - kept + size;
    const target =
      needed <= this.#bytes.length / 2 ? this.#bytes : Buffer.alloc(Math.max(needed * 2, 65_536));
    this.#bytes.copy(target, 0, kept, this.#size);
    this.#bytes = target;
    this.#size -= kept;
    this.#at -= kept;
    if (this.#start >= 0) this.#start = 0;
    if (this.#inner >= 0) this.#inner -= kept;
  }

  /** Looks at what has come, as far as decisions can be taken. */
  #run(final: boolean): void {
    while (this.#at < this.#size) {
      const goesOn = this.#start < 0 ? this.#between(final) : this.#within(final);
      if (!goesOn) return;
    }
  }

  /** One step between documents; false when more bytes are needed. */
  #between(final: boolean): boolean {
    const bytes = this.#bytes;
    const byte = bytes[this.#at] ?? 0;
    if (byte === newline) {
      this.#line += 1;
      this.#lineIndent = 0;
      this.#at += 1;
      return true;
    }
    if (byte <= 0x20 && this.#lineIndent >= 0) this.#lineIndent += 1;
    if (byte > 0x20 && byte !== openBrace && byte !== 0xef) this.#lineIndent = -1;
    if (byte <= 0x20 || (this.#inList && byte === 0x2c)) {
      this.#at += 1;
      return true;
    }
    if (byte === 0xef) {
      if (this.#size - this.#at < 3 && !final) return false;
      if (bytes[this.#at + 1] === 0xbb && bytes[this.#at + 2] === 0xbf) {
        this.#at += 3;
        return true;
      }
    }
    if (this.#inList && byte === 0x5d) {
      this.#inList = false;
      this.#at += 1;
      return true;
    }
    if (byte === openBrace) return this.#begin(final);
    if (byte === openBracket) {
      this.#inList = true;
      this.#elements = 0;
      this.#at += 1;
      return true;
    }
    return this.#passJunk(final);
  }

  #begin(final: boolean): boolean {
    const name = this.#nameAt(this.#at, final);
    if (name === undefined) return false;
    this.#start = this.#at;
    this.#startLine = this.#line;
    this.#indent = this.#lineIndent;
    this.#lineIndent = -1;
    this.#element = this.#inList ? (this.#elements += 1) : 0;
    this.#open = [0x7d];
    this.#inString = false;
    this.#isDoubtful = false;
    this.#isDamaged = false;
    this.#isSkipping = false;
    this.#inner = -1;
    this.#firstName = name;
    this.#at += 1;
    return true;
  }

  #passJunk(final: boolean): boolean {
    const { subject, end } = this.#junkEnd();
    if (end < 0 && !final && subject < documentSizeMax) return false;
    const stop = end < 0 ? this.#size : end;
    if (!this.#isSkipping) {
      if (this.#inList) this.#elements += 1;
      this.#sink.junk(this.#line, this.#bytes.toString("latin1", this.#at, stop).trimEnd());
    }
    this.#at = stop;
    return true;
  }

  /** The end of what is no document: of the line, or of a list's element. */
  #junkEnd(): { subject: number; end: number } {
    const bytes = this.#bytes;
    for (let at = this.#at; at < this.#size; at += 1) {
      const byte = bytes[at];
      if (byte === newline || (this.#inList && (byte === 0x2c || byte === 0x5d))) {
        return { subject: at - this.#at, end: at };
      }
    }
    return { subject: this.#size - this.#at, end: -1 };
  }

  /** Goes on within a document; false when more bytes are needed. */
  #within(final: boolean): boolean {
    const bytes = this.#bytes;
    const size = this.#size;
    while (this.#at < size) {
      const at = this.#at;
      const byte = bytes[at] ?? 0;
      if (byte === openBrace) {
        const name = this.#heads.size === 0 ? "" : this.#nameAt(at, final);
        if (name === undefined) return false;
        if (name !== "" && this.#heads.has(name)) {
          this.#finish(at, false);
          return true;
        }
      }
      if (byte === newline) {
        if (!this.#passLineEnd(final)) return false;
        if (this.#start < 0) return true;
        continue;
      }
      this.#at = at + 1;
      if (this.#inString) {
        if (byte === 0x22) {
          this.#inString = false;
        } else if (byte === 0x5c) {
          if (at + 1 >= size && !final) {
            this.#at = at;
            return false;
          }
          const next = bytes[at + 1];
          if (next !== openBrace && next !== newline) this.#at = at + 2;
        }
      } else if (byte === 0x22) {
        this.#inString = true;
      } else if (byte === openBrace) {
        this.#open.push(0x7d);
        if (this.#open.length > depthMax) {
          this.#finish(this.#at, false);
          return true;
        }
      } else if (byte === openBracket) {
        this.#open.push(0x5d);
        if (this.#open.length > depthMax) {
          this.#finish(this.#at, false);
          return true;
        }
      } else if (byte === 0x7d || byte === 0x5d) {
        if (this.#close(byte, at)) return true;
      }
    }
    return true;
  }

  /** Closes what a byte closes; true when the document ends with it. */
  #close(byte: number, at: number): boolean {
    const open = this.#open;
    if (open.at(-1) === byte) {
      open.pop();
    } else {
      this.#isDoubtful = true;
      const index = byte === 0x5d ? open.lastIndexOf(byte) : -1;
      if (index > 0) {
        open.length = index;
      } else if (byte === 0x5d && this.#inList && this.#element > 0) {
        // The list ends, although its last element does not.
        this.#at = at;
        this.#finish(at, false);
        return true;
      }
    }
    if (open.length > 0) return false;
    if (this.#heads.has(this.#firstName) && !this.#isWhole(at + 1)) {
      // A damaged snapshot may have been closed too early: it goes on to the next one.
      this.#isDamaged = true;
      open.push(0x7d);
      return false;
    }
    this.#finish(at + 1, true);
    return true;
  }

  /** Whether the document up to `end` is well-formed JSON. */
  #isWhole(end: number): boolean {
    if (this.#isDamaged) return false;
    const text = this.#bytes.toString("latin1", this.#start, end);
    const json = new JsonText(text);
    return json.value() && json.at === text.length;
  }

  /** Passes over a line's end within a document, and looks whether another document follows. */
  #passLineEnd(final: boolean): boolean {
    const bytes = this.#bytes;
    let at = this.#at + 1;
    if (this.#size - at < 3 && !final) return false;
    if (bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) at += 3;
    const mayBeSibling = this.#indent >= 0 && !this.#heads.has(this.#firstName);
    const isSibling = mayBeSibling ? this.#isSiblingAt(at, final) : false;
    if (isSibling === undefined) return false;
    if (this.#inString) {
      this.#inString = false;
      this.#isDoubtful = true;
    }
    this.#line += 1;
    this.#at += 1;
    if (!isSibling || this.#inner >= 0) return true;
    if (this.#isDoubtful || !this.#mayHoldValue()) {
      this.#finish(at, false);
      this.#lineIndent = 0;
    } else {
      this.#inner = at;
    }
    return true;
  }

  /** Whether the line at `at` begins with an object as the document's own line does. */
  #isSiblingAt(at: number, final: boolean): boolean | undefined {
    const stop = at + this.#indent;
    if (stop >= this.#size) return final ? false : undefined;
    for (let index = at; index < stop; index += 1) {
      const byte = this.#bytes[index];
      if (byte !== 0x20 && byte !== 0x09) return false;
    }
    return this.#bytes[stop] === openBrace;
  }

  /** Whether the grammar lets a value stand after what has come of the document. */
  #mayHoldValue(): boolean {
    const text = this.#bytes.toString("latin1", this.#start, this.#at);
    const json = new JsonText(text);
    if (json.value() || json.at < text.trimEnd().length) return false;
    const last = text.trimEnd().at(-1);
    return last === ":" || (this.#open.at(-1) === 0x5d && (last === "[" || last === ","));
  }

  /** Ends the document at `end`. Of a damaged one, what may be the next is looked at again. */
  #finish(end: number, isClosed: boolean): void {
    const text = this.#bytes.toString("latin1", this.#start, end);
    const whole = isClosed && this.#isWhole(end);
    if (!whole && !this.#heads.has(this.#firstName)) {
      const inner = this.#innerOf(text);
      if (inner > 0) {
        this.#emit(text.slice(0, inner), false);
        this.#at = this.#start + inner;
        this.#line = this.#startLine + countLines(text.slice(0, inner));
        this.#lineIndent = /\n[ \t]*$/.test(text.slice(0, inner)) ? 0 : -1;
        this.#start = -1;
        return;
      }
    }
    if (whole) this.#usualName = this.#firstName;
    this.#emit(text, whole);
    this.#at = end;
    this.#start = -1;
  }

  #emit(text: string, whole: boolean): void {
    this.#sink.document({
      text: whole ? text : text.replace(/[\s,]+$/, ""),
      line: this.#startLine,
      element: this.#element,
      whole,
    });
  }

  /** Where in a damaged document another one begins; -1 when nowhere. */
  #innerOf(text: string): number {
    const byLine = this.#inner < 0 ? -1 : this.#inner - this.#start;
    const names = [this.#firstName, this.#usualName].filter((name) => name !== "");
    if (names.length === 0) return byLine;
    const either = names.map((name) => JSON.stringify(name).replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const again = new RegExp(`\\{\\s*(?:${either.join("|")})\\s*:`, "g");
    again.lastIndex = 1;
    const byName = again.exec(text)?.index ?? -1;
    if (byLine < 0) return byName;
    return byName < 0 ? byLine : Math.min(byLine, byName);
  }

  /** The first name of the object at `at`; "" for anything else, `undefined` before it has come. */
  #nameAt(at: number, final: boolean): string | undefined {
    const head = this.#bytes.toString("latin1", at, Math.min(this.#size, at + headSize));
    const name = /^\{\s*"([^"\\\n]{0,60})"\s*:/.exec(head)?.[1];
    if (name !== undefined) return name;
    const mayFollow = /^\{\s*(?:"[^"\\\n]{0,60}(?:"\s*)?)?$/.test(head);
    return mayFollow && head.length < headSize && !final ? undefined : "";
  }

  #giveUp(): void {
    this.#sink.tooLong(this.#startLine);
    this.#start = -1;
    this.#inList = false;
    this.#isSkipping = true;
  }
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}
