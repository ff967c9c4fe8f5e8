/**
 * A flight feed without receivers: aircraft on great circles between real airports, climbing,
 * cruising and descending, each landing followed by the next departure from there. Everything
 * follows from a seed, so two processes with the same seed see the same sky and can share it out.
 *
 * State is one array per quantity, and a position costs four trigonometric functions and the digits
 * of its line: several million lines a second.
 */
import { type Airport, airlines, airports } from "./places.ts";

/** What a receiver reports: a row of `FlightState`. */
export interface FlightPosition {
  readonly flight_id: string;
  /** Degrees, six decimals. */
  readonly lat: number;
  readonly lon: number;
  /** Feet, in steps of 25. */
  readonly altitude: number;
  /** Knots. */
  readonly gs: number;
  /** Seconds since 1970. */
  readonly updated_at: number;
}

export interface FeedOptions {
  /** In the air at any time, 1 to 100,000. Default 10,000. */
  readonly aircraft?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Seconds since 1970 at which the feed begins. Default 1,700,000,000. */
  readonly startAt?: number;
  /** Only every `of`th aircraft, from `index` on: for sharing one feed between processes. */
  readonly share?: { readonly index: number; readonly of: number };
}

const aircraftMax = 100_000;
const startAtDefault = 1_700_000_000;

const earthRadiusNm = 3_440.065;
const degree = Math.PI / 180;
const secondsPerHour = 3_600;

const distanceMinNm = 120;
const distanceMaxNm = 6_500;
const takeoffKnots = 150;
const landingKnots = 140;
const climbFeetPerSecond = 33;
const descentFeetPerSecond = 28;
const altitudeStep = 25;

const callsignSize = 8;
const lineSizeMax = 72;
const digitZero = 48;

/** The sky of one seed. Times are seconds since 1970, fractions allowed. */
export class FlightFeed {
  /** Aircraft of this share. */
  readonly count: number;
  readonly startAt: number;
  readonly #seed: number;
  readonly #total: number;
  /** Number of each aircraft within the whole feed. */
  readonly #slots: Uint32Array;
  /** How many flights each aircraft has finished. */
  readonly #flights: Uint32Array;
  readonly #destinations: Uint16Array;
  // The great circle: unit vectors to the origin, and at right angles to it towards the
  // destination.
  readonly #origins: Float64Array;
  readonly #headings: Float64Array;
  /** Departure, and seconds of climb, cruise and descent. */
  readonly #departures: Float64Array;
  readonly #climbs: Float64Array;
  readonly #cruises: Float64Array;
  readonly #descents: Float64Array;
  readonly #knots: Float64Array;
  readonly #feet: Float64Array;
  readonly #callsigns: Uint8Array;
  readonly #callsignSizes: Uint8Array;
  readonly #out: Uint8Array;
  // The position last computed.
  #lat = 0;
  #lon = 0;
  #altitude = 0;
  #gs = 0;

  /** **Throws** `RangeError` for options out of range. */
  constructor(options: FeedOptions = {}) {
    const { aircraft = 10_000, seed = 1, startAt = startAtDefault } = options;
    const { index, of } = options.share ?? { index: 0, of: 1 };
    if (!Number.isInteger(aircraft) || aircraft < 1 || aircraft > aircraftMax) {
      throw new RangeError(`a feed has 1 to ${aircraftMax} aircraft, not ${aircraft}`);
    }
    if (!Number.isInteger(index) || !Number.isInteger(of) || index < 0 || index >= of) {
      throw new RangeError(`a share is one of 0 to ${of - 1}, not ${index}`);
    }
    if (!Number.isFinite(startAt) || startAt < 0) throw new RangeError("startAt is a time");
    const count = Math.max(0, Math.ceil((aircraft - index) / of));
    this.count = count;
    this.startAt = startAt;
    this.#seed = seed;
    this.#total = aircraft;
    this.#slots = Uint32Array.from({ length: count }, (_, each) => index + each * of);
    this.#flights = new Uint32Array(count);
    this.#destinations = new Uint16Array(count);
    this.#origins = new Float64Array(count * 3);
    this.#headings = new Float64Array(count * 3);
    this.#departures = new Float64Array(count);
    this.#climbs = new Float64Array(count);
    this.#cruises = new Float64Array(count);
    this.#descents = new Float64Array(count);
    this.#knots = new Float64Array(count);
    this.#feet = new Float64Array(count);
    this.#callsigns = new Uint8Array(count * callsignSize);
    this.#callsignSizes = new Uint8Array(count);
    this.#out = new Uint8Array(count * lineSizeMax);
    for (let each = 0; each < count; each += 1) this.#begin(each);
  }

  /** Every aircraft's position at `time`, from `startAt` on. Going back in time is slow. */
  positionsAt(time: number): FlightPosition[] {
    const updated_at = Math.floor(time);
    const positions: FlightPosition[] = [];
    for (let each = 0; each < this.count; each += 1) {
      this.#locate(each, time);
      positions.push({
        flight_id: this.#callsign(each),
        lat: this.#lat / 1e6,
        lon: this.#lon / 1e6,
        altitude: this.#altitude,
        gs: this.#gs,
        updated_at,
      });
    }
    return positions;
  }

  /** The same as lines of tab-separated text. The bytes are good until the next call. */
  tsvAt(time: number): Uint8Array {
    const out = this.#out;
    const callsigns = this.#callsigns;
    const stamp = Buffer.from(`\t${Math.floor(time)}\n`);
    let at = 0;
    for (let each = 0; each < this.count; each += 1) {
      this.#locate(each, time);
      const name = each * callsignSize;
      const size = this.#callsignSizes[each] ?? 0;
      for (let i = 0; i < size; i += 1) out[at + i] = callsigns[name + i] ?? 0;
      at = writeMillionths(out, at + size, this.#lat);
      at = writeMillionths(out, at, this.#lon);
      at = writeInteger(out, at, this.#altitude);
      at = writeInteger(out, at, this.#gs);
      for (let i = 0; i < stamp.length; i += 1) out[at + i] = stamp[i] ?? 0;
      at += stamp.length;
    }
    return out.subarray(0, at);
  }

  /**
   * One piece of tab-separated text after the other, a tick of all aircraft each: a source for
   * ingest. `stepSeconds` lie between ticks in the feed's own time; nothing waits for the clock.
   */
  async *ticks(count: number, stepSeconds = 5): AsyncGenerator<Uint8Array> {
    for (let tick = 0; tick < count; tick += 1) {
      yield this.tsvAt(this.startAt + tick * stepSeconds);
    }
  }

  /** Puts an aircraft back to its first flight, which was under way when the feed began. */
  #begin(each: number): void {
    this.#flights[each] = 0;
    const slot = this.#slots[each] ?? 0;
    this.#plan(each, Math.floor(this.#random(slot, 0, 0) * airports.length), this.startAt);
    const part = this.#random(slot, 0, 1);
    this.#departures[each] = this.startAt - part * this.#duration(each);
  }

  /** Plans the aircraft's present flight from an airport. */
  #plan(each: number, from: number, departure: number): void {
    const slot = this.#slots[each] ?? 0;
    const flight = this.#flights[each] ?? 0;
    const origin = vectorOf(airportAt(from));
    let to = from;
    let angle = 0;
    for (let attempt = 2; ; attempt += 1) {
      to = Math.floor(this.#random(slot, flight, attempt) * airports.length);
      angle = angleBetween(origin, vectorOf(airportAt(to)));
      const distance = angle * earthRadiusNm;
      // Short flights are more common than long ones. Some pair is near enough for every airport.
      const wish = this.#random(slot, flight, attempt + 1_000) ** 2 * distanceMaxNm;
      if (distance > distanceMinNm && distance < Math.max(wish, attempt * 100)) break;
    }
    const destination = vectorOf(airportAt(to));
    const sine = Math.sin(angle);
    const cosine = Math.cos(angle);
    for (let axis = 0; axis < 3; axis += 1) {
      const a = origin[axis] ?? 0;
      this.#origins[each * 3 + axis] = a;
      this.#headings[each * 3 + axis] = ((destination[axis] ?? 0) - a * cosine) / sine;
    }
    this.#destinations[each] = to;
    this.#departures[each] = departure;
    this.#planProfile(each, from, to, angle * earthRadiusNm);
    this.#planCallsign(each);
  }

  /** Altitude and speed: higher and faster on longer flights, lower where there is no room. */
  #planProfile(each: number, from: number, to: number, distance: number): void {
    const slot = this.#slots[each] ?? 0;
    const flight = this.#flights[each] ?? 0;
    const eastbound = Math.sin((airportAt(to).lon - airportAt(from).lon) * degree) > 0;
    const reach = Math.min(1, distance / 1_500);
    const level = 25 + Math.round(reach * 10 + this.#random(slot, flight, 10_000) * 5);
    // Odd thousands of feet to the east, even ones to the west; the jet stream blows east.
    let feet = (level % 2 === (eastbound ? 1 : 0) ? level : level + 1) * 1_000;
    let knots = 400 + reach * 45 + this.#random(slot, flight, 10_001) * 25;
    knots += eastbound ? 25 : -25;
    let climb = feet / climbFeetPerSecond;
    let descent = feet / descentFeetPerSecond;
    const slope = (): number =>
      (((takeoffKnots + knots) / 2) * climb + ((knots + landingKnots) / 2) * descent) /
      secondsPerHour;
    const room = (distance * 0.8) / slope();
    if (room < 1) {
      feet = Math.floor((feet * room) / 1_000) * 1_000;
      knots = takeoffKnots + (knots - takeoffKnots) * Math.max(room, 0.5);
      climb = feet / climbFeetPerSecond;
      descent = feet / descentFeetPerSecond;
    }
    this.#feet[each] = feet;
    this.#knots[each] = knots;
    this.#climbs[each] = climb;
    this.#descents[each] = descent;
    this.#cruises[each] = ((distance - slope()) / knots) * secondsPerHour;
  }

  /** No two aircraft in the air have the same: each takes its own from a walk through all. */
  #planCallsign(each: number): void {
    const slot = this.#slots[each] ?? 0;
    const flight = this.#flights[each] ?? 0;
    const space = airlines.length * 9_999;
    const turns = Math.floor(space / this.#total);
    const place = slot + this.#total * (flight % turns);
    // A prime larger than every factor of the space: a permutation of it.
    const mixed = Number((BigInt(place) * 7_368_787n + BigInt(this.#seed >>> 0)) % BigInt(space));
    const airline = airlines[mixed % airlines.length] ?? "";
    const text = `${airline}${1 + Math.floor(mixed / airlines.length)}`;
    this.#callsigns.set(Buffer.from(text), each * callsignSize);
    this.#callsignSizes[each] = text.length;
  }

  #callsign(each: number): string {
    const start = each * callsignSize;
    const size = this.#callsignSizes[each] ?? 0;
    return Buffer.from(this.#callsigns.subarray(start, start + size)).toString("latin1");
  }

  #duration(each: number): number {
    return (this.#climbs[each] ?? 0) + (this.#cruises[each] ?? 0) + (this.#descents[each] ?? 0);
  }

  /** Computes where an aircraft is, on whichever flight it is by then. */
  #locate(each: number, time: number): void {
    if (time < (this.#departures[each] ?? 0)) this.#begin(each);
    let landing = (this.#departures[each] ?? 0) + this.#duration(each);
    while (time >= landing) {
      this.#flights[each] = (this.#flights[each] ?? 0) + 1;
      this.#plan(each, this.#destinations[each] ?? 0, landing);
      landing += this.#duration(each);
    }
    const climb = this.#climbs[each] ?? 0;
    const cruise = this.#cruises[each] ?? 0;
    const descent = this.#descents[each] ?? 0;
    const knots = this.#knots[each] ?? 0;
    const feet = this.#feet[each] ?? 0;
    const flown = Math.max(0, time - (this.#departures[each] ?? 0));
    // Speed changes evenly during climb and descent, so distance is a parabola there.
    let speed = knots;
    let distance = ((takeoffKnots + knots) / 2) * climb;
    let altitude = feet;
    if (flown < climb) {
      const part = flown / climb;
      speed = takeoffKnots + (knots - takeoffKnots) * part;
      distance = ((takeoffKnots + speed) / 2) * flown;
      altitude = feet * part * (1.5 - part * 0.5);
    } else if (flown < climb + cruise) {
      distance += knots * (flown - climb);
    } else {
      const late = flown - climb - cruise;
      const part = late / descent;
      speed = knots + (landingKnots - knots) * part;
      distance += knots * cruise + ((knots + speed) / 2) * late;
      altitude = feet * (1 - part);
    }
    const angle = distance / secondsPerHour / earthRadiusNm;
    const sine = Math.sin(angle);
    const cosine = Math.cos(angle);
    const base = each * 3;
    const origins = this.#origins;
    const headings = this.#headings;
    const x = (origins[base] ?? 0) * cosine + (headings[base] ?? 0) * sine;
    const y = (origins[base + 1] ?? 0) * cosine + (headings[base + 1] ?? 0) * sine;
    const z = (origins[base + 2] ?? 0) * cosine + (headings[base + 2] ?? 0) * sine;
    this.#lat = Math.round((Math.asin(Math.max(-1, Math.min(1, z))) / degree) * 1e6);
    this.#lon = Math.round((Math.atan2(y, x) / degree) * 1e6);
    this.#altitude = Math.round(altitude / altitudeStep) * altitudeStep;
    this.#gs = Math.round(speed);
  }

  /** 0 to 1, from the seed and where it is used. */
  #random(slot: number, flight: number, use: number): number {
    let bits = Math.imul(this.#seed ^ 0x9e3779b9, 0x85ebca6b);
    bits = mix(bits ^ Math.imul(slot + 1, 0xc2b2ae35));
    bits = mix(bits ^ Math.imul(flight + 1, 0x27d4eb2f));
    bits = mix(bits ^ Math.imul(use + 1, 0x165667b1));
    return (bits >>> 0) / 2 ** 32;
  }
}

/** Every bit of the result depends on every bit given (the finalizer of MurmurHash3). */
function mix(bits: number): number {
  let mixed = bits;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function airportAt(index: number): Airport {
  const airport = airports[index];
  if (airport === undefined) throw new RangeError(`there is no airport ${index}`);
  return airport;
}

function vectorOf(airport: Airport): readonly number[] {
  const lat = airport.lat * degree;
  const lon = airport.lon * degree;
  return [Math.cos(lat) * Math.cos(lon), Math.cos(lat) * Math.sin(lon), Math.sin(lat)];
}

function angleBetween(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, axis) => sum + value * (b[axis] ?? 0), 0);
  return Math.acos(Math.max(-1, Math.min(1, dot)));
}

/** Writes a tab and `value` / 10^6; where the next byte goes. */
function writeMillionths(out: Uint8Array, start: number, value: number): number {
  let at = start;
  out[at++] = 9;
  let rest = value;
  if (value < 0) {
    out[at++] = 45;
    rest = -value;
  }
  const whole = (rest / 1e6) | 0;
  at = writeDigits(out, at, whole);
  out[at++] = 46;
  let fraction = rest - whole * 1e6;
  for (let place = at + 5; place >= at; place -= 1) {
    const next = (fraction / 10) | 0;
    out[place] = digitZero + fraction - next * 10;
    fraction = next;
  }
  return at + 6;
}

/** Writes a tab and `value`, which is not negative. */
function writeInteger(out: Uint8Array, at: number, value: number): number {
  out[at] = 9;
  return writeDigits(out, at + 1, value);
}

function writeDigits(out: Uint8Array, at: number, value: number): number {
  let size = 1;
  for (let limit = 10; value >= limit; limit *= 10) size += 1;
  let rest = value;
  for (let place = at + size - 1; place >= at; place -= 1) {
    const next = (rest / 10) | 0;
    out[place] = digitZero + rest - next * 10;
    rest = next;
  }
  return at + size;
}
