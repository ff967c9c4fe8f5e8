/**
 * Whether a segment's header is one that this engine can attach to, decided from its bytes and the
 * layout that the library describes. Pure; the engine checks again, with the checksum, when it
 * maps.
 */

import { limits, segmentFormat } from "../ffi/constants.gen.ts";

/** One struct of the library's manifest. */
export interface StructLayout {
  readonly size: number;
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly size: number }>>;
}

/** The structs that a header is read by. */
export interface SegmentLayouts {
  readonly header: StructLayout;
  readonly geometry: StructLayout;
  readonly sessionSlot: StructLayout;
}

/** What a segment must say of itself to be ours. */
export interface HeaderExpectation {
  readonly formatVersion: number;
  /** Of this build's shared structures: its bytes as hexadecimal digits. */
  readonly fingerprint: string;
  /** 16 bytes, as hexadecimal digits. */
  readonly databaseId: string;
  /** Of the running kernel, likewise. */
  readonly bootId: string;
  /** Of the data directory, whose bytes the sessions hold, likewise. */
  readonly lockFile: string;
  /** Bytes of the segment file. */
  readonly fileSize: number;
}

/** What a header says that boot goes by when it cannot attach. */
export interface HeaderFacts {
  readonly bootId: string;
  /** Another database has it, or this one in another data directory, of which ours is a copy. */
  readonly isForeign: boolean;
  readonly sessionsOffset: number;
  readonly sessionCount: number;
  /** Bytes of the segment. */
  readonly size: number;
  readonly databaseId: string;
  /** The data directory when the segment was made; empty when its path was too long. */
  readonly directory: string;
  /** Every commit has been written to the log file. */
  readonly durable: boolean;
  /** A sync of the log failed: what the log has is to be read anew from the disk. */
  readonly poisoned: boolean;
  /** The last one that used it closed it in order, and nobody has opened it since. */
  readonly wasClosed: boolean;
  /** Its structures may not be those of this build. */
  readonly isOtherBuild: boolean;
}

export type HeaderVerdict =
  | { readonly kind: "valid"; readonly facts: HeaderFacts }
  /** A header of this version, not to be attached. */
  | { readonly kind: "unfit"; readonly reason: string; readonly facts: HeaderFacts }
  /** Not a header whose fields could be believed. */
  | { readonly kind: "unreadable"; readonly reason: string; readonly isNewer?: true };

export const segmentMagic: number = segmentFormat.magic;
/** A version number from here on is damage. */
const versionsMax = 1_000;
const { pageSize } = limits;
/** Regions in the order in which they lie: offset field, count field, bytes of an element. */
const regions: readonly (readonly [offset: string, count: string, elementSize: number])[] = [
  ["sessions_offset", "session_count", 0],
  ["cells_offset", "cell_count", segmentFormat.cellSize],
  ["latches_offset", "latch_count", segmentFormat.latchSize],
  ["outcomes_offset", "outcome_count", segmentFormat.outcomeSize],
  ["catalog_offset", "", segmentFormat.catalogSlotSize],
  ["pages_offset", "page_count", segmentFormat.pageEntrySize],
  ["extents_offset", "extent_count", segmentFormat.extentEntrySize],
  ["depot_offset", "depot_count", segmentFormat.depotCellSize],
  ["arena_offset", "", 1],
];
/** Judges the first bytes of a segment file. Never throws, whatever the bytes are. */
export function validateHeader(
  bytes: Uint8Array,
  layouts: SegmentLayouts,
  expected: HeaderExpectation,
): HeaderVerdict {
  const { header, geometry } = layouts;
  if (bytes.length < header.size) {
    return { kind: "unreadable", reason: `the segment ends after ${bytes.length} bytes` };
  }
  const read = fieldReader(bytes, header, 0);
  const readGeometry = fieldReader(bytes, geometry, header.fields["geometry"]?.offset ?? 0);
  const magic = read("magic");
  if (magic !== segmentMagic) {
    return { kind: "unreadable", reason: `its magic number is 0x${magic.toString(16)}` };
  }
  const version = read("format_version");
  if (version !== expected.formatVersion) {
    const reason = `its format version is ${version}, this engine's is ${expected.formatVersion}`;
    const isNewer = version > expected.formatVersion && version < versionsMax;
    return { kind: "unreadable", reason, ...(isNewer ? { isNewer } : {}) };
  }
  const damage = checkGeometry(readGeometry, layouts, expected.fileSize);
  if (damage !== undefined) return { kind: "unreadable", reason: damage };

  const tail = read("tail");
  const durable = read("durable");
  const drained = readCsn(bytes, header, "drained");
  const firstCsn = read("first_csn");
  const isOtherDatabase = readHex(bytes, header, "database_id") !== expected.databaseId;
  const facts: HeaderFacts = {
    bootId: readHex(bytes, header, "boot_id"),
    isForeign: isOtherDatabase || readHex(bytes, header, "lock_file") !== expected.lockFile,
    sessionsOffset: readGeometry("sessions_offset"),
    sessionCount: readGeometry("session_count"),
    size: readGeometry("size"),
    databaseId: readHex(bytes, header, "database_id"),
    directory: readText(bytes, header, "directory"),
    durable: durable >= tail,
    poisoned: read("log_poisoned") !== 0,
    wasClosed: read("clean_shutdown") % 2 === 1,
    isOtherBuild: readHex(bytes, header, "fingerprint") !== expected.fingerprint,
  };
  const unfit = (reason: string): HeaderVerdict => ({ kind: "unfit", reason, facts });
  if (facts.isOtherBuild) return unfit("another build of the engine made it");
  if (isOtherDatabase) return unfit("it belongs to another database");
  if (facts.bootId !== expected.bootId) return unfit("it is from before the machine's last start");
  if (facts.isForeign) return unfit("it belongs to another copy of the data directory");
  if (facts.poisoned) return unfit("a sync of its log had failed");
  if (firstCsn === 0 || tail < firstCsn || drained > tail || durable > tail) {
    return unfit(`its commit numbers disagree (${firstCsn}, ${drained}, ${durable}, ${tail})`);
  }
  return { kind: "valid", facts };
}

function checkGeometry(
  read: (name: string) => number,
  layouts: SegmentLayouts,
  fileSize: number,
): string | undefined {
  const size = read("size");
  if (size !== fileSize) return `it should have ${size} bytes and has ${fileSize}`;
  let end = layouts.header.size;
  let last = "header";
  for (const [name, countName, elementSize] of regions) {
    const offset = read(name);
    const count = countName === "" ? 1 : read(countName);
    if (count === 0) return `${countName} is 0`;
    if (offset % pageSize !== 0) return `${name} (${offset}) is not aligned`;
    if (offset < end) return `${name} (${offset}) overlaps ${last}, which ends at ${end}`;
    end = offset + count * (elementSize === 0 ? layouts.sessionSlot.size : elementSize);
    last = name;
    if (end > size) return `${name} ends at ${end}, behind the segment`;
  }
  return undefined;
}

/** The lower 52 bits of a field with an epoch above its CSN: a double could not hold all 64. */
function readCsn(bytes: Uint8Array, layout: StructLayout, name: string): number {
  const at = layout.fields[name]?.offset ?? 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (view.getUint32(at + 4, true) & 0xf_ffff) * 2 ** 32 + view.getUint32(at, true);
}

/**
 * Reads unsigned fields by name; what is beyond 2^53 loses its low bits, and is out of all bounds.
 * **Throws** `Error` for a name that the layout does not have.
 */
function fieldReader(
  bytes: Uint8Array,
  layout: StructLayout,
  base: number,
): (name: string) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (name) => {
    const field = layout.fields[name];
    if (field === undefined) throw new Error(`the library describes no field "${name}"`);
    const at = base + field.offset;
    const low = view.getUint32(at, true);
    return field.size === 8 ? view.getUint32(at + 4, true) * 2 ** 32 + low : low;
  };
}

function readHex(bytes: Uint8Array, layout: StructLayout, name: string): string {
  const field = layout.fields[name];
  if (field === undefined) throw new Error(`the library describes no field "${name}"`);
  return bytes.subarray(field.offset, field.offset + field.size).toHex();
}

/** Text with zeros after it; empty where the layout does not have it. */
function readText(bytes: Uint8Array, layout: StructLayout, name: string): string {
  const field = layout.fields[name];
  if (field === undefined) return "";
  const text = bytes.subarray(field.offset, field.offset + field.size);
  const end = text.indexOf(0);
  return new TextDecoder().decode(text.subarray(0, end < 0 ? text.length : end));
}

/** Pids of attached slots, given the bytes of the process array, for the question who uses it. */
export function attachedPids(slots: Uint8Array, layout: StructLayout): number[] {
  const pids = new Set<number>();
  for (let base = 0; base + layout.size <= slots.length; base += layout.size) {
    const read = fieldReader(slots, layout, base);
    if (read("attached") !== 0) pids.add(read("pid"));
  }
  return [...pids];
}
