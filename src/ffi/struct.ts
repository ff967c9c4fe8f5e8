/** Fields of structs that cross the boundary, read and written by the layouts of the engine. */

/** A number in a struct of `layouts`. */
export interface NumberField {
  readonly type: "u8" | "u16" | "u32" | "u64" | "f64";
  readonly offset: number;
}

/** Writes a field of the struct at `at`. A u64 takes integers up to 2^53. */
export function putField(view: DataView, at: number, field: NumberField, value: number): void {
  const position = at + field.offset;
  switch (field.type) {
    case "u8":
      return view.setUint8(position, value);
    case "u16":
      return view.setUint16(position, value, true);
    case "u32":
      return view.setUint32(position, value, true);
    case "u64":
      view.setUint32(position, value >>> 0, true);
      return view.setUint32(position + 4, Math.floor(value / 2 ** 32), true);
    case "f64":
      return view.setFloat64(position, value, true);
  }
}

/** Reads a field of the struct at `at`. A u64 beyond 2^53 loses its low bits. */
export function getField(view: DataView, at: number, field: NumberField): number {
  const position = at + field.offset;
  switch (field.type) {
    case "u8":
      return view.getUint8(position);
    case "u16":
      return view.getUint16(position, true);
    case "u32":
      return view.getUint32(position, true);
    case "u64":
      return view.getUint32(position + 4, true) * 2 ** 32 + view.getUint32(position, true);
    case "f64":
      return view.getFloat64(position, true);
  }
}

/** A generated enum: its members by name. */
type Members<T extends number> = Readonly<Record<string, T>>;

/** The member of an enum that has this number; `undefined` when none has it. */
export function memberOf<T extends number>(members: Members<T>, number: number): T | undefined {
  for (const name in members) if (members[name] === number) return members[name];
  return undefined;
}

/** The name of the member that has this number; `undefined` when none has it. */
export function nameOf<E extends Members<number>>(
  members: E,
  number: number,
): Extract<keyof E, string> | undefined {
  for (const name in members) if (members[name] === number) return name;
  return undefined;
}
