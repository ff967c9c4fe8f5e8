/**
 * Snapshots of a receiver: the `aircraft.json` of readsb, dump1090 and their kin, one document or
 * one after the other. Each aircraft becomes one tab-separated line for the native parser, so that
 * what a column takes is decided in one place.
 *
 * What is measured is fitted to the column: speeds come in tenths, and a whole-number column gets
 * the nearest whole one. On the ground the altitude is 0. The identity is the callsign, or the
 * transponder's address while there is none.
 */
import { AerostoreError } from "../errors.ts";
import type { ColumnDefinition } from "../schema/column.ts";
import type { AnyTable } from "../schema/table.ts";
import { escapeTsv } from "./line-writer.ts";
import type { IngestReject } from "./rejects.ts";
import type { ChunkReader } from "./source.ts";

/** A document longer than this is a reject. */
const documentSizeMax = 64 << 20;

type Aircraft = Readonly<Record<string, unknown>>;
/** What an aircraft says for a column, or `undefined`. `now` is the snapshot's time in seconds. */
type Extract = (aircraft: Aircraft, now: number, column: ColumnDefinition) => string | undefined;

const numberOf =
  (...names: readonly string[]): Extract =>
  (aircraft, _now, column) => {
    for (const name of names) {
      const value = aircraft[name];
      if (value === "ground") return "0";
      if (typeof value === "number" && Number.isFinite(value)) return fitNumber(value, column);
    }
    return undefined;
  };

const textOf =
  (...names: readonly string[]): Extract =>
  (aircraft) => {
    for (const name of names) {
      const value = aircraft[name];
      const text = typeof value === "string" ? value.trim() : "";
      if (text !== "") return text;
    }
    return undefined;
  };

const seenAt: Extract = (aircraft, now, column) => {
  const age = aircraft["seen_pos"] ?? aircraft["seen"] ?? 0;
  if (typeof age !== "number" || !Number.isFinite(now - age)) return undefined;
  const seconds = now - age;
  return fitNumber(column.kind === "timestamp" ? Math.round(seconds * 1000) : seconds, column);
};

const identity = textOf("flight", "hex");
const latitude = numberOf("lat");
const longitude = numberOf("lon");
const altitude = numberOf("alt_baro", "alt_geom", "altitude");
const groundSpeed = numberOf("gs", "speed");
const track = numberOf("track", "true_heading", "mag_heading");
const verticalRate = numberOf("baro_rate", "geom_rate", "vert_rate");

/** What can be asked of an aircraft, by the names that a column may have. */
const extracts: ReadonlyMap<string, Extract> = new Map([
  ["flight_id", identity],
  ["flight", identity],
  ["ident", identity],
  ["callsign", textOf("flight")],
  ["hex", textOf("hex")],
  ["icao24", textOf("hex")],
  ["lat", latitude],
  ["latitude", latitude],
  ["lon", longitude],
  ["long", longitude],
  ["longitude", longitude],
  ["altitude", altitude],
  ["alt", altitude],
  ["alt_baro", altitude],
  ["alt_geom", numberOf("alt_geom")],
  ["gs", groundSpeed],
  ["groundspeed", groundSpeed],
  ["track", track],
  ["heading", track],
  ["baro_rate", verticalRate],
  ["vertical_rate", verticalRate],
  ["squawk", textOf("squawk")],
  ["category", textOf("category")],
  ["registration", textOf("r")],
  ["type", textOf("t")],
  ["rssi", numberOf("rssi")],
  ["updated_at", seenAt],
  ["updated", seenAt],
  ["ts", seenAt],
  ["timestamp", seenAt],
]);

/** Fields behind the columns of each line, ignored by the parser: where it came from. */
const originFields = 3;

/** What of a table readsb data fills. */
export interface ReadsbMapping {
  /** By position of the lines that `openReadsb` gives. */
  readonly positions: readonly (ColumnDefinition | undefined)[];
  readonly columns: readonly { readonly column: ColumnDefinition; readonly extract: Extract }[];
}

/**
 * Finds by name and alias which columns of `table` an aircraft can fill. **Throws** `UNKNOWN_FIELD`
 * when the key is none of them.
 */
export function mapReadsb(table: AnyTable): ReadsbMapping {
  const columns = table.columns.flatMap((column) => {
    const name = [column.name, ...column.aliases].find((each) => extracts.has(each));
    const extract = name === undefined ? undefined : extracts.get(name);
    return extract === undefined ? [] : [{ column, extract }];
  });
  if (columns[0]?.column !== table.key) {
    throw new AerostoreError(
      "UNKNOWN_FIELD",
      `readsb data has nothing for "${table.key.name}", the primary key of ${table.name}; ` +
        "name or alias it flight_id, callsign or hex",
      { table: table.name, column: table.key.name },
    );
  }
  const origin = new Array<undefined>(originFields).fill(undefined);
  return { positions: [...columns.map(({ column }) => column), ...origin], columns };
}

/** Where a line that `openReadsb` gave came from. */
export interface ReadsbOrigin {
  /** Line of the source on which the snapshot begins. */
  readonly line: number;
  /** Number of the aircraft in its snapshot, from 1. */
  readonly aircraft: number;
  /** The aircraft as JSON. */
  readonly text: string;
}

/** Reads the origin back from the raw line. */
export function originOf(line: string): ReadsbOrigin {
  const fields = line.split("\t").slice(-originFields);
  return {
    line: Number(fields[0] ?? 0),
    aircraft: Number(fields[1] ?? 0),
    text: fields[2] ?? "",
  };
}

/**
 * The aircraft of `reader`'s snapshots as lines. A snapshot that cannot be read goes to `onReject`
 * and the next one is looked for. Memory: one snapshot.
 */
export function openReadsb(
  reader: ChunkReader,
  mapping: ReadsbMapping,
  onReject: (reject: IngestReject) => void,
): ChunkReader {
  const splitter = new DocumentSplitter((line, reason, text) =>
    onReject({ line, column: undefined, field: undefined, code: "malformed", reason, text }),
  );
  const raw = new Uint8Array(64 * 1024);
  let lines: Uint8Array = new Uint8Array(0);
  let ended = false;
  const read = async (target: Uint8Array): Promise<number> => {
    while (lines.length === 0 && !ended) {
      const size = await reader.read(raw);
      ended = size === 0;
      const documents = ended ? splitter.end() : splitter.push(raw.subarray(0, size));
      const texts = documents.map(({ line, text }) => {
        const aircraft = parseSnapshot(text);
        if (typeof aircraft !== "string") return formatLines(mapping, line, aircraft);
        onReject({
          line,
          column: undefined,
          field: undefined,
          code: "malformed",
          reason: aircraft,
          text: text.slice(0, 1000),
        });
        return "";
      });
      lines = Buffer.from(texts.join(""));
    }
    const piece = lines.subarray(0, target.length);
    target.set(piece);
    lines = lines.subarray(piece.length);
    return piece.length;
  };
  return { totalBytes: undefined, live: reader.live, read, close: () => reader.close() };
}

interface Snapshot {
  readonly now: number;
  readonly aircraft: readonly unknown[];
}

/** The snapshot, or what is wrong with it. */
function parseSnapshot(text: string): Snapshot | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return "malformed JSON";
  }
  if (!isRecord(json)) return "not a JSON object";
  const { now, aircraft } = json as { now?: unknown; aircraft?: unknown };
  if (!Array.isArray(aircraft)) return 'a snapshot has a list "aircraft"';
  if (typeof now !== "number") return 'a snapshot has its time in seconds, "now"';
  return { now, aircraft };
}

function formatLines(mapping: ReadsbMapping, line: number, snapshot: Snapshot): string {
  let out = "";
  for (const [index, each] of snapshot.aircraft.entries()) {
    const aircraft = isRecord(each) ? each : {};
    for (const { column, extract } of mapping.columns) {
      const value = extract(aircraft, snapshot.now, column);
      out += `${value === undefined ? absent(column) : escapeTsv(value)}\t`;
    }
    out += `${line}\t${index + 1}\t${JSON.stringify(each)}\n`;
  }
  return out;
}

function absent(column: ColumnDefinition): string {
  return column.nullable ? "\\N" : "";
}

/** As many decimals as the column holds. */
function fitNumber(value: number, column: ColumnDefinition): string {
  if (column.kind === "f32" || column.kind === "f64") return String(value);
  return value.toFixed(column.scale);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Document {
  readonly line: number;
  readonly text: string;
}

/** Cuts a stream of bytes into JSON objects by their braces. */
class DocumentSplitter {
  readonly #onBad: (line: number, reason: string, text: string) => void;
  #pieces: Uint8Array[] = [];
  #size = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Outside a document, in text that starts none: up to the line's end. */
  #junk = false;
  #line = 1;
  #startLine = 1;

  constructor(onBad: (line: number, reason: string, text: string) => void) {
    this.#onBad = onBad;
  }

  push(bytes: Uint8Array): Document[] {
    const documents: Document[] = [];
    let start = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      if (byte === 0x0a) this.#line += 1;
      if (this.#depth === 0) {
        if (byte === 0x7b && !this.#junk) {
          this.#depth = 1;
          this.#startLine = this.#line;
          start = at;
        } else if (byte === 0x0a) {
          this.#junk = false;
        } else if (byte > 0x20 && !this.#junk) {
          this.#junk = true;
          const rest = Buffer.from(bytes.subarray(at, at + 80)).toString();
          this.#onBad(this.#line, "a snapshot is a JSON object", rest.split("\n", 1)[0] ?? "");
        }
      } else if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === 0x5c) this.#escaped = true;
        else if (byte === 0x22) this.#inString = false;
      } else if (byte === 0x22) {
        this.#inString = true;
      } else if (byte === 0x7b) {
        this.#depth += 1;
      } else if (byte === 0x7d) {
        this.#depth -= 1;
        if (this.#depth === 0) documents.push(this.#take(bytes.subarray(start, at + 1)));
      }
    }
    if (this.#depth > 0) this.#keep(bytes.slice(start));
    return documents;
  }

  end(): Document[] {
    if (this.#depth === 0) return [];
    const { line, text } = this.#take(new Uint8Array(0));
    this.#reset();
    this.#onBad(line, "the snapshot is cut off", text.slice(0, 1000));
    return [];
  }

  #keep(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#size += bytes.length;
    if (this.#size <= documentSizeMax) return;
    this.#onBad(this.#startLine, "a snapshot longer than 64 MiB", "");
    this.#reset();
    this.#junk = true;
  }

  #take(last: Uint8Array): Document {
    const text = Buffer.concat([...this.#pieces, last]).toString("utf8");
    this.#pieces = [];
    this.#size = 0;
    return { line: this.#startLine, text };
  }

  #reset(): void {
    this.#pieces = [];
    this.#size = 0;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
  }
}
