/**
 * Values of objects, taken once and without running code of the program that gave them. A row is
 * read completely before its first byte is encoded (`encode.ts`), and what is encoded then must not
 * be able to call back: a subclass may override `length`, a proxy traps everything. So an object is
 * looked at through the methods that the language itself has, and anything else becomes inert.
 */

const bytesPrototype: object = Uint8Array.prototype;
const bufferPrototype: object = Buffer.prototype;
const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);
const tagOf = getterOf(typedArray, Symbol.toStringTag);
const timeOf = Date.prototype.getTime;

/** Stands for an object that no column can hold. */
const inert: object = Object.freeze({});
const inertArray: readonly never[] = Object.freeze([]);

function getterOf(object: object, name: PropertyKey): () => unknown {
  const getter = Object.getOwnPropertyDescriptor(object, name)?.get;
  if (getter === undefined) throw new Error(`this runtime has no ${String(name)}`);
  return getter;
}

/** Whether `value` is a `Uint8Array` itself, and not something that answers like one. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && Reflect.apply(tagOf, value, []) === "Uint8Array";
}

/** Whether `value` is a `Date` itself. */
export function isDate(value: unknown): value is Date {
  return timeOfDate(value) !== undefined;
}

/** The milliseconds of a date, NaN for an invalid one; `undefined` for what is no date. */
function timeOfDate(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    return Reflect.apply(timeOf, value, []);
  } catch {
    return undefined;
  }
}

/**
 * What a column stores of the object `value`: bytes that answer to nothing but their memory, the
 * milliseconds of a date, or an object that every column refuses. Never runs code of the program.
 */
export function plainOf(value: object): Uint8Array | number | object {
  if (isBytes(value)) {
    const prototype: unknown = Object.getPrototypeOf(value);
    const isPlain = prototype === bytesPrototype || prototype === bufferPrototype;
    return isPlain && !Object.hasOwn(value, "length") ? value : copyBytes(value);
  }
  return timeOfDate(value) ?? (Array.isArray(value) ? inertArray : inert);
}

/** A copy of `value`, whatever class it is of. */
export function copyBytes(value: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(value);
}
