/** Statements on single rows, each its own transaction. */
import type { Database } from "aerostore";
import { bench, do_not_optimize, group } from "mitata";
import { fill, Flights, rowAt } from "./table.ts";

export function declareRows(db: Database): void {
  const rows = fill(db);
  const table = db.table(Flights);
  let at = 0;
  group("one row", () => {
    bench("get", () => do_not_optimize(table.get(rowAt(rows, at++).flight_id)));
    bench("get, absent", () => do_not_optimize(table.get("NOBODY")));
    bench("upsert, unchanged", () => table.upsert(rowAt(rows, at++)));
    bench("upsert, a column without index", () => {
      table.upsert({ ...rowAt(rows, at), gs: at++ & 1_023 });
    });
    bench("upsert, an index entry moves", () => {
      table.upsert({ ...rowAt(rows, at), altitude: at++ & 0xffff });
    });
    bench("update, a column without index", () => {
      table.update(rowAt(rows, at).flight_id, { gs: at++ & 1_023 });
    });
    bench("insert and delete", () => {
      table.upsert({ ...rowAt(rows, at++), flight_id: "NEW1" });
      table.delete("NEW1");
    });
  });
}
