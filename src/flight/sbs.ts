/**
 * BaseStation lines (port 30003): each `MSG` has a part of what is known of an aircraft, by its
 * kind, and the parts meet in the row of its address. `SEL` and `ID` bring callsigns. `AIR`, `STA`
 * and `CLK` say nothing of an aircraft's state and are passed over.
 */
import { isNumber, writeString } from "../ingest/json-text.ts";
import type { Origin, ReaderTarget, RecordReader, RecordSink } from "../ingest/records.ts";
import { LineSplitter } from "./lines.ts";
import { implausible, isPlausible, mapObservations, type Mapping } from "./observation.ts";

/** Fields of a `MSG`, by position. */
const names = [
  "message_type",
  "transmission_type",
  "session_id",
  "aircraft_id",
  "hex_ident",
  "flight_id",
  "generated_date",
  "generated_time",
  "logged_date",
  "logged_time",
  "callsign",
  "altitude",
  "ground_speed",
  "track",
  "lat",
  "lon",
  "vertical_rate",
  "squawk",
  "alert",
  "emergency",
  "spi",
  "is_on_ground",
] as const;

type Name = (typeof names)[number];

/** Fewer fields are no message. */
const fieldsMin = 10;

/** Gives the maker of a reader. **Throws** `UNKNOWN_FIELD`. */
export function openSbs(target: ReaderTarget): (sink: RecordSink) => RecordReader {
  const mapping = mapObservations(target, "sbs");
  return (sink) => {
    const lines = new LineSplitter((text, line) => {
      readMessage(mapping, sink, { line, column: undefined, text });
    });
    return { push: (bytes) => lines.push(bytes), end: () => lines.end() };
  };
}

function readMessage(mapping: Mapping, sink: RecordSink, origin: Origin): void {
  const fields = origin.text.split(",").map((field) => field.trim());
  const kind = fields[0] ?? "";
  if (kind === "STA" || kind === "AIR" || kind === "CLK") return;
  const isMessage = kind === "MSG" && /^[1-8]$/.test(fields[1] ?? "");
  if (!isMessage && kind !== "SEL" && kind !== "ID") {
    sink.refuse('a line is "MSG" with a kind from 1 to 8, SEL, ID, AIR, STA or CLK', origin);
    return;
  }
  if (fields.length < fieldsMin || fields.length > names.length) {
    sink.refuse(`a message has up to ${names.length} fields; this has ${fields.length}`, origin);
    return;
  }
  const value = (name: Name): string => fields[names.indexOf(name)] ?? "";
  const hex = value("hex_ident").toLowerCase();
  if (!/^~?[0-9a-f]{1,8}$/.test(hex)) {
    const found = JSON.stringify(value("hex_ident"));
    sink.refuse(`the address, field 5, is hexadecimal; not ${found}`, origin);
    return;
  }
  const time = timeOf(value, "generated") ?? timeOf(value, "logged");
  if (typeof time === "string") {
    sink.refuse(time, origin);
    return;
  }
  const faulty = (
    ["altitude", "ground_speed", "track", "lat", "lon", "vertical_rate"] as const
  ).find((name) => value(name) !== "" && !isNumber(plain(value(name))));
  if (faulty !== undefined) {
    const found = JSON.stringify(value(faulty));
    sink.refuse(`field ${names.indexOf(faulty) + 1}, ${faulty}: ${found} is not a number`, origin);
    return;
  }
  const number = (name: Name): string | undefined =>
    value(name) === "" ? undefined : plain(value(name));
  const hasPosition = value("lat") !== "" || value("lon") !== "";
  const callsign = value("callsign");
  const squawk = value("squawk");
  const emergency = flagOf(value("emergency"));
  const own = new Map<string, string>();
  for (const [index, name] of names.entries()) {
    const text = fields[index] ?? "";
    if (text !== "") own.set(name, isNumber(text) ? text : latinString(text));
  }
  const line = mapping.line({
    own,
    hex: `"${hex}"`,
    flight: callsign === "" ? undefined : latinString(callsign),
    lat: number("lat"),
    lon: number("lon"),
    altitude: number("altitude"),
    gs: number("ground_speed"),
    track: number("track"),
    vertical_rate: number("vertical_rate"),
    squawk: squawk === "" ? undefined : latinString(squawk.padStart(4, "0")),
    emergency: emergency === undefined ? undefined : emergency ? '"general"' : '"none"',
    on_ground: booleanText(flagOf(value("is_on_ground"))),
    updatedMs: time,
    ...(hasPosition ? { positionMs: time } : {}),
  });
  sink.row(line, origin);
}

/** Numbers come with leading zeros and plus signs. */
function plain(text: string): string {
  return text.replace(/^\+/, "").replace(/^(-?)0+(?=\d)/, "$1");
}

/** -1 and 1 are true. */
function flagOf(text: string): boolean | undefined {
  if (text === "") return undefined;
  return text !== "0";
}

function booleanText(flag: boolean | undefined): string | undefined {
  return flag === undefined ? undefined : String(flag);
}

function latinString(latin: string): string {
  return writeString(Buffer.from(latin, "latin1").toString("utf8"));
}

/** A date and a time, in UTC; `undefined` when they are empty, or what is wrong with them. */
function timeOf(
  value: (name: Name) => string,
  which: "generated" | "logged",
): number | string | undefined {
  const date = value(`${which}_date`);
  const time = value(`${which}_time`);
  if (date === "" && time === "") return undefined;
  const [, year = "", month = "", day = ""] = /^(\d{4})[/-](\d\d)[/-](\d\d)$/.exec(date) ?? [];
  const [, clock = "", fraction = ""] = /^(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?$/.exec(time) ?? [];
  const millis = Date.parse(`${year}-${month}-${day}T${clock}.${`${fraction}000`.slice(0, 3)}Z`);
  if (Number.isNaN(millis))
    return `"${date},${time}" is no date and time like 2024/11/27,15:36:06.949`;
  return isPlausible(millis) ? millis : implausible("generated", `${date} ${time}`);
}
