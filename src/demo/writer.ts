/** A process of the demo that streams its share of the feed into the database, tick by tick. */
import { open } from "../index.ts";
import { FlightState } from "../flight/flight-state.ts";
import { FlightFeed } from "./feed.ts";
import { feedStart, say, StopSignal, timeOfTick, type WriterOptions } from "./messages.ts";

/** Writes until it is told to stop, saying after each tick that it is committed. */
export async function runWriter(options: WriterOptions): Promise<void> {
  const { directory, shmPath, aircraft, share, batch } = options;
  const stop = new StopSignal();
  const feed = new FlightFeed({ aircraft, share, startAt: feedStart });
  await using db = await open(directory, { tables: [FlightState], shmPath });
  const flights = db.table(FlightState);
  say({ kind: "ready" });
  for (let tick = options.firstTick; !stop.isStopped; tick++) {
    const report = await flights.ingestTsv(feed.tsvAt(timeOfTick(tick)), { batch });
    if (report.rejected > 0) throw new Error(`${report.rejected} lines of tick ${tick} are bad`);
    say({ kind: "acknowledged", tick, rows: report.rows });
    await stop.listen();
  }
  say({ kind: "done", searches: {} });
}
