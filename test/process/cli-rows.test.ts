/** The command line with data: rows in, searches out, the same rows back. */
import { describe, expect, test } from "bun:test";
import { CliSandbox, runOnTerminal } from "../support/cli.ts";

const flights = [
  ["UAL1", "40.100000", "-73.500000", "31000", "450", "1700000000"],
  ["UAL2", "41.000000", "-74.000000", "12000", "300", "1700000010"],
  ["DAL9", "-33.250000", "151.000001", "37000", "480", "1700000020"],
  ["SWR7", "47.458000", "8.548000", "0", "0", "1700000030"],
];
const tsv = flights.map((fields) => `${fields.join("\t")}\n`).join("");

describe("ingest", () => {
  test("standard input into FlightState, which is created", async () => {
    using sandbox = new CliSandbox();
    const first = await sandbox.run(["ingest", "-", "--json"], { stdin: tsv });
    expect(first.stderr).toBe("");
    expect(first.status).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({ rows: 4, inserted: 4, rejected: 0 });
    const second = await sandbox.run(["ingest", "-"], { stdin: tsv });
    expect(second.stdout).toStartWith(
      "4 rows: 0 inserted, 0 updated, 4 unchanged, 0 stale, 0 rejected\n",
    );
  });

  test("a compressed file, in batches, of another format, with a header", async () => {
    using sandbox = new CliSandbox();
    const csv = `flight,alt,lat,lon,gs,ts\nA,1,2,3,4,5\n"B",1,2,3,4,5\nA,9,2,3,4,6\n`;
    const path = await sandbox.write("f.csv.gz", Bun.gzipSync(Buffer.from(csv)));
    const [report] = await sandbox.json("ingest", path, "--header", "--batch", "2");
    expect(report).toMatchObject({ rows: 3, inserted: 2, updated: 1, batches: 2 });
    expect(await sandbox.print("get", "A", "--tsv")).toBe("A\t2\t3\t9\t4\t6\n");
  });

  test("--newest drops what is older", async () => {
    using sandbox = new CliSandbox();
    const lines = `A\t1\t1\t100\t1\t20\nA\t1\t1\t200\t1\t10\nA\t1\t1\t300\t1\t20\n`;
    const run = await sandbox.run(["ingest", "-", "--newest", "updated_at", "--json"], {
      stdin: lines,
    });
    expect(JSON.parse(run.stdout)).toMatchObject({ rows: 3, inserted: 1, updated: 1, stale: 1 });
    expect(await sandbox.json("get", "A")).toMatchObject([{ altitude: 300 }]);
  });

  const bad = "A\t1\t1\tx\t1\t1\nB\t1\t1\t1\t70000\t1\nC\t1\nD\t1\t1\t1\t1\t1\n";

  test("bad lines are counted and explained, the others are in, the status is 1", async () => {
    using sandbox = new CliSandbox();
    const run = await sandbox.run(["ingest", "-", "--json"], { stdin: bad });
    expect(run.status).toBe(1);
    expect(JSON.parse(run.stdout)).toMatchObject({ rows: 4, inserted: 1, rejected: 3 });
    expect(run.stderr.split("\n")).toEqual([
      "3 bad lines; --rejects FILE keeps them",
      expect.stringMatching(/^ {2}line 1, column 4: .*altitude.*"x" is not a number/),
      expect.stringMatching(/^ {2}line 2, column 5: .*gs.*70000.*out of range/),
      expect.stringMatching(/^ {2}line 3, column 3: .*missing column/),
      "",
    ]);
    expect(await sandbox.print("search", "--count")).toBe("1\n");
  });

  test("bad lines go to a file that can be corrected and ingested", async () => {
    using sandbox = new CliSandbox();
    const rejects = sandbox.path("rejects.tsv");
    const run = await sandbox.run(["ingest", "-", "--rejects", rejects], { stdin: bad });
    expect(run.status).toBe(1);
    expect(run.stderr).toBe(`3 bad lines, in ${rejects}\n`);
    const lines = (await Bun.file(rejects).text()).trimEnd().split("\n");
    expect(lines.map((line) => line.split("\t").slice(0, 2).join(":"))).toEqual([
      "1:4",
      "2:5",
      "3:3",
    ]);
    const again = lines.map((line) => line.split("\t").slice(3).join("\t")).join("\n");
    expect(again).toBe(bad.split("\n").slice(0, 3).join("\n"));
  });

  test("--strict stops at the first bad line and keeps nothing of its batch", async () => {
    using sandbox = new CliSandbox();
    const run = await sandbox.run(["ingest", "-", "--strict"], { stdin: `${tsv}${bad}` });
    expect(run.status).toBe(1);
    expect(run.stdout).toBe("");
    expect(run.stderr).toMatch(/^INVALID_VALUE: [^\n]*line 5, column 4[^\n]*\n$/);
    expect(await sandbox.print("search", "--count")).toBe("0\n");
  });
});

describe("search, get, explain", () => {
  test("rows in each form", async () => {
    using sandbox = new CliSandbox();
    await sandbox.run(["ingest", "-"], { stdin: tsv });
    const query = "-compare {> altitude 10000} -sort -altitude -fields {flight_id altitude}";
    const lines = "DAL9\t37000\nUAL1\t31000\nUAL2\t12000\n";
    expect(await sandbox.print("search", query)).toBe(lines);
    expect(await sandbox.print("search", query, "--tsv", "--header")).toBe(
      `flight_id\taltitude\n${lines}`,
    );
    expect(await sandbox.json("search", query)).toEqual([
      { flight_id: "DAL9", altitude: 37000 },
      { flight_id: "UAL1", altitude: 31000 },
      { flight_id: "UAL2", altitude: 12000 },
    ]);
    expect(await sandbox.print("search", query, "--count")).toBe("3\n");
    expect(await sandbox.json("search", query, "--count")).toEqual([{ count: 3 }]);
    expect(await sandbox.json("search", "-countOnly 1")).toEqual([{ count: 4 }]);
    // The same query as words of the shell.
    const words = ["-compare", "{> altitude 10000}", "-sort", "-altitude", "-limit", "1"];
    expect(await sandbox.print("search", ...words)).toStartWith("DAL9\t");
  });

  test("a table on a terminal", async () => {
    using sandbox = new CliSandbox();
    await sandbox.run(["ingest", "-"], { stdin: tsv });
    const search = sandbox.command("search", "-compare {match flight_id ual*} -sort flight_id");
    expect((await runOnTerminal(search)).stdout.split("\n")).toEqual([
      "flight_id        lat         lon  altitude   gs  updated_at",
      "─────────  ─────────  ──────────  ────────  ───  ──────────",
      "UAL1       40.100000  -73.500000     31000  450  1700000000",
      "UAL2       41.000000  -74.000000     12000  300  1700000010",
      "2 rows",
      "",
    ]);
    expect((await runOnTerminal(sandbox.command("get", "SWR7"))).stdout.split("\n")).toEqual([
      "flight_id   SWR7",
      "lat         47.458000",
      "lon         8.548000",
      "altitude    0",
      "gs          0",
      "updated_at  1700000030",
      "",
    ]);
  });

  test("get: a row, or status 1 and no output", async () => {
    using sandbox = new CliSandbox();
    await sandbox.run(["ingest", "-"], { stdin: tsv });
    expect(await sandbox.json("get", "DAL9")).toEqual([
      {
        flight_id: "DAL9",
        lat: -33.25,
        lon: 151.000001,
        altitude: 37000,
        gs: 480,
        updated_at: 1700000020,
      },
    ]);
    expect(await sandbox.print("get", "DAL9")).toBe(
      "DAL9\t-33.25\t151.000001\t37000\t480\t1700000020\n",
    );
    const absent = await sandbox.run(["get", "DAL8"]);
    expect(absent).toEqual({ status: 1, stdout: "", stderr: "FlightState has no row DAL8\n" });
  });

  test("get: keys that look like options or numbers", async () => {
    using sandbox = new CliSandbox();
    await sandbox.print("create", "n", "id:i64:pk", "name:string(9)");
    const stdin = "-5\tminus\n9223372036854775807\tmost\n";
    await sandbox.run(["ingest", "-", "--table", "n"], { stdin });
    expect(await sandbox.json("get", "-5", "--table", "n")).toEqual([{ id: -5, name: "minus" }]);
    expect(await sandbox.print("get", "9223372036854775807", "--table", "n")).toBe(
      "9223372036854775807\tmost\n",
    );
  });

  test("explain: the route, and with --analyze what was measured", async () => {
    using sandbox = new CliSandbox();
    await sandbox.run(["ingest", "-"], { stdin: tsv });
    const plan = await sandbox.print("explain", "-compare {= flight_id UAL1}");
    expect(plan).toStartWith("search FlightState by primary key\n");
    expect(plan).not.toContain("measured");
    const [analyzed] = await sandbox.json("explain", "-compare {> altitude 30000}", "--analyze");
    expect(analyzed).toMatchObject({ table: "FlightState", measured: { returned: 2 } });
  });
});

describe("tables, export and the rest", () => {
  const declared = [
    "id:u32:pk",
    "name:string(9):unique:nullable",
    "kind:enum(cargo,passenger):default=cargo:index",
    "price:decimal(2):nullable",
    "big:i64:nullable",
    "raw:bytes(4):nullable:alias=blob",
  ];

  test("create, and create again; tables lists columns and rows", async () => {
    using sandbox = new CliSandbox();
    const created = await sandbox.print("create", "parts", ...declared);
    expect(created).toBe("table parts (id, name, kind, price, big, raw)\n");
    expect(await sandbox.print("create", "parts", ...declared)).toBe(created);
    const [listed] = await sandbox.json("tables");
    expect(listed).toMatchObject([
      {
        name: "parts",
        rows: 0,
        columns: [
          { name: "id", type: "u32", primaryKey: true },
          { name: "name", type: "string(9)", unique: true, nullable: true },
          { name: "kind", type: "enum(cargo,passenger)", indexed: true, default: "cargo" },
          { name: "price", type: "decimal(2)" },
          { name: "big", type: "i64" },
          { name: "raw", type: "bytes(4)", aliases: ["blob"] },
        ],
      },
    ]);
    expect(await sandbox.print("tables", "parts")).toContain("index, default cargo");
  });

  for (const format of ["tsv", "csv", "ndjson"] as const) {
    test(`export to ${format} and back gives the same rows`, async () => {
      using sandbox = new CliSandbox();
      await sandbox.print("create", "parts", ...declared);
      const rows = [
        { id: 1, name: 'a\t"b",\n', kind: "passenger", price: -0.05, big: null, raw: "00ff" },
        { id: 2, name: null, kind: "cargo", price: null, big: 5, raw: "" },
      ];
      const stdin = rows.map((row) => JSON.stringify(row)).join("\n");
      const loaded = await sandbox.run(["ingest", "-", "--table", "parts", "--format", "ndjson"], {
        stdin,
      });
      expect(loaded.stderr).toBe("");
      const exported = await sandbox.print("export", "--table", "parts", "--format", format);
      using other = new CliSandbox();
      await other.print("create", "parts", ...declared);
      const words = ["ingest", "-", "--table", "parts", "--format", format];
      const reloaded = await other.run(words, { stdin: exported });
      expect(reloaded.stderr).toBe("");
      const sorted = ["search", "--table", "parts", "-sort id"];
      expect(await other.json(...sorted)).toEqual(rows);
      expect(await other.json(...sorted)).toEqual(await sandbox.json(...sorted));
    });
  }

  test("stats, check, config and checkpoint", async () => {
    using sandbox = new CliSandbox();
    await sandbox.run(["ingest", "-"], { stdin: tsv });
    const [stats] = await sandbox.json("stats");
    expect(stats).toBeObject();
    expect(await sandbox.print("stats")).toContain("  ");
    expect(await sandbox.json("check")).toMatchObject([{ ok: true, problems: [] }]);
    const key = "aerostore.checkpoint_interval_secs";
    expect(await sandbox.print("config", "get", key)).toBe("300\n");
    expect(await sandbox.print("config", "set", key, "60")).toBe("60\n");
    expect(await sandbox.json("config", "get", key)).toEqual([{ [key]: "60" }]);
    const [report] = await sandbox.json("checkpoint");
    expect(report).toMatchObject({ rows: 4 });
  });
});
