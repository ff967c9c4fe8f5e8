/**
 * What a pattern says before it is run: the literal text that it begins with. The engine matches
 * patterns (`zig/query/glob.zig` has their rules); here they are only read for index ranges.
 */

/** The beginning of a pattern. */
export interface Literal {
  /** Literal bytes up to the first star, `?` or set, escapes resolved. */
  readonly bytes: Uint8Array;
  /** What follows: nothing, stars alone, or anything else. */
  readonly rest: "nothing" | "star" | "other";
}

const star = 0x2a;
const question = 0x3f;
const bracket = 0x5b;
const backslash = 0x5c;

export function literalOf(pattern: Uint8Array): Literal {
  const bytes = new Uint8Array(pattern.length);
  let size = 0;
  let at = 0;
  for (; at < pattern.length; at++) {
    let byte = pattern[at] ?? 0;
    if (byte === star || byte === question || byte === bracket) break;
    // A backslash at the end stands for itself.
    if (byte === backslash && at + 1 < pattern.length) byte = pattern[++at] ?? 0;
    bytes[size++] = byte;
  }
  const isWhole = at === pattern.length;
  while (at < pattern.length && pattern[at] === star) at++;
  const rest = isWhole ? "nothing" : at === pattern.length ? "star" : "other";
  return { bytes: bytes.slice(0, size), rest };
}

/**
 * Every spelling of `literal` in upper and lower case, or of its first bytes as far as their
 * letters give at most `variantsMax` spellings. Bytes behind those are cut: `whole` is false then.
 */
export function spellings(
  literal: Uint8Array,
  variantsMax: number,
): { readonly variants: readonly Uint8Array[]; readonly whole: boolean } {
  let size = 0;
  let count = 1;
  for (; size < literal.length; size++) {
    if (!isLetter(literal[size] ?? 0)) continue;
    if (count * 2 > variantsMax) break;
    count *= 2;
  }
  let variants: Uint8Array[] = [literal.slice(0, size)];
  for (let index = 0; index < size; index++) {
    const byte = literal[index] ?? 0;
    if (!isLetter(byte)) continue;
    // Setting bit 5 makes a letter lower case, clearing it upper case.
    variants = variants.flatMap((variant) =>
      [byte & 0xdf, byte | 0x20].map((spelled) => variant.with(index, spelled)),
    );
  }
  return { variants, whole: size === literal.length };
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** The least bytes of the same length above everything that begins with `prefix`, if there are. */
export function nextPrefix(prefix: Uint8Array): Uint8Array | undefined {
  let size = prefix.length;
  while (size > 0 && prefix[size - 1] === 0xff) size--;
  if (size === 0) return undefined;
  const next = prefix.slice(0, size);
  next[size - 1] = (next[size - 1] ?? 0) + 1;
  return next;
}
