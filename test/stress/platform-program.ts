/**
 * What is asked of a platform, as a program of a user of the package:
 *
 *   platform-program.ts fill DIRECTORY     writes, searches, transacts, then is killed by itself
 *   platform-program.ts verify DIRECTORY   opens again and prints what is there
 */
import { defineTable, open, t } from "aerostore";

const Flights = defineTable("Flights", {
  flight: t.string(8).primaryKey(),
  lat: t.decimal(6).index(),
  altitude: t.i32().index(),
  note: t.string(20).nullable(),
});

const rowCount = 2_000;
const [step, directory = ""] = process.argv.slice(2);
const db = await open(directory, { tables: [Flights], maxBytes: 64 << 20 });
const flights = db.table(Flights);
if (step === "fill") {
  for (let i = 0; i < rowCount; i++) {
    flights.upsert({ flight: `F${i}`, lat: (i % 90) + 0.25, altitude: i * 20, note: null });
  }
  db.transact((tx) => {
    const table = tx.table(Flights);
    table.update("F1", { altitude: 1_000_000, note: "moved" });
    table.delete("F2");
  });
  await db.durable();
  const high = flights.search("-compare {{> altitude 30000} {match flight F1*}} -sort -altitude");
  console.log(`filled ${flights.count()} ${high.length} ${db.stats().engine.source}`);
  // Whatever of the last commits is only in memory has to be there for the next process.
  flights.upsert({ flight: "LAST", lat: 1, altitude: 7, note: "unsynced" });
  process.kill(process.pid, "SIGKILL");
}
const { ok } = db.check();
const last = flights.get("LAST")?.note ?? "none";
console.log(`${db.boot.mode} ${flights.count()} ${flights.get("F1")?.altitude} ${last} ${ok}`);
db.close();
