/**
 * One way to look at the parts of a query, whether they were words of a text or JavaScript values.
 * Text inside an array of words is read like text where a list is expected, and taken as it is
 * where a value is.
 */
import { copyBytes, isBytes, isDate, plainOf } from "../../schema/plain-value.ts";
import type { Operand } from "../query.ts";
import { Parameter } from "./parameter.ts";
import { parseError, splitWords, type Word } from "./lexer.ts";

export type Item =
  | Word
  | {
      readonly kind: "raw";
      readonly value: unknown;
      readonly position: number | undefined;
      /** One of the words of a query given as words: `$name` in it is a parameter. */
      readonly isWord?: true;
    };

/** The members of a list; a single bare word is a list of one. */
export function listOf(item: Item, expected: string): readonly Item[] {
  if (item.kind === "word") {
    switch (item.form) {
      case "bare":
        return [item];
      case "braced":
        return item.words;
      case "quoted":
        return textItems(item.text, item.position);
    }
  }
  const { value, position } = item;
  if (Parameter.is(value)) return [item];
  if (Array.isArray(value)) {
    return Array.from(value, (each: unknown): Item => ({ kind: "raw", value: each, position }));
  }
  if (typeof value === "string") return textItems(value, position);
  throw parseError(`${shapeOf(value)} is not a list`, position, expected);
}

/** Words of a text within a word: they have the position of the whole. */
function textItems(text: string, position: number | undefined): readonly Item[] {
  const words = splitWords(text);
  return position === undefined ? words : words.map((word) => ({ ...word, position }));
}

/** The text of what is not a list. */
export function plainText(item: Item): string | undefined {
  if (item.kind === "word") return item.form === "braced" ? undefined : item.text;
  return typeof item.value === "string" ? item.value : undefined;
}

const parameterPattern = /^\$[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * A value, a parameter, or null. `$name` is a parameter as a bare word of a text and as a word of a
 * query given as words; in quotes or braces it is text. Any other JavaScript string is data, and
 * `param("name")` the parameter.
 */
export function valueOf(item: Item): Operand | null {
  if (item.kind === "word") {
    const { form, text } = item;
    return form === "bare" ? textOperand(text, item.position) : { kind: "value", value: text };
  }
  const { value, position } = item;
  if (typeof value === "string") {
    return item.isWord === true ? textOperand(value, position) : { kind: "value", value };
  }
  return literalOf(value, position);
}

function textOperand(text: string, position: number | undefined): Operand {
  if (text.charCodeAt(0) !== 0x24 || !parameterPattern.test(text)) {
    return { kind: "value", value: text };
  }
  if (text.length > 64) throw parseError("a parameter's name is long", position, "64 characters");
  return { kind: "parameter", name: text.slice(1) };
}

function literalOf(value: unknown, position: number | undefined): Operand | null {
  switch (typeof value) {
    case "number":
    case "bigint":
    case "boolean":
      return { kind: "value", value };
    case "object":
      if (value === null) return null;
      if (Parameter.is(value)) return { kind: "parameter", name: value.name };
      if (isBytes(value)) return { kind: "value", value: copyBytes(value) };
      if (isDate(value)) return { kind: "value", value: Number(plainOf(value)) };
      if ("value" in value && typeof value.value === "string") {
        return { kind: "value", value: value.value };
      }
      break;
    default:
      break;
  }
  throw parseError(
    `${shapeOf(value)} is not a value`,
    position,
    "a value or $name (in an object param)",
  );
}

function shapeOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "undefined";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
