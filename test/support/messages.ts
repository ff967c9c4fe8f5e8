/**
 * The messages that users see, read from the source: `docs/messages.md` is made of them, and a test
 * keeps it complete. `bun test/support/messages.ts` writes it anew.
 */
import { join } from "node:path";
import { Glob } from "bun";
import { root } from "./source.ts";

/** A message as the source has it, with … where values stand. */
export interface Message {
  readonly code: string;
  readonly text: string;
  /** Path of the file, from the root. */
  readonly file: string;
}

export const messagesPath: string = join(root, "docs", "messages.md");

/** What makes a message, with the code of those that say none themselves. */
const makers: readonly (readonly [pattern: RegExp, code: string | undefined])[] = [
  [/\bnew AerostoreError\(/g, undefined],
  [/\bnew TypeError\(/g, "TypeError"],
  [/\bnew RangeError\(/g, "RangeError"],
  [/\bnew UsageError\(/g, "usage"],
  [/\bparseError\(/g, "PARSE_ERROR"],
  [/\binvalidValue\(/g, "INVALID_VALUE"],
  [/\brefuseValue\(/g, "INVALID_VALUE"],
  // Messages that get their code below, and the words for what the engine reports.
  [/\bconst message =/g, "by cause"],
  [/^ {4}[A-Z][A-Z_]+: \[/gm, "engine"],
];

/** All messages, in order of code and text. */
export async function readMessages(): Promise<readonly Message[]> {
  const messages: Message[] = [];
  for await (const path of new Glob("src/**/*.ts").scan({ cwd: root })) {
    const source = await Bun.file(join(root, path)).text();
    for (const [pattern, code] of makers) {
      for (const { index = 0, 0: call } of source.matchAll(pattern)) {
        if (isDeclaration(source, index)) continue;
        const { texts, rest } = textsOf(source, index + call.length);
        const [first = ""] = texts;
        const isCode = /^[A-Z][A-Z_]+$/.test(first);
        const parts = isCode ? texts.slice(1) : texts;
        const words = parts.join(code === "engine" ? "; " : "");
        const text = words.replace(/\s+/g, " ").trim();
        if (!/[a-z]{2} /.test(text)) continue;
        const own = code === "engine" ? call.trim().replace(": [", "") : code;
        messages.push({ code: own ?? (isCode ? first : rest), text, file: path });
      }
    }
  }
  return distinct(messages);
}

function isDeclaration(source: string, index: number): boolean {
  return /\bfunction $/.test(source.slice(Math.max(0, index - 16), index));
}

function distinct(messages: readonly Message[]): readonly Message[] {
  const byKey = new Map(messages.map((each) => [`${each.code}\0${each.text}\0${each.file}`, each]));
  return [...byKey.keys()].sort().flatMap((key) => byKey.get(key) ?? []);
}

/** The text literals of the arguments that begin at `start`, and a word for a code that varies. */
function textsOf(source: string, start: number): { texts: readonly string[]; rest: string } {
  const texts: string[] = [];
  let depth = 1;
  // Literals that a + joins are one text.
  let isJoined = false;
  for (let at = start; at < source.length && depth > 0; at++) {
    const char = source[at] ?? "";
    if ("([{".includes(char)) depth++;
    else if (char === ";" && depth === 1) break;
    else if (")]}".includes(char)) depth--;
    else if (char === '"' || char === "'" || char === "`") {
      const end = endOfText(source, at);
      const text = plain(source.slice(at + 1, end), char);
      if (isJoined) texts.push((texts.pop() ?? "") + text);
      else texts.push(text);
      isJoined = false;
      at = end;
    } else if (char === "+") isJoined = texts.length > 0;
    else if (char === ",") isJoined = false;
    else if (source.startsWith("//", at)) at = source.indexOf("\n", at);
  }
  return { texts, rest: "by cause" };
}

/** Where the literal that begins at `start` ends; what stands in `${…}` belongs to it. */
function endOfText(source: string, start: number): number {
  const quote = source[start];
  for (let at = start + 1; at < source.length; at++) {
    const char = source[at];
    if (char === "\\") at++;
    else if (char === quote) return at;
    else if (quote === "`" && source.startsWith("${", at)) at = endOfHole(source, at + 2);
  }
  return source.length;
}

function endOfHole(source: string, start: number): number {
  let depth = 1;
  let at = start;
  for (; at < source.length; at++) {
    const char = source[at] ?? "";
    if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return at;
    else if (char === '"' || char === "'" || char === "`") at = endOfText(source, at);
  }
  return at;
}

/** A literal as it is read: holes are …, escapes are what they mean. */
function plain(inside: string, quote: string): string {
  let text = "";
  for (let at = 0; at < inside.length; at++) {
    if (quote === "`" && inside.startsWith("${", at)) {
      at = endOfHole(inside, at + 2);
      text += "…";
    } else if (inside[at] === "\\") text += inside[++at] === "n" ? " " : (inside[at] ?? "");
    else text += inside[at] ?? "";
  }
  return text;
}

/** The document. */
export function renderMessages(messages: readonly Message[]): string {
  const lines = messages.map(({ code, text, file }) => {
    const cell = text.replaceAll("|", "\\|");
    return `| ${code} | ${cell} | ${file} |`;
  });
  return [
    "# Messages",
    "",
    "Every message of the product that a user can see, by code: `…` stands for a value. What the",
    "engine reports in numbers gets its words in `src/ffi/status.ts`. Made from the source by",
    "`bun test/support/messages.ts`; a test keeps it complete.",
    "",
    "| code | message | file |",
    "|---|---|---|",
    ...lines,
    "",
  ].join("\n");
}

if (import.meta.main) await Bun.write(messagesPath, renderMessages(await readMessages()));
