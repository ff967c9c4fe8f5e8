/** Keys as texts, for maps: bytes are equal by what they hold. */
import type { ColumnValue } from "../schema/column.ts";

export function keyText(key: ColumnValue): string {
  return key instanceof Uint8Array ? `bytes ${key.toHex()}` : `${typeof key} ${String(key)}`;
}
