/** "Did you mean": the known name that an unknown one is closest to. */

/**
 * The name of `names` with the fewest edits to `given` (insert, delete, replace, swap of
 * neighbours; case hardly counts), or `undefined` when none is close. Quadratic in the lengths.
 */
export function nearestName(given: string, names: Iterable<string>): string | undefined {
  const wanted = given.slice(0, 64);
  let best: string | undefined;
  let bestDistance = Math.max(1, wanted.length / 3);
  for (const name of names) {
    const distance = editDistance(wanted, name);
    if (distance < bestDistance || (distance === bestDistance && best === undefined)) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  const cost = new Float64Array((a.length + 1) * width);
  const at = (i: number, j: number): number => cost[i * width + j] ?? 0;
  for (let i = 0; i <= a.length; i++) {
    for (let j = 0; j <= b.length; j++) {
      let least = i === 0 ? j : j === 0 ? i : Infinity;
      if (i > 0 && j > 0) {
        const replace = at(i - 1, j - 1) + replaceCost(a[i - 1], b[j - 1]);
        least = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, replace);
        if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
          least = Math.min(least, at(i - 2, j - 2) + 1);
        }
      }
      cost[i * width + j] = least;
    }
  }
  return at(a.length, b.length);
}

function replaceCost(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  return a?.toLowerCase() === b?.toLowerCase() ? 0.1 : 1;
}
