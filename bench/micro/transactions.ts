/** What a transaction costs above its statements. */
import type { Database } from "aerostore";
import { bench, do_not_optimize, group } from "mitata";
import { fill, Flights, rowAt } from "./table.ts";

export function declareTransactions(db: Database): void {
  const rows = fill(db);
  let at = 0;
  group("transactions", () => {
    bench("read-only, empty", () => db.snapshot(() => undefined));
    bench("read-only, one get", () =>
      do_not_optimize(db.snapshot((view) => view.table(Flights).get(rowAt(rows, at++).flight_id))),
    );
    bench("transact, empty", () => db.transact(() => undefined));
    bench("transact, get and update", () =>
      db.transact((tx) => {
        const table = tx.table(Flights);
        const key = rowAt(rows, at++).flight_id;
        const row = table.get(key);
        if (row !== undefined) table.update(key, { gs: (row.gs + 1) & 1_023 });
      }),
    );
    bench("transact, eight updates, each under a savepoint", () =>
      db.transact((tx) => {
        const table = tx.table(Flights);
        for (let i = 0; i < 8; i++) {
          const savepoint = tx.savepoint();
          table.update(rowAt(rows, at++).flight_id, { gs: at & 1_023 });
          tx.release(savepoint);
        }
      }),
    );
  });
}
