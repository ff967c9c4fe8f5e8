/** Real feeds and their mishaps: each case has its right value. */
import { afterAll, describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { t } from "../../src/schema/column.ts";
import { defineTable } from "../../src/schema/table.ts";
import { Aircraft, corpus, FeedBench, FlightState, piecesOf } from "../support/feed.ts";

const bench = new FeedBench();
afterAll(() => bench[Symbol.dispose]());

const pick = (row: Record<string, unknown> | undefined, ...names: string[]): unknown[] =>
  names.map((name) => row?.[name]);

describe("feeds: readsb", () => {
  test("a cut snapshot is one reject with its place, all that follow are in", async () => {
    const { rows, rejects, report } = await bench.load(
      await corpus("readsb-truncated-then-good.json"),
    );
    expect(rows.map((row) => pick(row, "hex", "flight", "altitude", "gs"))).toEqual([
      ["bbbb01", "BBB1", 2000, 200.1],
      ["cccc01", "CCC1", 3000, 300.1],
    ]);
    expect(rejects.length).toBe(1);
    expect(rejects[0]).toMatchObject({ line: 1, code: "malformed" });
    expect(rejects[0]?.reason).toContain("line 5, column ");
    expect(report.rows).toBe(3);
  });

  test("snapshots cut anywhere cost themselves, on one line and on many", async () => {
    const snapshot = (n: number, indent: number): string =>
      JSON.stringify(
        {
          now: 1_700_000_000 + n,
          messages: n,
          aircraft: [0, 1, 2].map((each) => ({
            hex: `aaa${n}0${each}`,
            flight: "TEST  ",
            alt_baro: 1000 * each,
            lat: 40 + each,
            lon: 8,
            mlat: [],
            seen_pos: 1,
            seen: 0.5,
          })),
        },
        null,
        indent,
      );
    for (const [indent, between] of [
      [0, ""],
      [0, "\n"],
      [2, "\n"],
    ] as const) {
      const whole = snapshot(1, indent);
      for (let cut = 1; cut < whole.length; cut += indent === 0 ? 3 : 17) {
        const parts = [whole.slice(0, cut), snapshot(2, indent), snapshot(3, indent)];
        const text = parts.join(between);
        const { rows, rejects } = await bench.load(text, { format: "readsb" });
        expect(rows.map(({ hex }) => hex)).toEqual(
          [2, 3].flatMap((n) => [0, 1, 2].map((each) => `aaa${n}0${each}`)),
        );
        expect(rejects.length).toBe(1);
      }
    }
  }, 60_000);

  test("a malformed aircraft costs itself, with its position", async () => {
    const good = (hex: string): string => `{"hex":"${hex}","alt_baro":1000,"mlat":[],"seen":0}`;
    const bad = [
      '{"hex":"bad","alt_baro":,"seen":0}',
      '{"hex":"bad","flight":"AB"C","seen":0}',
      '{"hex":"bad","flight":"ABC,"seen":0}',
      '{"hex":"bad","alt_baro":1000',
      '{"hex":"bad","alt_baro":1000}}',
      '{"hex":"bad" "alt_baro":1000}',
      '{"hex":"bad","x":[1,2}',
      '{"hex":"bad","x":{"y":1}',
      "nonsense",
      '{"hex":"bad","flight":"AB\\x"}',
      '{"hex":"bad",}',
    ];
    for (const [end, tail] of [
      [",", ""],
      [",\n", "\n"],
    ] as const) {
      for (const each of bad) {
        for (const list of [
          [good("aa0001"), each, good("aa0002")],
          [each, good("aa0001"), good("aa0002")],
          [good("aa0001"), good("aa0002"), each],
        ]) {
          const text =
            `{"now":1700000000,"aircraft":[${tail}${list.join(end)}${tail}],"messages":1}\n` +
            `{"now":1700000001,"aircraft":[${good("aa0003")}]}\n`;
          const { rows, rejects } = await bench.load(text, { format: "readsb" });
          expect([each, list.indexOf(each), rows.map(({ hex }) => hex)]).toEqual([
            each,
            list.indexOf(each),
            ["aa0001", "aa0002", "aa0003"],
          ]);
          expect(rejects.map(({ column }) => column)).toEqual([list.indexOf(each) + 1]);
        }
      }
    }
  }, 60_000);

  test("a row's time is its message's, and a position has its own", async () => {
    const text = await corpus("readsb-newest-jitter.json");
    const { rows, report } = await bench.load(text, { newestBy: "updated_at" });
    expect(rows[0]).toMatchObject({
      altitude: 9000,
      squawk: "7700",
      updated_at: 1_700_000_001_300,
      position_at: 1_699_999_995_400,
    });
    expect(report).toMatchObject({ inserted: 1, updated: 1, stale: 0 });
    const flights = await bench.load(text, { newestBy: "updated_at" }, FlightState);
    expect(flights.rows[0]).toMatchObject({ altitude: 9000, updated_at: 1_700_000_001 });
  });

  test("an older position leaves a newer one, although its message is newer", async () => {
    const aircraft = (now: number, lat: number, pos: number, altitude: number): string =>
      `{"now":${now},"aircraft":[{"hex":"a","lat":${lat},"lon":1,"seen_pos":${pos},` +
      `"alt_baro":${altitude},"seen":0}]}`;
    const text = `${aircraft(1700000000, 1, 1, 100)}\n${aircraft(1700000010, 2, 30, 200)}\n`;
    const { rows } = await bench.load(text, { newestBy: "updated_at" });
    expect(rows[0]).toMatchObject({ lat: 1, altitude: 200, position_at: 1_699_999_999_000 });
    const late = `${aircraft(1700000010, 2, 0, 200)}\n${aircraft(1700000000, 1, 0, 100)}\n`;
    const stale = await bench.load(late, { newestBy: "updated_at" });
    expect(stale.report).toMatchObject({ inserted: 1, stale: 1 });
  });

  test("partial observations update what they name; lastPosition is a position", async () => {
    const { rows, rejects } = await bench.load(await corpus("readsb-nopos-updates.json"));
    expect(rejects).toEqual([]);
    expect(rows[0]).toMatchObject({
      hex: "aaaa01",
      altitude: 12000,
      gs: 420,
      lat: 40.2,
      lon: -70.2,
      position_at: 1_700_000_005_000,
      updated_at: 1_700_000_069_900,
    });
    const known =
      '{"now":1700000000,"aircraft":[{"hex":"a","flight":"X","lat":1,"lon":2,' +
      '"alt_baro":1,"gs":1,"seen":0}]}';
    const part =
      '{"now":1700000001,"aircraft":[{"hex":"a","flight":"X","alt_baro":2,"seen":0},' +
      '{"hex":"b","alt_baro":3,"seen":0}]}';
    const flights = await bench.load(`${known}\n${part}`, {}, FlightState);
    expect(flights.rows).toMatchObject([{ flight_id: "X", lat: 1, lon: 2, altitude: 2, gs: 1 }]);
    expect(flights.rejects).toMatchObject([{ line: 2, column: 2, code: "refused" }]);
    const rough =
      '{"hex":"c","rr_lat":45.5,"rr_lon":7.5,"seen":0},' +
      '{"hex":"d","lat":0,"lon":0,"validposition":0}';
    const { rows: two } = await bench.load(`{"now":1700000000,"aircraft":[${rough}]}`);
    expect(two.map((row) => pick(row, "hex", "lat", "lon"))).toEqual([
      ["c", 45.5, 7.5],
      ["d", null, null],
    ]);
  });

  test("airframes are keyed by their address", async () => {
    const { rows } = await bench.load(await corpus("readsb-same-callsign.json"));
    expect(rows.map((row) => pick(row, "hex", "flight", "altitude", "on_ground"))).toEqual([
      ["3c0001", "TUI6G", 32000, false],
      ["3c0002", "TUI6G", 34350, false],
      ["a00001", "00000000", 3000, false],
      ["a00002", "00000000", 2500, false],
      ["a00003", "@@@@@@@@", 2600, false],
      ["~2b0001", "N", null, true],
    ]);
  });

  test("members fill the columns of their names, text as numbers and numbers as text", async () => {
    const own = defineTable("own", {
      hex: t.string(8).primaryKey(),
      r: t.string(12).nullable(),
      t: t.string(8).nullable(),
      emergency: t.string(12).nullable(),
      mach: t.decimal(3).nullable(),
      nic: t.u8().nullable(),
      about: t.string(40).alias("desc").nullable(),
      squawk: t.string(4).nullable(),
      lat: t.decimal(6).nullable(),
      alt: t.i32().nullable(),
    });
    const { rows, rejects } = await bench.load(await corpus("readsb-own-members.json"), {}, own);
    expect(rejects).toEqual([]);
    expect(rows).toEqual([
      {
        hex: "a00001",
        r: "N1",
        t: "C172",
        emergency: "general",
        mach: 0.84,
        nic: 8,
        about: "CESSNA",
        squawk: "7700",
        lat: 51.5,
        alt: null,
      },
    ]);
    const built = await bench.load(await corpus("readsb-own-members.json"));
    expect(built.rows[0]).toMatchObject({
      registration: "N1",
      type: "C172",
      on_ground: true,
      altitude: null,
      squawk: "7700",
      lat: 51.5,
    });
  });

  test("every wrapping, plain and compressed, gives the same rows", async () => {
    const aircraft = { hex: "A80001", flight: "N100AA  ", alt_baro: 4600, gs: 111.9, seen: 0 };
    const one = JSON.stringify(aircraft);
    const row = { hex: "a80001", flight: "N100AA", altitude: 4600, gs: 111.9 };
    const wrappings: Record<string, string> = {
      aircraft: `{"now":1700000000.5,"messages":1,"aircraft":[${one}]}`,
      ac: `{"ac":[${one}],"msg":"No error","now":1700000000500,"total":1}`,
      last: `{"aircraft":[${one}],"resultCount":1,"ptime":0,"now":1700000000500}`,
      line: `${one}\n`,
      list: `[${one}]`,
      pretty: JSON.stringify([aircraft], null, 2),
      stamped: JSON.stringify({ ...aircraft, now: 1_700_000_000.5 }),
    };
    for (const [name, text] of Object.entries(wrappings)) {
      for (const source of [text, gzipSync(text), zstdCompressSync(text)]) {
        const { rows, rejects } = await bench.load(source);
        expect([name, rejects]).toEqual([name, []]);
        expect(rows).toMatchObject([row]);
        const hasTime = text.includes('"now"');
        expect(rows[0]?.["updated_at"]).toBe(hasTime ? 1_700_000_000_500 : null);
      }
    }
    const v2 = await bench.load(await corpus("adsblol-v2.json"));
    expect(v2.rows[0]).toMatchObject({
      hex: "a80001",
      type: "C172",
      registration: "N100AA",
      source: "adsb_icao",
      geom_altitude: 4550,
      track: 208.86,
      lat: 42.494512,
      updated_at: 1_700_000_000_123,
      position_at: 1_699_999_999_898,
    });
  });

  test("times that cannot be are refused, and said", async () => {
    for (const now of ["5", "1e30", '"soon"', "-1700000000"]) {
      const { rows, rejects } = await bench.load(`{"now":${now},"aircraft":[{"hex":"a"}]}`);
      expect(rows).toEqual([]);
      expect(rejects.length).toBe(1);
      expect(rejects[0]?.reason).toContain("now");
    }
  });

  test("callsigns that are blank are null; text that is no JSON is a reject", async () => {
    const text =
      '{"now":1700000000,"aircraft":[{"hex":"a","flight":"        "}]}\n' +
      'junk {\n{"now":1700000000}\n';
    const { rows, rejects } = await bench.load(text);
    expect(rows).toMatchObject([{ hex: "a", flight: null }]);
    expect(rejects.map(({ line, reason }) => [line, reason])).toEqual([
      [2, "a snapshot is a JSON object"],
      [3, 'a snapshot has a list "aircraft"'],
    ]);
  });
});

describe("feeds: opensky and sbs", () => {
  test("state vectors of 17 and 18 fields, in the units of the table", async () => {
    const { rows, rejects } = await bench.load(await corpus("opensky-states.json"));
    expect(rejects).toEqual([]);
    expect(rows).toMatchObject([
      {
        hex: "3c0001",
        flight: "DLH5HR",
        lat: 59.6533,
        lon: 17.9293,
        altitude: null,
        on_ground: true,
        gs: 1,
        track: 101.25,
        squawk: "5201",
        updated_at: 1_699_999_999_000,
        position_at: 1_699_999_990_000,
        source: "adsb_icao",
      },
      { hex: "e40002", flight: null, lat: null, on_ground: false, updated_at: 1_699_999_999_000 },
    ]);
    const flying =
      '["4b1803","SWR1  ","Switzerland",1700000000,1700000000,8.5,47.4,10668,false,231.5,90,' +
      "-5.2,null,10972.8,null,false,2]";
    const own = defineTable("own_states", {
      icao24: t.string(6).primaryKey(),
      altitude: t.i32(),
      gs: t.u16(),
      vertical_rate: t.i32(),
      velocity: t.f64(),
      baro_altitude: t.f64(),
      origin_country: t.string(40),
    });
    const units = await bench.load(`{"time":1700000000,"states":[${flying}]}`, {}, own);
    expect(units.rows).toEqual([
      {
        icao24: "4b1803",
        altitude: 35000,
        gs: 450,
        vertical_rate: -1024,
        velocity: 231.5,
        baro_altitude: 10668,
        origin_country: "Switzerland",
      },
    ]);
    const none = await bench.load('{"time":1700000000,"states":null}');
    expect([none.rows, none.rejects]).toEqual([[], []]);
  });

  test("the history's CSV", async () => {
    const text =
      "time,icao24,lat,lon,velocity,heading,vertrate,callsign,onground,alert,spi," +
      "squawk,baroaltitude,geoaltitude,lastposupdate,lastcontact\n" +
      "1700000000,3C0001,47.5,8.5,231.5,90.0,0.0,SWR1    ,False,False,False," +
      "1000,10668.0,10972.8,1699999999.5,1700000000.25\n" +
      "1700000010,3c0001,,,,,,,,,,,,,,1700000010.0\n" +
      "1700000010,3c0002,1\n";
    const { rows, rejects } = await bench.load(text, { name: "states.csv" });
    expect(rows).toMatchObject([
      {
        hex: "3c0001",
        flight: "SWR1",
        lat: 47.5,
        altitude: 35000,
        gs: 450,
        on_ground: false,
        squawk: "1000",
        updated_at: 1_700_000_010_000,
        position_at: 1_699_999_999_500,
      },
    ]);
    expect(rejects).toMatchObject([{ line: 4 }]);
  });

  test("parts of BaseStation messages meet in the row of their address", async () => {
    const { rows, rejects } = await bench.load(await corpus("sbs.csv"), { name: "sbs.csv" });
    expect(rejects).toEqual([]);
    expect(rows).toMatchObject([
      {
        hex: "3c4969",
        flight: "TUI6G",
        gs: 451,
        track: 123,
        vertical_rate: 64,
        squawk: "1000",
        on_ground: false,
        lat: null,
        updated_at: Date.UTC(2024, 10, 27, 15, 36, 35, 478),
      },
      { hex: "4ca4e5", flight: "RYR1427", updated_at: Date.UTC(2010, 1, 19, 18, 6, 7, 710) },
      {
        hex: "781431",
        altitude: 6450,
        lat: 35.0807,
        lon: 118.12477,
        position_at: Date.UTC(2025, 6, 22, 2, 45, 7, 9),
      },
    ]);
    const bad =
      "MSG,9,1,1,A,1,,,,,,,,,,,,,,,,\nMSG,3,1,1,XYZ,1,,,,,,,,,,,,,,,,\n" +
      "MSG,3,1,1,A1,1,,,,,,x,,,,,,,,,,\n";
    const refused = await bench.load(bad, { format: "sbs" });
    expect(refused.rejects.map(({ line }) => line)).toEqual([1, 2, 3]);
  });
});

describe("feeds: law 1, however cut", () => {
  const files = [
    "adsblol-v2.json",
    "csv-mid-bom.csv",
    "csv-semicolon.csv",
    "opensky-states.json",
    "readsb-line-by-line.json",
    "readsb-truncated-then-good.json",
    "sbs.csv",
  ];
  for (const file of files) {
    test(`${file}: the same rows however cut`, async () => {
      const bytes = await corpus(file);
      const whole = await bench.load(bytes);
      const step = Math.max(1, Math.floor(bytes.length / 40));
      const cuts = Array.from({ length: Math.floor(bytes.length / step) }, (_, i) => i * step);
      const ways = [
        ...[1, 2, 7, 64].map((size) => piecesOf(bytes, size)),
        ...cuts.map((cut) => [bytes.subarray(0, cut), bytes.subarray(cut)]),
        Buffer.from(bytes)
          .toString("latin1")
          .split(/(?<=\n)/)
          .map((line) => Buffer.from(line, "latin1")),
      ];
      for (const pieces of ways) {
        const cut = await bench.load(pieces);
        expect(cut.rows).toEqual(whole.rows);
        expect(cut.rejects).toEqual(whole.rejects);
        expect(cut.look).toBe(whole.look);
      }
    }, 60_000);
  }
});

test("feeds: Aircraft has the columns that are promised", () => {
  expect(Aircraft.columns.map(({ name }) => name).join(" ")).toBe(
    "hex flight lat lon altitude geom_altitude gs track vertical_rate squawk emergency category " +
      "registration type on_ground updated_at position_at source rssi",
  );
});
