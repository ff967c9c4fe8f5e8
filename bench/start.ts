/**
 * From `exec` to the first answer, as users start programs: with the installed package, compiled
 * with bytecode, and the command line's `get`, beside other stores, in times of an empty script.
 *
 *   bun bench/start.ts [rounds]
 *
 * Each round starts every program once, so that a busy moment meets all. Told are the least and the
 * median, and the least processor time, which a busy machine changes less.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../test/support/source.ts";
import { packCheckout, Stranger } from "../test/support/stranger.ts";

const rounds = Number(process.argv[2] ?? 25);
const bun = process.execPath;

const fill = `import { defineTable, open, t } from "aerostore";
const T = defineTable("T", { k: t.string(8).primaryKey(), a: t.i32().index() });
await using db = await open("./data", { tables: [T] });
for (let i = 0; i < 1000; i++) db.table(T).upsert({ k: "k" + i, a: i });
await db.durable();
`;
const program = `import { defineTable, open, t } from "aerostore";
const T = defineTable("T", { k: t.string(8).primaryKey(), a: t.i32().index() });
await using db = await open("./data", { tables: [T] });
console.log(db.table(T).search("-compare {{> a 5}} -limit 3").length);
`;
const fillSqlite = `import { Database } from "bun:sqlite";
const db = new Database("sqlite.db");
db.run("CREATE TABLE t (k TEXT PRIMARY KEY, a INTEGER)");
const insert = db.query("INSERT INTO t VALUES (?, ?)");
db.transaction(() => { for (let i = 0; i < 1000; i++) insert.run("k" + i, i); })();
`;
const sqlite = `import { Database } from "bun:sqlite";
console.log(new Database("sqlite.db").query("SELECT * FROM t WHERE a > 5 LIMIT 3").all().length);
`;
const betterSqlite = `import Database from ${module("better-sqlite3")};
console.log(new Database("sqlite.db").prepare("SELECT * FROM t WHERE a > 5 LIMIT 3").all().length);
`;
const lmdb = `import { open } from ${module("lmdb")};
const db = open({ path: "lmdb" });
console.log([...db.getRange({ limit: 3 })].length);
process.exit(0);
`;

function module(name: string): string {
  return JSON.stringify(Bun.resolveSync(name, import.meta.dir));
}

interface Samples {
  readonly wallMs: number[];
  readonly cpuMs: number[];
}

const packed = mkdtempSync(join(tmpdir(), "aerostore-start-"));
using stranger = new Stranger();
const folder = `linux-${process.arch}`;
const shipped = join(root, "zig-out", "package", "package", "lib", folder, "libaerostore.so");
if (!existsSync(shipped)) throw new Error("run `bun run package` first: its engine is measured");
await stranger.install(await packCheckout(packed, shipped));
rmSync(packed, { recursive: true });
for (const [name, text] of Object.entries({
  fill,
  program,
  fillSqlite,
  sqlite,
  betterSqlite,
  lmdb,
})) {
  stranger.write(`${name}.ts`, text);
}
stranger.write("empty.ts", "export {};\n");
await stranger.bun("fill.ts");
await stranger.bun("fillSqlite.ts");
const compiling = ["--compile", "--minify", "--bytecode", "--format=esm"];
await stranger.bun("build", ...compiling, "program.ts", "--outfile=compiled");

const command = join(stranger.installed, "dist", "cli.cjs");
const starts: Readonly<Record<string, readonly string[]>> = {
  "empty script": [bun, "empty.ts"],
  package: [bun, "program.ts"],
  "compiled with bytecode": ["./compiled"],
  "aerostore get": [bun, command, "get", "k1", "--table", "T", "--dir", "data"],
  "bun:sqlite": [bun, "sqlite.ts"],
  "better-sqlite3": [bun, "betterSqlite.ts"],
  lmdb: [bun, "lmdb.ts"],
};
const samples = new Map(
  Object.keys(starts).map((name): [string, Samples] => [name, { wallMs: [], cpuMs: [] }]),
);
for (let round = 0; round < rounds; round++) {
  for (const [name, words] of Object.entries(starts)) {
    const start = Bun.nanoseconds();
    const { status, errors, cpuMs } = await stranger.run(words);
    if (status !== 0) throw new Error(`${name}: ${errors}`);
    samples.get(name)?.wallMs.push((Bun.nanoseconds() - start) / 1e6);
    samples.get(name)?.cpuMs.push(cpuMs);
  }
}
const least = (values: readonly number[]): number => Math.min(...values);
const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
const empty = samples.get("empty script") ?? { wallMs: [], cpuMs: [] };
for (const [name, { wallMs, cpuMs }] of samples) {
  const ratios = [
    describe("least", least(wallMs), least(empty.wallMs)),
    describe("median", middle(wallMs), middle(empty.wallMs)),
    describe("processor", least(cpuMs), least(empty.cpuMs)),
  ];
  console.log(`${name.padEnd(24)} ${ratios.join("; ")}`);
}

function describe(name: string, ms: number, emptyMs: number): string {
  return `${name} ${ms.toFixed(1)} ms, ${(ms / emptyMs).toFixed(2)}x`;
}
