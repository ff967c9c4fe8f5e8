/** From a query to its plan, and small searches. */
import type { Database } from "aerostore";
import { bench, do_not_optimize, group } from "mitata";
import { fill, Flights, rowAt } from "./table.ts";

export function declareQueries(db: Database): void {
  const rows = fill(db);
  const table = db.table(Flights);
  let at = 0;
  group("parse and plan, by count of nothing", () => {
    // A new text each time: its shape is known, its plan is not.
    bench("text", () => do_not_optimize(table.count(`-compare {= flight_id X${at++}}`)));
    bench("object", () =>
      do_not_optimize(table.count({ compare: [["=", "flight_id", `X${at++}`]] })),
    );
    const prepared = table.prepare("-compare {= flight_id $id}");
    bench("prepared", () => do_not_optimize(prepared.count({ id: `X${at++}` })));
  });
  group("small searches", () => {
    const byKey = table.prepare("-compare {= flight_id $id}");
    bench("by key, one row", () =>
      do_not_optimize(byKey.first({ id: rowAt(rows, at++).flight_id })),
    );
    const range = table.prepare(
      "-compare {{>= altitude $low} {< altitude $high}} -sort altitude -limit 50",
    );
    bench("index range, 50 rows as objects", () => {
      const low = (at++ * 997) % 40_000;
      do_not_optimize(range.all({ low, high: low + 2_000 }));
    });
    bench("index range, 50 rows, one column", () => {
      const low = (at++ * 997) % 40_000;
      do_not_optimize(range.search({ low, high: low + 2_000 }).column("gs"));
    });
    const one = table.prepare("-compare {>= altitude $low} -sort altitude -limit 1");
    bench("index range, limit 1", () => do_not_optimize(one.first({ low: (at++ * 997) % 40_000 })));
  });
}
