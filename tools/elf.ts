/**
 * Reads and changes shared libraries of 64-bit little-endian machines, so that packaging needs no
 * tool beside Bun and Zig.
 */

/** What a library says about itself. */
export interface Elf {
  readonly machine: "x64" | "arm64";
  /** Names of the libraries that the system's loader has to bring. */
  readonly needed: readonly string[];
  /** Names of the symbols that it takes from the program that loads it, sorted. */
  readonly undefinedSymbols: readonly string[];
  readonly hasDebugInfo: boolean;
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

const machines: Readonly<Record<number, Elf["machine"]>> = { 62: "x64", 183: "arm64" };
const sectionDynamic = 6;
const sectionDynamicSymbols = 11;
const symbolSize = 24;
const dynamicSize = 16;
const tagNeeded = 1n;
/** A tag that loaders write to and never read in a library. */
const tagDebug = 21n;

/** **Throws** a plain `Error` where `bytes` are no library of a machine that is packaged. */
export function readElf(bytes: Uint8Array): Elf {
  const view = viewOf(bytes);
  if (bytes.length < 64 || view.getUint32(0) !== 0x7f454c46 || view.getUint16(4) !== 0x0201) {
    throw new Error("it is not a 64-bit little-endian ELF file");
  }
  const machine = machines[view.getUint16(18, true)];
  if (machine === undefined) throw new Error("it is of a machine that is not packaged");
  const sections = readSections(view);
  const undefinedSymbols: string[] = [];
  for (const table of sections.filter(({ type }) => type === sectionDynamicSymbols)) {
    const names = sections[table.link]?.offset ?? 0;
    for (let at = table.offset; at < table.offset + table.size; at += symbolSize) {
      const name = textAt(view, names + view.getUint32(at, true));
      if (view.getUint16(at + 6, true) === 0 && name !== "") undefinedSymbols.push(name);
    }
  }
  const needed = [...dynamicEntries(view, sections)]
    .filter(({ tag }) => tag === tagNeeded)
    .map(({ names, value }) => textAt(view, names + value));
  const hasDebugInfo = sections.some(({ name }) => name.startsWith(".debug"));
  return { machine, needed, undefinedSymbols: undefinedSymbols.sort(), hasDebugInfo };
}

/**
 * Takes the names of needed libraries out of `bytes`, in place. Bun has the C library loaded before
 * it loads this one, and the two C libraries of Linux go by different names.
 */
export function removeNeeded(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  for (const { at, tag } of dynamicEntries(view, readSections(view))) {
    if (tag === tagNeeded) view.setBigUint64(at, tagDebug, true);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readSections(view: DataView): Section[] {
  const start = Number(view.getBigUint64(40, true));
  const [size, count, names] = [58, 60, 62].map((at) => view.getUint16(at, true));
  const rows = Array.from({ length: count ?? 0 }, (_, i) => start + i * (size ?? 0));
  const offsetOf = (row: number): number => Number(view.getBigUint64(row + 24, true));
  const namesOffset = offsetOf(rows[names ?? 0] ?? 0);
  return rows.map((row) => ({
    name: textAt(view, namesOffset + view.getUint32(row, true)),
    type: view.getUint32(row + 4, true),
    offset: offsetOf(row),
    size: Number(view.getBigUint64(row + 32, true)),
    link: view.getUint32(row + 40, true),
  }));
}

/** Entries of the dynamic section; `names` is where the text that a value may name begins. */
function* dynamicEntries(
  view: DataView,
  sections: readonly Section[],
): Generator<{ at: number; tag: bigint; value: number; names: number }> {
  for (const { type, offset, size, link } of sections) {
    if (type !== sectionDynamic) continue;
    const names = sections[link]?.offset ?? 0;
    for (let at = offset; at < offset + size; at += dynamicSize) {
      const value = Number(view.getBigUint64(at + 8, true));
      yield { at, tag: view.getBigUint64(at, true), value, names };
    }
  }
}

function textAt(view: DataView, offset: number): string {
  let end = offset;
  while (view.getUint8(end) !== 0) end += 1;
  return new TextDecoder().decode(
    new Uint8Array(view.buffer, view.byteOffset + offset, end - offset),
  );
}
