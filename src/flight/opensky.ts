/**
 * State vectors of the OpenSky Network: its API's `{"time":…,"states":[[…]]}` with 17 or 18 fields,
 * and the CSV of its history. Metres become feet, metres a second knots and feet a minute; columns
 * that have OpenSky's own names (`baro_altitude`, `velocity`) take them as they stand.
 */
import { splitFields } from "../ingest/dialect.ts";
import { DocumentSplitter } from "../ingest/documents.ts";
import {
  isNumber,
  JsonText,
  placeOf,
  readElements,
  readString,
  writeString,
} from "../ingest/json-text.ts";
import type { Origin, ReaderTarget, RecordReader, RecordSink } from "../ingest/records.ts";
import { LineSplitter } from "./lines.ts";
import {
  implausible,
  isPlausible,
  mapObservations,
  type Mapping,
  millisOf,
} from "./observation.ts";

const fieldNames = [
  "icao24",
  "callsign",
  "origin_country",
  "time_position",
  "last_contact",
  "longitude",
  "latitude",
  "baro_altitude",
  "on_ground",
  "velocity",
  "true_track",
  "vertical_rate",
  "sensors",
  "geo_altitude",
  "squawk",
  "spi",
  "position_source",
  "category",
] as const;
const fieldsMin = 17;

/** Names of the history's CSV for the same fields. */
const historyNames: Readonly<Record<string, string>> = {
  lat: "latitude",
  lon: "longitude",
  heading: "true_track",
  vertrate: "vertical_rate",
  onground: "on_ground",
  baroaltitude: "baro_altitude",
  geoaltitude: "geo_altitude",
  lastposupdate: "time_position",
  lastcontact: "last_contact",
};

const sources = ["adsb_icao", "asterix", "mlat", "flarm"] as const;
const categories = "null A0 A1 A2 A3 A4 A5 A6 A7 B1 B2 B3 B4 B5 B6 B7 C1 C2 C3 C4 C5".split(" ");

const feetPerMetre = 1 / 0.3048;
const knotsPerMetreASecond = 3600 / 1852;

type Fields = ReadonlyMap<string, string>;

/** Gives the maker of a reader. **Throws** `UNKNOWN_FIELD`. */
export function openOpensky(target: ReaderTarget): (sink: RecordSink) => RecordReader {
  const mapping = mapObservations(target, "opensky");
  return (sink) => {
    let reader: RecordReader | undefined;
    const early: Uint8Array[] = [];
    const choose = (final: boolean): void => {
      const head = Buffer.concat(early)
        .toString("latin1")
        .replace(/^\u00ef\u00bb\u00bf/, "");
      const first = /\S/.exec(head)?.[0];
      if (first === undefined && !final) return;
      reader = first === "{" ? readStates(mapping, sink) : readHistory(mapping, sink);
      for (const piece of early) reader.push(piece);
    };
    return {
      push: (bytes) => {
        if (reader !== undefined) {
          reader.push(bytes);
          return;
        }
        early.push(bytes.slice());
        if (early.reduce((size, piece) => size + piece.length, 0) > 3) choose(false);
      },
      end: () => {
        if (reader === undefined) choose(true);
        return reader?.end();
      },
    };
  };
}

function readStates(mapping: Mapping, sink: RecordSink): RecordReader {
  const splitter = new DocumentSplitter(["time", "states"], {
    document: ({ text, line }) => readDocument(mapping, sink, { line, column: undefined, text }),
    junk: (line, text) => {
      sink.refuse("state vectors are a JSON object", { line, column: undefined, text });
    },
    tooLong: (line) => {
      sink.refuse("state vectors longer than 64 MiB", { line, column: undefined, text: "" });
    },
  });
  return { push: (bytes) => splitter.push(bytes), end: () => splitter.end() };
}

function readDocument(mapping: Mapping, sink: RecordSink, origin: Origin): void {
  const { text, line } = origin;
  const json = new JsonText(text);
  const rows: (() => void)[] = [];
  let hasStates = false;
  const refuse = (): void => {
    const place = placeOf(text, json.at, line);
    const what = json.at >= text.length ? "the states are cut off" : "malformed JSON";
    sink.refuse(`${what} at ${place}`, origin);
  };
  if (!json.take(0x7b)) return refuse();
  json.space();
  while (!json.take(0x7d)) {
    const name = json.name();
    if (name === undefined) return refuse();
    if (name === "states") hasStates = true;
    if (name === "states" && json.byte === 0x5b) {
      const isEnded = readElements(json, ({ text: state, number, fault }) => {
        const from = { line, column: number, text: state };
        rows.push(() => {
          if (fault !== undefined) {
            sink.refuse(`malformed JSON at ${placeOf(text, fault, line)}`, from);
          } else {
            readState(mapping, sink, state, from);
          }
        });
      });
      if (!isEnded) return refuse();
    } else if (!json.value(1)) {
      return refuse();
    }
    json.space();
    if (json.take(0x2c)) json.space();
    else if (json.byte !== 0x7d) return refuse();
  }
  if (!hasStates) return sink.refuse('state vectors have a list "states"', origin);
  for (const row of rows) row();
}

function readState(mapping: Mapping, sink: RecordSink, text: string, origin: Origin): void {
  const fields = new Map<string, string>();
  let count = 0;
  if (text.startsWith("[")) {
    readElements(new JsonText(text), ({ text: value }) => {
      const name = fieldNames[count];
      count += 1;
      if (name !== undefined && value !== "null") fields.set(name, value);
    });
  }
  if (count < fieldsMin) {
    sink.refuse(`a state is a list of ${fieldsMin} or 18 fields; this has ${count}`, origin);
    return;
  }
  observe(mapping, sink, fields, origin);
}

function readHistory(mapping: Mapping, sink: RecordSink): RecordReader {
  const marks = { separator: ",", quote: '"', escapes: false };
  let names: readonly string[] | undefined;
  const lines = new LineSplitter((text, line) => {
    const values = splitFields(text, marks).map((value) => value.trim());
    if (names === undefined) {
      names = values.map((name) => historyNames[name.toLowerCase()] ?? name.toLowerCase());
      return;
    }
    const origin = { line, column: undefined, text };
    if (values.length !== names.length) {
      sink.refuse(`the line has ${values.length} fields, its header ${names.length}`, origin);
      return;
    }
    const fields = new Map<string, string>();
    for (const [index, name] of names.entries()) {
      const value = values[index] ?? "";
      if (value === "" || /^(?:null|nan|none|na)$/i.test(value)) continue;
      fields.set(name, isNumber(value) ? value : latinString(value));
    }
    observe(mapping, sink, fields, origin);
  });
  return { push: (bytes) => lines.push(bytes), end: () => lines.end() };
}

/** Text whose bytes are characters already, as a JSON string. */
function latinString(latin: string): string {
  return writeString(Buffer.from(latin, "latin1").toString("utf8"));
}

function observe(mapping: Mapping, sink: RecordSink, own: Fields, origin: Origin): void {
  const updatedMs = timeOf(own, "last_contact") ?? timeOf(own, "time");
  const positionMs = timeOf(own, "time_position") ?? updatedMs;
  for (const time of [updatedMs, positionMs]) {
    if (time === undefined || isPlausible(time)) continue;
    sink.refuse(implausible("last_contact or time_position", String(time / 1000)), origin);
    return;
  }
  const lat = numberOf(own, "latitude");
  const lon = numberOf(own, "longitude");
  const onGround = boolOf(own.get("on_ground"));
  const altitude = convert(own, "baro_altitude", feetPerMetre);
  const hex = textOf(own.get("icao24"))?.toLowerCase();
  const line = mapping.line({
    own,
    hex: hex === "null" ? undefined : hex,
    flight: textOf(own.get("callsign")),
    lat,
    lon,
    altitude: altitude ?? (onGround === "true" ? "null" : undefined),
    geom_altitude: convert(own, "geo_altitude", feetPerMetre),
    gs: convert(own, "velocity", knotsPerMetreASecond),
    track: numberOf(own, "true_track"),
    vertical_rate: convert(own, "vertical_rate", 60 * feetPerMetre),
    squawk: squawkOf(own.get("squawk")),
    category: categoryOf(own.get("category")),
    on_ground: onGround,
    source: sourceOf(own.get("position_source")),
    updatedMs,
    ...(lat === undefined && lon === undefined ? {} : { positionMs }),
  });
  sink.row(line, origin);
}

function timeOf(own: Fields, name: string): number | undefined {
  const text = numberOf(own, name);
  return text === undefined ? undefined : millisOf(Number(text));
}

function numberOf(own: Fields, name: string): string | undefined {
  const raw = own.get(name);
  if (raw === undefined) return undefined;
  const text = raw.startsWith('"') ? raw.slice(1, -1).trim() : raw;
  return isNumber(text) ? text : undefined;
}

/** A measured number in other units, to four decimals. */
function convert(own: Fields, name: string, factor: number): string | undefined {
  const text = numberOf(own, name);
  return text === undefined ? undefined : (Number(text) * factor).toFixed(4);
}

function textOf(raw: string | undefined): string | undefined {
  if (raw === undefined) return undefined;
  if (!raw.startsWith('"')) return writeString(raw);
  const text = readString(raw).trim();
  return text === "" ? "null" : writeString(text);
}

/** Tables of numbers write it without its zeros, or with a point. */
function squawkOf(raw: string | undefined): string | undefined {
  const text = textOf(raw);
  const digits = text === undefined ? undefined : /^"([0-7]{1,4})(?:\.0+)?"$/.exec(text)?.[1];
  return digits === undefined ? text : `"${digits.padStart(4, "0")}"`;
}

function boolOf(raw: string | undefined): string | undefined {
  const text = raw?.replaceAll('"', "").toLowerCase();
  if (text === "true" || text === "1" || text === "t") return "true";
  return text === "false" || text === "0" || text === "f" ? "false" : undefined;
}

function sourceOf(raw: string | undefined): string | undefined {
  const name = raw === undefined ? undefined : sources[Number(raw)];
  return name === undefined ? undefined : `"${name}"`;
}

function categoryOf(raw: string | undefined): string | undefined {
  const name = raw === undefined ? undefined : categories[Number(raw)];
  return name === undefined || name === "null" ? undefined : `"${name}"`;
}
