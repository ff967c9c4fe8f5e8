/**
 * Exact decimals: text and numbers to scaled integers and back. A number means its shortest decimal
 * text, so 46.679232 at scale 6 is 46679232 and 0.1 + 0.2 has 17 decimals, not 1.
 */

/** What went wrong with a decimal: not a decimal text at all, or one with too many decimals. */
export type DecimalProblem = "syntax" | "decimals";

const scaledDigitsMax = 40;
const decimalPattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;

/**
 * `text` times 10^`scale`, exactly, or the nearest integer, ties to even, when `isRounded`. Zeros
 * after the last significant decimal do not count.
 * Magnitudes from 10^40 on, which no column can hold, all give 10^40. Linear in the text.
 */
export function parseScaled(
  text: string,
  scale: number,
  isRounded = false,
): bigint | DecimalProblem {
  const match = decimalPattern.exec(text);
  if (match === null) return "syntax";
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  if (whole === "" && fraction === "") return "syntax";
  const digits = (whole + fraction).replace(/^0+/, "");
  // The value is digits * 10^(exponent - fraction.length); the result that times 10^scale.
  const shift = Number(exponent) - fraction.length + scale;
  const dropped = shift < 0 ? digits.slice(shift) : "";
  const isInexact = /[1-9]/.test(dropped);
  if (isInexact && !isRounded) return "decimals";
  if (digits === "") return 0n;
  // Far outside every column: no need to build it.
  const scaled =
    digits.length + shift > scaledDigitsMax
      ? 10n ** BigInt(scaledDigitsMax)
      : BigInt(digits.slice(0, digits.length - dropped.length) + "0".repeat(Math.max(shift, 0)));
  const nearest = isInexact ? scaled + roundingOf(scaled, dropped, -shift) : scaled;
  return sign === "-" ? -nearest : nearest;
}

/** What rounding adds to `scaled`, after which come the digits `dropped` of `width` places. */
function roundingOf(scaled: bigint, dropped: string, width: number): bigint {
  // Fewer digits than places: zeros stand before them.
  const fraction = dropped.padStart(width, "0");
  const half = `5${"0".repeat(width - 1)}`;
  if (fraction !== half) return fraction > half ? 1n : 0n;
  return scaled % 2n;
}

/** The text of a scaled integer, without zeros behind the last decimal that counts. */
export function formatScaled(scaled: bigint, scale: number): string {
  const negative = scaled < 0n;
  const digits = (negative ? -scaled : scaled).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, "");
  return `${negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}
