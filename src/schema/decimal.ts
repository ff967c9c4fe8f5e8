/**
 * Exact decimals: text and numbers to scaled integers and back. A number means its shortest decimal
 * text, so 46.679232 at scale 6 is 46679232 and 0.1 + 0.2 has 17 decimals, not 1.
 */

/** What went wrong with a decimal: not a decimal text at all, or one with too many decimals. */
export type DecimalProblem = "syntax" | "decimals";

const scaledDigitsMax = 40;
const decimalPattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;

/**
 * `text` times 10^`scale`, exactly. Zeros behind the last significant decimal do not count.
 * Magnitudes from 10^40 on, which no column can hold, all give 10^40. Linear in the text.
 */
export function parseScaled(text: string, scale: number): bigint | DecimalProblem {
  const match = decimalPattern.exec(text);
  if (match === null) return "syntax";
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  if (whole === "" && fraction === "") return "syntax";
  const digits = (whole + fraction).replace(/^0+/, "");
  // The value is digits * 10^(exponent - fraction.length); the result that times 10^scale.
  const shift = Number(exponent) - fraction.length + scale;
  const dropped = shift < 0 ? digits.slice(shift) : "";
  if (/[1-9]/.test(dropped)) return "decimals";
  if (digits === "" || digits.length === dropped.length) return 0n;
  // Far outside every column: no need to build it.
  const scaled =
    digits.length + shift > scaledDigitsMax
      ? 10n ** BigInt(scaledDigitsMax)
      : BigInt(digits.slice(0, digits.length - dropped.length) + "0".repeat(Math.max(shift, 0)));
  return sign === "-" ? -scaled : scaled;
}

/** The text of a scaled integer, without zeros behind the last decimal that counts. */
export function formatScaled(scaled: bigint, scale: number): string {
  const negative = scaled < 0n;
  const digits = (negative ? -scaled : scaled).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, "");
  return `${negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}
