/**
 * Index keys of values, as the engine orders them (law 8 of docs/internals/row-image.md, and
 * `zig/row/key.zig`, whose twin this is). The planner needs them only to ask how many rows lie
 * between two keys.
 *
 * A key is an array of 64-bit words, the most significant first; here each word is two elements,
 * the low half first, which is how the engine reads it on a little-endian machine.
 */
import { keyFormat } from "../../ffi/constants.gen.ts";
import { kinds } from "../../schema/kinds.ts";
import type { PlannerColumn } from "./planner-table.ts";
import type { Stored } from "./bound.ts";

/**
 * Key words, two elements each. Small typed arrays may move: pass the array itself to native code,
 * never an address of it.
 */
export type KeyWords = Uint32Array<ArrayBuffer>;

const signBit: number = keyFormat.signBitHigh;
/** Either half of a word of null. */
const nullHalf: number = keyFormat.nullWordHigh;
const scratch = new DataView(new ArrayBuffer(8));

/** Words of every key of `column`. */
export function keyWordsCount(column: PlannerColumn): number {
  const { family, size } = kinds[column.kind];
  if (family === "text") {
    return Math.ceil((column.limit + keyFormat.textLengthSize) / keyFormat.wordSize);
  }
  // All values of 64 bits fit, so null has a word of its own; a float has values to spare.
  return size === keyFormat.wordSize && family !== "float" && column.nullable ? 2 : 1;
}

/** The key of a value. */
export function encodeKey(column: PlannerColumn, value: Stored): KeyWords {
  const words = emptyKey(column);
  if (value instanceof Uint8Array) {
    encodeText(words, value);
    return words;
  }
  const [low, high] = halvesOf(column, value);
  const at = words.length - 2;
  words[at] = low;
  words[at + 1] = orderedHigh(column, high);
  if (isFloat(column) && high >= signBit) {
    words[at] = ~low;
    words[at + 1] = ~high;
  }
  return words;
}

/** The key of null, which is after all others. */
export function encodeNullKey(column: PlannerColumn): KeyWords {
  const words = emptyKey(column);
  if (isText(column) || words.length === 2) return words.fill(nullHalf);
  words[0] = keyFormat.nullFirstWord;
  return words;
}

/** The key directly after `words`. */
export function nextKey(words: KeyWords): KeyWords {
  return stepKey(words, 1, 0xffff_ffff);
}

/** The key directly before `words`. */
export function previousKey(words: KeyWords): KeyWords {
  return stepKey(words, -1, 0);
}

/** Carries while an element has the value that turns over. */
function stepKey(words: KeyWords, step: 1 | -1, turning: number): KeyWords {
  const out = words.slice();
  for (let word = out.length - 2; word >= 0; word -= 2) {
    for (const at of [word, word + 1]) {
      const before = out[at] ?? 0;
      out[at] = before + step;
      if (before !== turning) return out;
    }
  }
  return out;
}

/**
 * The bits of a value of fixed size as a plan's operand has them (docs/internals/query.md), low
 * half first: i64, u64 or f64.
 */
export function halvesOf(
  column: PlannerColumn,
  value: number | bigint,
): readonly [low: number, high: number] {
  if (isFloat(column)) {
    scratch.setFloat64(0, Number(value), true);
    return [scratch.getUint32(0, true), scratch.getUint32(4, true)];
  }
  if (typeof value === "bigint") {
    scratch.setBigInt64(0, BigInt.asIntN(64, value), true);
    return [scratch.getUint32(0, true), scratch.getUint32(4, true)];
  }
  // Both are exact for safe integers, of either sign.
  return [value >>> 0, Math.floor(value / 4_294_967_296) >>> 0];
}

function orderedHigh(column: PlannerColumn, high: number): number {
  return kinds[column.kind].isSigned ? high ^ signBit : high;
}

/** Bytes, zeros, and the size in the last two bytes, as big-endian words. */
function encodeText(words: KeyWords, text: Uint8Array): void {
  for (const [index, byte] of text.entries()) putByte(words, index, byte);
  const end = words.length * 4;
  putByte(words, end - 2, text.length >>> 8);
  putByte(words, end - 1, text.length & 0xff);
}

function putByte(words: KeyWords, index: number, byte: number): void {
  // Bytes 0 to 3 of a word are its high half, which is the second element.
  const at = (index >>> 3) * 2 + ((index & 4) === 0 ? 1 : 0);
  words[at] = (words[at] ?? 0) | (byte << (24 - (index & 3) * 8));
}

function emptyKey(column: PlannerColumn): KeyWords {
  return new Uint32Array(keyWordsCount(column) * 2);
}

function isFloat(column: PlannerColumn): boolean {
  return kinds[column.kind].family === "float";
}

function isText(column: PlannerColumn): boolean {
  return kinds[column.kind].family === "text";
}
