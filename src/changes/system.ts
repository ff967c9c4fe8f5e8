/** Tables that the runtime keeps for itself: feeds pass them over unless they name them. */

const prefix = "aero_";

export function isSystemTable(name: string): boolean {
  return name.startsWith(prefix);
}
