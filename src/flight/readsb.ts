/**
 * Aircraft as readsb, dump1090 and the services built on them write them: snapshots
 * (`{"now":…,"aircraft":[…]}`, `{"ac":[…],"now":…}` in milliseconds), one after the other; lists of
 * aircraft; one aircraft on a line.
 *
 * The time of a row is that of its last message, `now - seen`; a position has its own, `now -
 * seen_pos`. Without a position now, `lastPosition` is taken with its age, else the rough one of
 * the receiver (`rr_lat`, `rr_lon`). A position that `validposition` calls invalid is none.
 */
import { DocumentSplitter } from "../ingest/documents.ts";
import {
  isNumber,
  JsonText,
  placeOf,
  readElements,
  readString,
  resumeElements,
  writeString,
} from "../ingest/json-text.ts";
import type { ListElement } from "../ingest/json-text.ts";
import type { Origin, ReaderTarget, RecordReader, RecordSink } from "../ingest/records.ts";
import {
  implausible,
  isPlausible,
  mapObservations,
  type Mapping,
  millisOf,
  type Observation,
} from "./observation.ts";

/** Names that only snapshots begin with. */
const heads = [
  "now",
  "ac",
  "aircraft",
  "messages",
  "msg",
  "total",
  "ctime",
  "ptime",
  "resultCount",
];

type Members = ReadonlyMap<string, string>;

/** Gives the maker of a reader. **Throws** `UNKNOWN_FIELD`. */
export function openReadsb(target: ReaderTarget): (sink: RecordSink) => RecordReader {
  const mapping = mapObservations(target, "readsb");
  return (sink) => {
    const splitter = new DocumentSplitter(heads, {
      document: ({ text, line, element, whole }) => {
        const origin = { line, column: element === 0 ? undefined : element, text };
        if (whole && !/"(?:ac|aircraft)"\s*:\s*\[/.test(text)) {
          readSingle(mapping, sink, origin);
        } else {
          readSnapshot(mapping, sink, origin);
        }
      },
      junk: (line, text) => {
        sink.refuse("a snapshot is a JSON object", { line, column: undefined, text });
      },
      tooLong: (line) => {
        sink.refuse("a snapshot longer than 64 MiB", { line, column: undefined, text: "" });
      },
    });
    return { push: (bytes) => splitter.push(bytes), end: () => splitter.end() };
  };
}

/** An object that stands by itself: an aircraft. */
function readSingle(mapping: Mapping, sink: RecordSink, origin: Origin): void {
  const members = membersOf(origin.text);
  if (!members.has("hex") && !members.has("icao24")) {
    const isSnapshot = [...members.keys()].some((name) => heads.includes(name));
    sink.refuse(
      isSnapshot ? 'a snapshot has a list "aircraft"' : 'an aircraft has its address, "hex"',
      origin,
    );
    return;
  }
  const now = readTime(members.get("now"));
  if (typeof now === "string") sink.refuse(now, origin);
  else readAircraft(mapping, sink, members, now, origin);
}

function readSnapshot(mapping: Mapping, sink: RecordSink, origin: Origin): void {
  const { text, line } = origin;
  const { members, elements, fault } = splitSnapshot(text);
  if (fault !== undefined) {
    const place = placeOf(text, Math.min(fault, text.length), line);
    const what = fault >= text.length ? "the snapshot is cut off" : "malformed JSON";
    sink.refuse(`${what} at ${place}`, origin);
    return;
  }
  const now = readTime(members.get("now"));
  if (typeof now === "string") {
    sink.refuse(now, origin);
    return;
  }
  for (const element of elements) {
    const from = { line, column: element.number, text: element.text };
    if (element.fault !== undefined) {
      sink.refuse(`malformed JSON at ${placeOf(text, element.fault, line)}`, from);
    } else {
      readAircraft(mapping, sink, membersOf(element.text), now, from);
    }
  }
}

interface Snapshot {
  readonly members: Map<string, string>;
  readonly elements: readonly ListElement[];
  /** Where it is malformed beyond one aircraft. */
  readonly fault: number | undefined;
}

/** The members of a snapshot, and the elements of its list. */
function splitSnapshot(text: string): Snapshot {
  const members = new Map<string, string>();
  const elements: ListElement[] = [];
  const json = new JsonText(text);
  const keep = (element: ListElement): unknown => elements.push(element);
  let listEnd = -1;
  /** Whether the list goes on after what seemed to be its end: a bracket too many is there. */
  const resumes = (): boolean => listEnd >= 0 && resumeElements(json, listEnd, elements, keep);
  if (!json.take(0x7b)) return { members, elements, fault: json.at };
  json.space();
  while (true) {
    if (json.take(0x7d)) {
      json.space();
      if (json.at >= json.end) break;
      const fault = json.at;
      if (!resumes()) {
        keep({ text: text.slice(fault), number: elements.length + 1, fault });
        break;
      }
      listEnd = json.at;
      json.space();
      if (json.take(0x2c)) json.space();
      continue;
    }
    const name = json.name();
    let isRead = name !== undefined;
    if ((name === "aircraft" || name === "ac") && json.byte === 0x5b) {
      isRead = readElements(json, keep);
      listEnd = json.at;
    } else if (name !== undefined) {
      const start = json.at;
      isRead = json.value(1);
      members.set(name, text.slice(start, json.at));
    }
    json.space();
    if (isRead && json.take(0x2c)) json.space();
    else if (!isRead || json.byte !== 0x7d) {
      const fault = json.at;
      if (!resumes()) return { members, elements, fault };
      listEnd = json.at;
      json.space();
      if (json.take(0x2c)) json.space();
    }
  }
  return { members, elements, fault: undefined };
}

/** The members of an object that is well formed; of anything else, none. */
function membersOf(text: string): Members {
  const members = new Map<string, string>();
  new JsonText(text).members((name, start, end) => members.set(name, text.slice(start, end)));
  return members;
}

/** The time of a snapshot in milliseconds, or what is wrong with it. */
function readTime(raw: string | undefined): number | undefined | string {
  if (raw === undefined || raw === "null") return undefined;
  const value = numberOf(raw);
  if (value === undefined) return 'a snapshot has its time in seconds, "now"';
  const millis = millisOf(value);
  return isPlausible(millis) ? millis : implausible("now", raw);
}

function readAircraft(
  mapping: Mapping,
  sink: RecordSink,
  members: Members,
  now: number | undefined,
  origin: Origin,
): void {
  const seen = observe(members, now);
  for (const time of [seen.updatedMs, seen.positionMs]) {
    if (time === undefined || isPlausible(time)) continue;
    sink.refuse(implausible("now - seen", String(time / 1000)), origin);
    return;
  }
  sink.row(mapping.line(seen), origin);
}

function observe(own: Members, now: number | undefined): Observation {
  const position = positionOf(own, now);
  const barometric = firstOf(own, "alt_baro", "altitude");
  const isGround = barometric === '"ground"';
  const altitude = numberText(barometric) ?? (isGround ? "null" : undefined);
  const onGround = isGround ? "true" : numberText(barometric) === undefined ? undefined : "false";
  return {
    own,
    hex: addressOf(own),
    flight: textOf(own.get("flight")),
    ...position,
    altitude,
    geom_altitude: firstNumber(own, "alt_geom"),
    gs: firstNumber(own, "gs", "speed"),
    track: isFalse(own.get("validtrack"))
      ? undefined
      : firstNumber(own, "track", "true_heading", "mag_heading"),
    vertical_rate: firstNumber(own, "baro_rate", "geom_rate", "vert_rate"),
    squawk: squawkOf(own.get("squawk")),
    emergency: textOf(own.get("emergency")),
    category: textOf(own.get("category")),
    registration: textOf(own.get("r")),
    type: textOf(own.get("t")),
    on_ground: onGround,
    source: textOf(own.get("type")),
    rssi: firstNumber(own, "rssi"),
    updatedMs: before(now, own.get("seen")),
  };
}

function positionOf(
  own: Members,
  now: number | undefined,
): Pick<Observation, "lat" | "lon" | "positionMs"> {
  const isInvalid = isFalse(own.get("validposition"));
  const lat = numberText(own.get("lat"));
  const lon = numberText(own.get("lon"));
  if ((lat !== undefined || lon !== undefined) && !isInvalid) {
    return { lat, lon, positionMs: before(now, own.get("seen_pos") ?? own.get("seen")) };
  }
  const last = membersOf(own.get("lastPosition") ?? "");
  const lastLat = numberText(last.get("lat"));
  const lastLon = numberText(last.get("lon"));
  if (lastLat !== undefined && lastLon !== undefined) {
    return { lat: lastLat, lon: lastLon, positionMs: before(now, last.get("seen_pos")) };
  }
  const roughLat = numberText(own.get("rr_lat"));
  const roughLon = numberText(own.get("rr_lon"));
  if (roughLat === undefined || roughLon === undefined) return {};
  return { lat: roughLat, lon: roughLon, positionMs: before(now, own.get("seen")) };
}

/** The time `age` seconds before `now`. */
function before(now: number | undefined, age: string | undefined): number | undefined {
  return now === undefined ? undefined : now - (numberOf(age ?? "0") ?? 0) * 1000;
}

function firstOf(own: Members, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = own.get(name);
    if (value !== undefined && value !== "null") return value;
  }
  return undefined;
}

function firstNumber(own: Members, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = numberText(own.get(name));
    if (value !== undefined) return value;
  }
  return undefined;
}

/** A number as it stands, also in quotes; `undefined` for anything else. */
function numberText(raw: string | undefined): string | undefined {
  if (raw === undefined) return undefined;
  const text = raw.startsWith('"') ? raw.slice(1, -1).trim() : raw;
  return isNumber(text) ? text : undefined;
}

function numberOf(raw: string): number | undefined {
  const text = numberText(raw);
  return text === undefined ? undefined : Number(text);
}

function isFalse(raw: string | undefined): boolean {
  return raw === "0" || raw === "false";
}

/** Text without the space around it; null when nothing is left. */
function textOf(raw: string | undefined): string | undefined {
  if (raw === undefined || raw === "null") return undefined;
  if (!raw.startsWith('"')) return raw;
  const text = readString(raw).trim();
  return text === "" ? "null" : writeString(text);
}

/** Four octal digits, also of a number that has lost its leading zeros. */
function squawkOf(raw: string | undefined): string | undefined {
  const text = textOf(raw);
  return text !== undefined && /^[0-7]{1,3}$/.test(text) ? `"${text.padStart(4, "0")}"` : text;
}

/** In lower case. */
function addressOf(own: Members): string | undefined {
  const text = textOf(firstOf(own, "hex", "icao24"));
  return text === undefined || text === "null" ? undefined : text.toLowerCase();
}
