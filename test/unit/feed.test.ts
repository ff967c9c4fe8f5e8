import { describe, expect, test } from "bun:test";
import { FlightFeed, type FlightPosition } from "../../src/demo/feed.ts";
import { airlines, airports } from "../../src/demo/places.ts";

const earthRadiusNm = 3_440.065;

function distanceNm(a: FlightPosition, b: FlightPosition): number {
  const rad = Math.PI / 180;
  const h =
    Math.sin(((b.lat - a.lat) * rad) / 2) ** 2 +
    Math.cos(a.lat * rad) * Math.cos(b.lat * rad) * Math.sin(((b.lon - a.lon) * rad) / 2) ** 2;
  return 2 * earthRadiusNm * Math.asin(Math.sqrt(h));
}

function byId(positions: readonly FlightPosition[]): Map<string, FlightPosition> {
  return new Map(positions.map((each) => [each.flight_id, each]));
}

function parse(bytes: Uint8Array): FlightPosition[] {
  const lines = Buffer.from(bytes).toString().split("\n");
  expect(lines.pop()).toBe("");
  return lines.map((line) => {
    const [flight_id = "", lat, lon, altitude, gs, updated_at] = line.split("\t");
    return {
      flight_id,
      lat: Number(lat),
      lon: Number(lon),
      altitude: Number(altitude),
      gs: Number(gs),
      updated_at: Number(updated_at),
    };
  });
}

describe("feed", () => {
  test("feed: places are what they say", () => {
    expect(airports.length).toBeGreaterThan(59);
    expect(new Set(airports.map(({ code }) => code)).size).toBe(airports.length);
    expect(airports.every(({ lat, lon }) => Math.abs(lat) < 70 && Math.abs(lon) <= 180)).toBe(true);
    expect(airports.every(({ code }) => /^[A-Z]{4}$/.test(code))).toBe(true);
    expect(new Set(airlines).size).toBe(airlines.length);
    expect(airlines.every((code) => /^[A-Z]{3}$/.test(code))).toBe(true);
  });

  test("feed: the same seed gives the same sky, another seed another", () => {
    const at = (seed: number, time: number): FlightPosition[] =>
      new FlightFeed({ aircraft: 50, seed }).positionsAt(1_700_000_000 + time);
    expect(at(7, 40_000)).toEqual(at(7, 40_000));
    expect(at(7, 0)).not.toEqual(at(8, 0));
  });

  test("feed: going back in time gives what was there", () => {
    const feed = new FlightFeed({ aircraft: 50 });
    const first = feed.positionsAt(feed.startAt + 100);
    feed.positionsAt(feed.startAt + 100_000);
    expect(feed.positionsAt(feed.startAt + 100)).toEqual(first);
  });

  test("feed: positions are possible, and move as fast as they say", () => {
    const feed = new FlightFeed({ aircraft: 500, seed: 3 });
    const step = 10;
    let before = byId(feed.positionsAt(feed.startAt));
    let compared = 0;
    for (let tick = 1; tick <= 400; tick += 1) {
      // Dense pairs over a day.
      const time = feed.startAt + Math.floor(tick / 2) * 400 + (tick % 2) * step;
      const now = byId(feed.positionsAt(time));
      expect(now.size).toBe(500);
      for (const position of now.values()) {
        expect(position.updated_at).toBe(time);
        expect(Math.abs(position.lat)).toBeLessThanOrEqual(90);
        expect(Math.abs(position.lon)).toBeLessThanOrEqual(180);
        expect(position.altitude).toBeGreaterThanOrEqual(0);
        expect(position.altitude).toBeLessThanOrEqual(43_000);
        expect(position.altitude % 25).toBe(0);
        expect(position.gs).toBeGreaterThanOrEqual(140);
        expect(position.gs).toBeLessThanOrEqual(520);
        const earlier = before.get(position.flight_id);
        if (earlier === undefined || tick % 2 === 0) continue;
        compared += 1;
        const flown = distanceNm(earlier, position);
        const mean = (earlier.gs + position.gs) / 2;
        expect(Math.abs(flown - (mean * step) / 3_600)).toBeLessThan(0.01);
        expect(Math.abs(position.altitude - earlier.altitude)).toBeLessThan(600);
      }
      before = now;
    }
    expect(compared).toBeGreaterThan(90_000);
  });

  test("feed: flights land at airports, and the next begins there", () => {
    const feed = new FlightFeed({ aircraft: 200, seed: 5 });
    const seen = new Set<string>();
    let landings = 0;
    let before = feed.positionsAt(feed.startAt);
    for (let time = feed.startAt; time < feed.startAt + 20_000; time += 20) {
      const now = feed.positionsAt(time);
      for (const [index, position] of now.entries()) {
        seen.add(position.flight_id);
        const earlier = before[index];
        if (earlier === undefined || earlier.flight_id === position.flight_id) continue;
        landings += 1;
        expect(distanceNm(earlier, position)).toBeLessThan(2);
        expect(position.altitude).toBeLessThan(1_500);
        const nearest = Math.min(
          ...airports.map((airport) => distanceNm(position, { ...position, ...airport })),
        );
        expect(nearest).toBeLessThan(2);
      }
      before = now;
    }
    expect(landings).toBeGreaterThan(100);
    expect(seen.size).toBe(200 + landings);
  });

  test("feed: cruise levels are odd to the east and even to the west", () => {
    const feed = new FlightFeed({ aircraft: 300, seed: 9 });
    const [a, b] = [feed.positionsAt(feed.startAt), feed.positionsAt(feed.startAt + 30)];
    let cruising = 0;
    for (const [index, later] of b.entries()) {
      const earlier = a[index];
      if (earlier?.flight_id !== later.flight_id || later.altitude < 30_000) continue;
      if (earlier.altitude !== later.altitude) continue;
      expect(later.altitude % 1_000).toBe(0);
      cruising += 1;
    }
    expect(cruising).toBeGreaterThan(100);
  });

  test("feed: lines say what rows say", () => {
    const feed = new FlightFeed({ aircraft: 2_000, seed: 11 });
    for (const time of [feed.startAt, feed.startAt + 12_345.6]) {
      expect(parse(feed.tsvAt(time))).toEqual(feed.positionsAt(time));
    }
  });

  test("feed: shares make up the whole", () => {
    const options = { aircraft: 101, seed: 2 };
    const time = 1_700_009_999;
    const whole = new FlightFeed(options).positionsAt(time);
    const parts = [0, 1, 2].map((index) => new FlightFeed({ ...options, share: { index, of: 3 } }));
    expect(parts.map(({ count }) => count)).toEqual([34, 34, 33]);
    const together = parts.flatMap((part) => part.positionsAt(time));
    const sorted = (all: FlightPosition[]): FlightPosition[] =>
      all.toSorted((a, b) => (a.flight_id < b.flight_id ? -1 : 1));
    expect(sorted(together)).toEqual(sorted(whole));
  });

  test("feed: callsigns are of airlines, and no two in the air are the same", () => {
    for (const aircraft of [1, 10_000, 100_000]) {
      const feed = new FlightFeed({ aircraft, seed: 4 });
      const ids = feed.positionsAt(feed.startAt + 50_000).map((each) => each.flight_id);
      expect(new Set(ids).size).toBe(aircraft);
      expect(ids.every((id) => /^[A-Z]{3}[1-9]\d{0,3}$/.test(id))).toBe(true);
      expect(ids.every((id) => airlines.includes(id.slice(0, 3)))).toBe(true);
    }
  });

  test("feed: ticks are pieces in order", async () => {
    const feed = new FlightFeed({ aircraft: 3 });
    const stamps: number[] = [];
    for await (const piece of feed.ticks(4, 60)) {
      stamps.push(...new Set(parse(piece).map((each) => each.updated_at)));
    }
    expect(stamps).toEqual([0, 60, 120, 180].map((after) => feed.startAt + after));
  });

  test("feed: options out of range are refused", () => {
    for (const aircraft of [0, 1.5, 100_001]) {
      expect(() => new FlightFeed({ aircraft })).toThrow(RangeError);
    }
    expect(() => new FlightFeed({ share: { index: 2, of: 2 } })).toThrow(RangeError);
    expect(() => new FlightFeed({ startAt: -1 })).toThrow(RangeError);
  });
});
