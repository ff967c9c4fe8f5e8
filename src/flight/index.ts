/**
 * What is of the trade: the tables of flights and airframes, and the formats that fill them. The
 * formats are known to `ingest` once this file is loaded.
 */
import { registerFormat } from "../ingest/formats.ts";
import { flightFormats } from "./formats.ts";

export { Aircraft } from "./aircraft.ts";
export type { AircraftColumns } from "./aircraft.ts";
export { FlightState } from "./flight-state.ts";
export type { FlightColumns } from "./flight-state.ts";

for (const format of flightFormats) registerFormat(format);
