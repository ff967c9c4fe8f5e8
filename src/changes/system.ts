/** Tables that the runtime keeps for itself: feeds pass them over unless they name them. */

const prefix = "aero_";
/** Names and positions of subscriptions. */
export const subscriptionsTable = "aero_subscriptions";

export function isSystemTable(name: string): boolean {
  return name.startsWith(prefix);
}
