/** From a query to its plan, and small searches. */
import type { Database } from "aerostore";
import { bench, do_not_optimize, group } from "mitata";
import { assumedCardinality } from "../../src/query/plan/cardinality.ts";
import { bindParameters, encodePlan } from "../../src/query/plan/encode.ts";
import { plan } from "../../src/query/plan/planner.ts";
import { parseStapi } from "../../src/query/parse/stapi.ts";
import { t } from "../../src/schema/column.ts";
import { defineTable } from "../../src/schema/table.ts";
import { fill, Flights, rowAt } from "./table.ts";

const warmTurns = 50_000;

/** What `Flights` has, for the planner alone. */
const planned = defineTable("Flights", {
  flight_id: t.string(24).primaryKey(),
  altitude: t.i32().index(),
  gs: t.i32(),
});

export function declareQueries(db: Database): void {
  const rows = fill(db);
  const table = db.table(Flights);
  let at = 0;
  group("parse and plan: what a search costs before it runs", () => {
    const rowsOf = assumedCardinality(rows.length);
    const planOf = (query: string) => encodePlan(plan(parseStapi(query), planned, rowsOf));
    const onePlan = () => planOf(`-compare {= flight_id X${at++}}`);
    const widePlan = () => {
      const compare = `{{> altitude ${at++ % 40_000}} {match_case flight_id UAL*}}`;
      return planOf(`-compare ${compare} -sort -altitude -limit 10`);
    };
    // What is compiled late would be taken for slow, and sampled seldom.
    for (let turn = 0; turn < warmTurns; turn++) do_not_optimize([onePlan(), widePlan()]);
    bench("uncached, one clause", () => do_not_optimize(onePlan()));
    bench("uncached, range, pattern, sort and limit", () => do_not_optimize(widePlan()));
    const one = planOf("-compare {= flight_id $id}");
    bench("prepared, one value", () => bindParameters(one, { id: `X${at++}` }));
    const three = planOf("-compare {{> altitude $low} {< gs $gs}} -sort -altitude -limit $n");
    bench("prepared, three values", () => bindParameters(three, { low: at++, gs: 400, n: 10 }));
  });
  group("search for nothing", () => {
    // A new text each time, of a shape that is known.
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
