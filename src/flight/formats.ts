/** The formats of the trade, by their names. Their readers are loaded when they are used. */
import type { Head, RecordFormat } from "../ingest/formats.ts";
import type { AnyTable } from "../schema/table.ts";
import { Aircraft } from "./aircraft.ts";

/** Members that tell an aircraft from any other object with an address. */
const signs = [
  "seen",
  "seen_pos",
  "alt_baro",
  "messages",
  "rssi",
  "mlat",
  "tisb",
  "validposition",
  "flight",
];

function looksLikeReadsb({ json }: Head): boolean {
  if (json === undefined) return false;
  const { members } = json;
  if (members.get("aircraft") === "[" || members.get("ac") === "[") return true;
  return members.has("hex") && signs.filter((name) => members.has(name)).length >= 2;
}

function looksLikeOpensky({ json, line }: Head): boolean {
  if (json !== undefined) {
    const states = json.members.get("states");
    return (states === "[" || states === "n") && json.members.has("time");
  }
  const names = line.toLowerCase().split(",");
  return (
    names.includes("icao24") &&
    ["baroaltitude", "lastcontact", "lastposupdate", "vertrate"].some((name) =>
      names.includes(name),
    )
  );
}

function looksLikeSbs({ line }: Head): boolean {
  return /^(?:MSG,[1-8]|SEL|ID|AIR|STA|CLK),(?:[^,]*,){8}/.test(line);
}

/** A table with a time for positions, whatever it is called. */
function positionTime(table: AnyTable): string | undefined {
  return table.find("position_at")?.name;
}

export const flightFormats: readonly RecordFormat[] = [
  {
    name: "readsb",
    table: Aircraft,
    detect: looksLikeReadsb,
    open: async (target) => (await import("./readsb.ts")).openReadsb(target),
    positionTime,
  },
  {
    name: "opensky",
    table: Aircraft,
    detect: looksLikeOpensky,
    open: async (target) => (await import("./opensky.ts")).openOpensky(target),
    positionTime,
  },
  {
    name: "sbs",
    table: Aircraft,
    detect: looksLikeSbs,
    open: async (target) => (await import("./sbs.ts")).openSbs(target),
    positionTime,
  },
];
