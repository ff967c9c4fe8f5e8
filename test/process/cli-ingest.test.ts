/** `ingest` and `feed` as people use them: what is found by looking, and what is kept by name. */
import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { CliSandbox } from "../support/cli.ts";

const snapshot =
  '{"now":1700000000,"aircraft":[{"hex":"A1","flight":"T1  ","alt_baro":"ground","seen":0},' +
  '{"hex":"~b2","alt_baro":1200,"lat":1.5,"lon":2.5,"seen":1,"seen_pos":2}]}\n';
const sbs = "MSG,3,1,1,A1,1,2025/07/22,02:45:07.009,,,,6450,,,35.0807,118.12477,,,0,0,0,0\n";

describe("ingest by looking", () => {
  test("feeds of aircraft go to Aircraft, which is created", async () => {
    using sandbox = new CliSandbox();
    const file = await sandbox.write("a.json.gz", new Uint8Array(gzipSync(snapshot)));
    const first = await sandbox.run(["ingest", file]);
    expect(first.stderr).toBe("readsb records, into Aircraft\n");
    expect(first.status).toBe(0);
    const second = await sandbox.run(["ingest", "-"], { stdin: sbs });
    expect(second).toMatchObject({ status: 0, stderr: "sbs records, into Aircraft\n" });
    expect(await sandbox.json("search", "--table", "Aircraft", "-sort hex")).toMatchObject([
      { hex: "a1", flight: "T1", altitude: 6450, on_ground: false, lat: 35.0807 },
      { hex: "~b2", altitude: 1200, lat: 1.5, position_at: 1_699_999_998_000 },
    ]);
    const old = await sandbox.run(
      ["ingest", "-", "--newest", "updated_at,position_at=lat+lon", "--json"],
      { stdin: snapshot },
    );
    expect(JSON.parse(old.stdout)).toMatchObject({ stale: 1, unchanged: 1 });
  });

  test("other text goes to FlightState; the dialect is said when it is another", async () => {
    using sandbox = new CliSandbox();
    const file = await sandbox.write("a.csv", "AAL1;40.1;-70.1;1000;100;1\n");
    const run = await sandbox.run(["ingest", file]);
    expect(run).toMatchObject({
      status: 0,
      stderr: "semicolon-separated, no header, 6 columns\n",
    });
    expect(await sandbox.json("get", "AAL1")).toMatchObject([{ altitude: 1000 }]);
  });

  test("Parquet needs its package, and the message names it", async () => {
    using sandbox = new CliSandbox();
    await sandbox.print("create", "q", "symbol:string(8):pk");
    const file = await sandbox.write("q.parquet", "PAR1 and so on PAR1");
    const run = await sandbox.run(["ingest", file, "--table", "q"], { cwd: sandbox.directory });
    expect(run.status).toBe(1);
    expect(run.stderr).toStartWith("IO_ERROR: reading Parquet input: ");
    expect(run.stderr).toContain("hyparquet");
  });

  test("options are saved as a feed, and what is given beside it counts", async () => {
    using sandbox = new CliSandbox();
    await sandbox.print("create", "q", "symbol:string(8):pk", "last:decimal(2):nullable");
    const words = ["--table", "q", "--columns", "A=symbol,B=last", "--decimal-comma", "--round"];
    await sandbox.print("feed", "add", "market", ...words);
    expect(await sandbox.print("feed", "list")).toContain("market --table q --columns A=symbol");
    const run = await sandbox.run(["ingest", "-", "--feed", "market", "--null", "NA"], {
      stdin: "A;B;C\nX;1,255;1\nY;NA;2\n",
    });
    expect(run).toMatchObject({
      status: 0,
      stderr: "semicolon-separated, header, 3 columns, 1 not in the table (ignored)\n",
    });
    expect(await sandbox.json("search", "--table", "q", "-sort symbol")).toEqual([
      { symbol: "X", last: 1.26 },
      { symbol: "Y", last: null },
    ]);
    const unknown = await sandbox.run(["ingest", "-", "--feed", "markt"], { stdin: "" });
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toContain("did you mean market?");
    await sandbox.print("feed", "remove", "market");
    expect(await sandbox.print("feed", "list")).toBe("");
  });

  test("mistakes in options are told with the usage", async () => {
    using sandbox = new CliSandbox();
    for (const words of [
      ["--separator", "ab"],
      ["--escape", "slash"],
      ["--time-unit", "h"],
      ["--header", "--no-header"],
      ["--skip", "-1"],
    ]) {
      const run = await sandbox.run(["ingest", "-", ...words], { stdin: "" });
      expect([words, run.status]).toEqual([words, 2]);
    }
  });

  test("64-bit integers are numbers while safe, and digits beyond", async () => {
    using sandbox = new CliSandbox();
    await sandbox.print("create", "w", "id:u64:pk", "n:i64");
    const lines = '{"id":18446744073709551615,"n":-9007199254740993}\n{"id":1,"n":2}\n';
    await sandbox.run(["ingest", "-", "--table", "w"], { stdin: lines });
    const exported = await sandbox.print(
      "export",
      "--table",
      "w",
      "--format",
      "ndjson",
      "-sort id",
    );
    expect(exported).toBe(
      '{"id":1,"n":2}\n{"id":"18446744073709551615","n":"-9007199254740993"}\n',
    );
    const again = await sandbox.run(["ingest", "-", "--table", "w", "--json"], { stdin: exported });
    expect(JSON.parse(again.stdout)).toMatchObject({ unchanged: 2, rejected: 0 });
  });

  test("a row that reads as a header is exported after an empty line", async () => {
    using sandbox = new CliSandbox();
    await sandbox.print("create", "h", "id:string(8):pk", "v:string(8)");
    await sandbox.run(["ingest", "-", "--table", "h", "--no-header"], { stdin: "id\tv\n" });
    for (const format of ["tsv", "csv"]) {
      const exported = await sandbox.print("export", "--table", "h", "--format", format);
      const run = await sandbox.run(["ingest", "-", "--table", "h", "--json"], { stdin: exported });
      expect(JSON.parse(run.stdout)).toMatchObject({ rows: 1, unchanged: 1 });
    }
  });
});
