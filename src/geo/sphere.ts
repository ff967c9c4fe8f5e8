/** Distances and bearings on the mean sphere of the Earth. */

/** Degrees: latitude -90 to 90, longitude -180 to 180. */
export type LatLon = readonly [lat: number, lon: number];

/** Mean radius in metres (IUGG). The Earth is flatter: distances are right to 0.56 %. */
export const earthRadius = 6_371_008.8;

/** Metres in a nautical mile. */
export const nauticalMile = 1_852;

const radians = Math.PI / 180;

/**
 * Metres along the great circle, by the haversine formula (Sinnott 1984). **Throws** `RangeError`
 * for what is no point.
 */
export function distance(a: LatLon, b: LatLon): number {
  const [fromLat, fromLon] = check(a);
  const [toLat, toLon] = check(b);
  const sinLat = Math.sin(((toLat - fromLat) * radians) / 2);
  const sinLon = Math.sin(((toLon - fromLon) * radians) / 2);
  const cosines = Math.cos(fromLat * radians) * Math.cos(toLat * radians);
  const h = sinLat * sinLat + cosines * sinLon * sinLon;
  return 2 * earthRadius * Math.asin(Math.min(1, Math.sqrt(h)));
}

/**
 * Degrees from north, clockwise, 0 to below 360, in which `b` lies from `a`.
 * **Throws** `RangeError` for what is no point.
 */
export function bearing(a: LatLon, b: LatLon): number {
  const [fromLat, fromLon] = check(a);
  const [toLat, toLon] = check(b);
  const turn = (toLon - fromLon) * radians;
  const y = Math.sin(turn) * Math.cos(toLat * radians);
  const x =
    Math.cos(fromLat * radians) * Math.sin(toLat * radians) -
    Math.sin(fromLat * radians) * Math.cos(toLat * radians) * Math.cos(turn);
  return (Math.atan2(y, x) / radians + 360) % 360;
}

function check(point: LatLon): LatLon {
  const [lat, lon] = point;
  if (Math.abs(lat) <= 90 && Math.abs(lon) <= 180) return point;
  throw new RangeError(`a point is [lat, lon] in degrees, not [${lat}, ${lon}]`);
}
