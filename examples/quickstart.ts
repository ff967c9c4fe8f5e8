/** The shortest tour: declare a table, write, read, search. Run it twice: it is one database. */
import { defineTable, open, t } from "aerostore";

const Flights = defineTable("Flights", {
  flight: t.string(8).primaryKey(),
  lat: t.decimal(6).index(),
  lon: t.decimal(6).index(),
  altitude: t.i32().index(),
  seen: t.u32().default(0),
});

await using db = await open(process.argv[2], { tables: [Flights] });
console.log(`${db.boot.mode}: ${db.boot.reason}`);

const flights = db.table(Flights);
flights.upsertMany([
  { flight: "UAL123", lat: 40.64, lon: -73.78, altitude: 31_000 },
  { flight: "DAL9", lat: 33.64, lon: -84.42, altitude: 12_500 },
  { flight: "SWR40", lat: 47.46, lon: 8.55, altitude: 36_000 },
]);
db.transact((tx) => {
  const table = tx.table(Flights);
  for (const { flight, seen } of table.search()) table.update(flight, { seen: seen + 1 });
});

for (const row of flights.search("-compare {> altitude 20000} -sort -altitude")) {
  console.log(row.flight, row.altitude, `seen ${row.seen} times`);
}
