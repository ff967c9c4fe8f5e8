/** Distances and bearings against known places. */
import { expect, test } from "bun:test";
import { bearing, distance } from "../../src/index.ts";

test("distance: a degree of the equator, half the Earth, and across the antimeridian", () => {
  const degree = (Math.PI / 180) * 6_371_008.8;
  expect(distance([0, 0], [0, 1])).toBeCloseTo(degree, 6);
  expect(distance([90, 0], [-90, 123])).toBeCloseTo(180 * degree, 3);
  expect(distance([0, 179.5], [0, -179.5])).toBeCloseTo(degree, 6);
  expect(distance([47.45, 8.56], [47.45, 8.56])).toBe(0);
  // JFK to LHR: 5,540 km on the sphere.
  expect(distance([40.6413, -73.7781], [51.47, -0.4543]) / 1_000).toBeCloseTo(5_540, -1);
});

test("bearing: the four winds, and from 0 to below 360", () => {
  expect(bearing([0, 0], [1, 0])).toBe(0);
  expect(bearing([0, 0], [0, 1])).toBeCloseTo(90, 9);
  expect(bearing([0, 0], [-1, 0])).toBeCloseTo(180, 9);
  expect(bearing([0, 0], [0, -1])).toBeCloseTo(270, 9);
});

test("distance, bearing: what is no point is refused", () => {
  for (const wrong of [
    [91, 0],
    [0, 181],
    [Number.NaN, 0],
  ] as const) {
    expect(() => distance(wrong, [0, 0])).toThrow(RangeError);
    expect(() => bearing([0, 0], wrong)).toThrow(RangeError);
  }
});
