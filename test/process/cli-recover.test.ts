import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineTable, open, t } from "../../src/index.ts";
import type { Database } from "../../src/index.ts";
import { CliSandbox, runOnTerminal } from "../support/cli.ts";

const Notes = defineTable("Notes", { id: t.u32().primaryKey(), text: t.string(40) });

async function openIn(sandbox: CliSandbox): Promise<Database> {
  return open(sandbox.data, { shmPath: sandbox.shmPath, maxBytes: 32 << 20, tables: [Notes] });
}

/** A batch of the log for each of `count` commits. */
async function fill(db: Database, count: number, from = 0): Promise<void> {
  for (let id = from; id < from + count; id++) {
    db.table(Notes).upsert({ id, text: `note number ${id}.` });
    await db.durable();
  }
}

/**
 * Changes a byte of the text of note `id` in the log; the name of the file, which another writer
 * may have renamed by then.
 */
function damageLog(sandbox: CliSandbox, id: number): string {
  for (const name of readdirSync(sandbox.data)) {
    if (!name.startsWith("aerostore.wal")) continue;
    const path = join(sandbox.data, name);
    const bytes = readFileSync(path);
    const at = bytes.indexOf(`note number ${id}.`);
    if (at < 0) continue;
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
    return name;
  }
  throw new Error(`note ${id} is in no log file`);
}

test("recover: a damaged log is cut at the place that the error names, and kept", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 20);
  db.close();
  rmSync(sandbox.shmPath);
  const name = damageLog(sandbox, 12);
  const damaged = readFileSync(join(sandbox.data, name));
  for (const command of ["check", "recover", "tables"]) {
    const refused = await sandbox.run([command]);
    expect(refused).toMatchObject({ status: 1, stdout: "" });
    expect(refused.stderr).toStartWith("WAL_CORRUPT: ");
    expect(refused.stderr).toMatch(/a batch is damaged|it ends before the next file begins/);
  }
  const { stderr } = await sandbox.run(["check"]);
  const [, place = ""] = /--truncate-at (aerostore\.wal[.\d]*:\d+)/.exec(stderr) ?? [];
  const [report] = await sandbox.json("recover", "--truncate-at", place);
  expect(report).toMatchObject({ copy: `${name}.kept` });
  expect(report).toMatchObject({ mode: "ColdReplay", truncatedBytes: 0 });
  expect(readFileSync(join(sandbox.data, `${name}.kept`))).toEqual(damaged);
  using again = await openIn(sandbox);
  expect(again.table(Notes).count()).toBe(12);
  expect(again.check().problems).toEqual([]);
});

test("recover: a checkpoint without its log is refused, and begun anew on order", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 10);
  await db.checkpoint();
  await fill(db, 10, 10);
  db.close();
  rmSync(sandbox.shmPath);
  const log = join(sandbox.data, "aerostore.wal");
  const bytes = readFileSync(log);
  rmSync(log);
  const refused = await sandbox.run(["check"]);
  expect(refused).toMatchObject({ status: 1 });
  expect(refused.stderr).toContain(`${log}: the newest log file is missing`);
  // Also where nothing is left that remembers it.
  const epoch = join(sandbox.data, "aerostore.epoch");
  const remembered = readFileSync(epoch);
  rmSync(epoch);
  const unknown = await sandbox.run(["check"]);
  expect(unknown.stderr).toContain(`${log}: the beginning of the log is missing, or a checkpoint`);
  writeFileSync(epoch, remembered);
  writeFileSync(log, bytes);
  // Nothing of the file is to remain: what the checkpoint has does.
  const [report] = await sandbox.json("recover", "--truncate-at", "aerostore.wal:0");
  expect(report).toMatchObject({ setAsideFiles: 1, rowsLoaded: 10, recordsReplayed: 0 });
  expect(readFileSync(`${log}.kept`)).toEqual(bytes);
  using again = await openIn(sandbox);
  expect(again.table(Notes).count()).toBe(10);
  await fill(again, 5, 20);
  again.close();
  rmSync(sandbox.shmPath);
  using last = await openIn(sandbox);
  expect(last.table(Notes).count()).toBe(15);
});

test("recover: a log file that is gone is missed, whichever, and given up on order", async () => {
  using sandbox = new CliSandbox();
  for (const from of [0, 5, 10]) {
    // A cold start begins a file of its own.
    const db = await openIn(sandbox);
    await fill(db, 5, from);
    db.close();
    rmSync(sandbox.shmPath);
  }
  const files = readdirSync(sandbox.data).filter((name) => name.startsWith("aerostore.wal"));
  expect(files.length).toBe(3);
  for (const gone of files) {
    const path = join(sandbox.data, gone);
    const bytes = readFileSync(path);
    rmSync(path);
    const refused = await sandbox.run(["tables"]);
    expect(refused).toMatchObject({ status: 1, stdout: "" });
    expect(refused.stderr).toMatch(/^WAL_CORRUPT: .*(missing|ends before the next file begins)/);
    writeFileSync(path, bytes);
  }
  rmSync(join(sandbox.data, "aerostore.wal"));
  const { stderr } = await sandbox.run(["recover"]);
  const [, place = ""] = /--truncate-at (aerostore\.wal:0)/.exec(stderr) ?? [];
  const [report] = await sandbox.json("recover", "--truncate-at", place);
  expect(report).toMatchObject({ mode: "ColdReplay", setAsideFiles: 0 });
  using again = await openIn(sandbox);
  expect(again.table(Notes).count()).toBe(10);
});

test("recover: a database whose whole log is gone is not taken for a new one", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 3);
  db.close();
  rmSync(sandbox.shmPath);
  rmSync(join(sandbox.data, "aerostore.wal"));
  const refused = await sandbox.run(["tables"]);
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^WAL_CORRUPT: .*aerostore\.wal: the newest log file is missing/);
  const [report] = await sandbox.json("recover", "--truncate-at", "aerostore.wal:0");
  expect(report).toMatchObject({ mode: "ColdReplay", recordsReplayed: 0 });
  using again = await openIn(sandbox);
  await fill(again, 2);
  again.close();
  rmSync(sandbox.shmPath);
  using last = await openIn(sandbox);
  expect(last.table(Notes).count()).toBe(2);
});

test("recover: a log without the database's id is refused, and no other id made", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 3);
  db.close();
  rmSync(sandbox.shmPath);
  const path = join(sandbox.data, "aerostore.id");
  const bytes = readFileSync(path);
  rmSync(path);
  const refused = await sandbox.run(["tables"]);
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toStartWith(`CHECKPOINT_CORRUPT: reading the database id from ${path}: `);
  writeFileSync(path, bytes);
  using again = await openIn(sandbox);
  expect(again.table(Notes).count()).toBe(3);
});

test("recover: what is no file in a file's place is named", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 3);
  await db.checkpoint();
  db.close();
  rmSync(sandbox.shmPath);
  for (const name of ["aerostore.wal", "aerostore.epoch", "occ_checkpoint.dat"]) {
    const path = join(sandbox.data, name);
    const bytes = readFileSync(path);
    rmSync(path);
    mkdirSync(path);
    const refused = await sandbox.run(["check"]);
    expect(refused).toMatchObject({ status: 1, stdout: "" });
    expect(refused.stderr).toStartWith(`PERMISSION: recovering a database from ${path}: it is a`);
    rmdirSync(path);
    writeFileSync(path, bytes);
  }
  using again = await openIn(sandbox);
  expect(again.table(Notes).count()).toBe(3);
});

test("log: writers that end in order go on in one file", async () => {
  using sandbox = new CliSandbox();
  for (const from of [0, 2, 4, 6]) {
    const db = await openIn(sandbox);
    await fill(db, 2, from);
    db.close();
  }
  const files = readdirSync(sandbox.data).filter((name) => name.startsWith("aerostore.wal"));
  expect(files).toEqual(["aerostore.wal"]);
  rmSync(sandbox.shmPath);
  using cold = await openIn(sandbox);
  expect(cold.boot).toMatchObject({ mode: "ColdReplay", truncatedBytes: 0 });
  expect(cold.table(Notes).count()).toBe(8);
});

test("recover: nothing is cut while the segment has everything, or anybody uses it", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 3);
  const files = readdirSync(sandbox.data);
  for (const closed of [false, true]) {
    if (closed) db.close();
    const refused = await sandbox.run(["recover", "--truncate-at", "aerostore.wal:4096"]);
    expect(refused).toMatchObject({ status: 1, stdout: "" });
    expect(refused.stderr).toStartWith("PERMISSION: ");
    expect(refused.stderr).toContain("write a checkpoint instead");
  }
  expect(readdirSync(sandbox.data)).toEqual(files);
});

test("recover: what is no place in a log file is refused", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 3);
  db.close();
  rmSync(sandbox.shmPath);
  const cut = async (place: string) => sandbox.run(["recover", "--truncate-at", place]);
  expect(await cut("aerostore.wal")).toMatchObject({ status: 2 });
  expect(await cut("../aerostore.wal:0")).toMatchObject({ status: 2 });
  expect(await cut("aerostore.wal.77:0")).toMatchObject({ status: 1 });
  expect(await cut("aerostore.id:0")).toMatchObject({ status: 1 });
  expect(await cut("aerostore.wal:99999999999")).toMatchObject({ status: 1 });
  using again = await openIn(sandbox);
  expect(again.table(Notes).count()).toBe(3);
});

test("check: damage to files beside a living database is named with file and offset", async () => {
  using sandbox = new CliSandbox();
  const db = await openIn(sandbox);
  await fill(db, 5);
  await db.checkpoint();
  await fill(db, 20, 5);
  const name = damageLog(sandbox, 12);
  const path = join(sandbox.data, "occ_checkpoint.dat");
  const bytes = readFileSync(path);
  bytes[4_200] = (bytes[4_200] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const { status, stdout } = await sandbox.run(["check"]);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^occ_checkpoint\.dat at byte \d+: a block is damaged$/m);
  expect(stdout).toContain(`${name} at byte `);
  // The segment has everything: a checkpoint puts both right.
  await db.checkpoint();
  expect((await sandbox.run(["check"])).stdout).toBe("ok\n");
  db.close();
});

test("recover: a terminal sees a bar", async () => {
  using sandbox = new CliSandbox();
  const db = await open(sandbox.data, { shmPath: sandbox.shmPath, tables: [Notes] });
  const rows = Array.from({ length: 400_000 }, (_, id) => ({ id, text: `note ${id}` }));
  db.table(Notes).upsertMany(rows, { batch: 10_000 });
  await db.checkpoint();
  db.close();
  rmSync(sandbox.shmPath);
  const screen = await runOnTerminal(sandbox.command("recover"));
  expect(screen.status).toBe(0);
  expect(screen.stdout).toContain("\r\x1b[Krecovering █");
  expect(screen.stdout).toMatch(/rowsLoaded +400,000/);
  const writing = await runOnTerminal(sandbox.command("checkpoint"));
  expect(writing.stdout).toMatch(/rows +400,000/);
});
