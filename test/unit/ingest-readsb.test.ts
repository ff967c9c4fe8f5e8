import { describe, expect, test } from "bun:test";
import { ingest } from "../../src/ingest/ingest.ts";
import { mapReadsb } from "../../src/ingest/readsb.ts";
import type { IngestReject } from "../../src/ingest/rejects.ts";
import { t } from "../../src/schema/column.ts";
import { FlightState } from "../../src/flight/flight-state.ts";
import { type AnyTable, defineTable } from "../../src/schema/table.ts";
import { FakeEngine, type FakeRow } from "../support/ingest-fake.ts";

const cruising = {
  hex: "4ca2d1",
  flight: "RYR81GX ",
  alt_baro: 36975,
  alt_geom: 37500,
  gs: 438.6,
  track: 121.4,
  baro_rate: -64,
  squawk: "1000",
  lat: 47.123456,
  lon: 8.5,
  seen_pos: 1.2,
  seen: 0.3,
};
const parked = { hex: "4b1803", alt_baro: "ground", gs: 0.4, lat: 47.46, lon: 8.55, seen: 2 };
const snapshot = { now: 1_700_000_010.5, messages: 7, aircraft: [cruising, parked] };

async function load(
  table: AnyTable,
  text: string,
  pieceSize = text.length,
): Promise<{ rows: FakeRow[]; rejects: IngestReject[]; total: number }> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += pieceSize) yield bytes.subarray(at, at + pieceSize);
  }
  const engine = new FakeEngine(table);
  const rejects: IngestReject[] = [];
  const report = await ingest(engine, pieces(), {
    format: "readsb",
    onReject: (reject) => rejects.push(reject),
  });
  return { rows: [...engine.rows.values()], rejects, total: report.rows };
}

describe("readsb", () => {
  test("readsb: a snapshot becomes rows of FlightState", async () => {
    const { rows } = await load(FlightState, JSON.stringify(snapshot, null, 2));
    expect(rows).toEqual([
      {
        flight_id: "RYR81GX",
        lat: "47.123456",
        lon: "8.500000",
        altitude: "36975",
        gs: "439",
        updated_at: "1700000009",
      },
      {
        flight_id: "4b1803",
        lat: "47.460000",
        lon: "8.550000",
        altitude: "0",
        gs: "0",
        updated_at: "1700000009",
      },
    ]);
  });

  test("readsb: other tables take what they have columns for", async () => {
    const table = defineTable("aircraft", {
      hex: t.string(6).primaryKey(),
      callsign: t.string(8).nullable(),
      seen_at: t.timestamp().alias("timestamp"),
      vertical_rate: t.i16().nullable(),
      track: t.f32().nullable(),
      colour: t.string(4).nullable(),
    });
    const { rows } = await load(table, JSON.stringify(snapshot));
    expect(rows).toEqual([
      {
        hex: "4ca2d1",
        callsign: "RYR81GX",
        seen_at: "1700000009300",
        vertical_rate: "-64",
        track: "121.4",
      },
      {
        hex: "4b1803",
        callsign: "\\N",
        seen_at: "1700000008500",
        vertical_rate: "\\N",
        track: "\\N",
      },
    ]);
  });

  test("readsb: an aircraft without identity is a reject that says where", async () => {
    const text = `\n${JSON.stringify({ now: 1, aircraft: [cruising, { lat: 1 }, 7] }, null, 1)}`;
    const { rows, rejects, total } = await load(FlightState, text);
    expect(rows.length).toBe(1);
    expect(total).toBe(3);
    expect(rejects.map(({ line, column, field, text }) => [line, column, field, text])).toEqual([
      [2, 2, "flight_id", '{"lat":1}'],
      [2, 3, "flight_id", "7"],
    ]);
  });

  test("readsb: snapshots one after the other, in any pieces, with junk between", async () => {
    const tricky = { now: 2, aircraft: [{ ...parked, hex: 'a"}{\\', flight: "\t\\" }] };
    const text = [
      JSON.stringify(snapshot),
      "junk {",
      '{"now":1}',
      '{"now":"1","aircraft":[]}',
      "{'now':1}",
      JSON.stringify(tricky, null, 2),
      '{"now":3,"aircraft":[',
    ].join("\n");
    const whole = await load(FlightState, text);
    expect(whole.rows.map((row) => row["flight_id"])).toEqual(["RYR81GX", "4b1803", "\\\\"]);
    expect(whole.rejects.map(({ line, code, reason }) => [line, code, reason])).toEqual([
      [2, "malformed", "a snapshot is a JSON object"],
      [3, "malformed", 'a snapshot has a list "aircraft"'],
      [4, "malformed", 'a snapshot has its time in seconds, "now"'],
      [5, "malformed", "malformed JSON"],
      [20, "malformed", "the snapshot is cut off"],
    ]);
    expect(whole.total).toBe(8);
    for (const size of [1, 2, 7, 64]) {
      const cut = await load(FlightState, text, size);
      expect(cut.rows).toEqual(whole.rows);
      expect(cut.rejects.map(({ line, reason }) => [line, reason])).toEqual(
        whole.rejects.map(({ line, reason }) => [line, reason]),
      );
    }
  });

  test("readsb: a table whose key it cannot fill is refused", () => {
    const table = defineTable("other", { id: t.u32().primaryKey(), lat: t.f64() });
    expect(() => mapReadsb(table)).toThrow("readsb data has nothing for");
  });
});
