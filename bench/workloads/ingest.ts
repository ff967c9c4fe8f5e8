/** A feed of tab-separated lines into a table that keeps each flight's last state. */
import type { Workload } from "../harness/workload.ts";
import { callsign, flightShape, foldFlight, makeFeed } from "./flight.ts";
import { mix } from "./model.ts";

const shape = flightShape(["altitude"]);

export const ingest: Workload = {
  name: "ingest",
  about: "Tab-separated lines in memory, upserted by key into a table with one index",
  metrics: [{ name: "rate", unit: "/s", better: "higher" }],
  shapes: [shape],
  cases: (settings) => {
    const lines = settings.smoke ? 2_000 : settings.full ? 2_000_000 : 500_000;
    const fleet = settings.smoke ? 100 : 10_000;
    return [
      {
        name: `${lines} lines, ${fleet} keys`,
        parameters: { lines, fleet },
        needs: ["ingest"],
      },
    ];
  },
  run: async ({ open, parameters, settings }) => {
    const lines = parameters["lines"] ?? 0;
    const fleet = parameters["fleet"] ?? 0;
    const feed = makeFeed(fleet, lines, settings.seed);
    const store = await open();
    const table = store.table(shape);
    if (table.ingest === undefined) throw new Error("the peer cannot ingest");
    const start = Bun.nanoseconds();
    await table.ingest(feed);
    const seconds = (Bun.nanoseconds() - start) / 1e9;
    let checksum = 17;
    for (let i = 0; i < fleet; i++) {
      const row = await table.get(callsign(i));
      checksum = mix(checksum, row === undefined ? 7 : foldFlight(row));
    }
    await store.close();
    return { metrics: { rate: lines / seconds }, checksum };
  },
};
