/** Tab-separated lines as a JavaScript program reads them. */
import type { Shape, Value } from "../workloads/model.ts";

/** The columns of each line, converted to what the shape's columns hold. */
export function* parseTsv<R extends object>(
  shape: Shape<R>,
  text: Uint8Array,
): Generator<Value[], void, unknown> {
  const isNumber = shape.columns.map(({ kind }) => kind !== "string" && kind !== "bytes");
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  for (let at = 0; at < bytes.length;) {
    const found = bytes.indexOf(10, at);
    const end = found < 0 ? bytes.length : found;
    const fields: Value[] = bytes.toString("latin1", at, end).split("\t");
    for (let i = 0; i < fields.length; i++) {
      if (isNumber[i] === true) fields[i] = Number(fields[i]);
    }
    yield fields;
    at = end + 1;
  }
}
