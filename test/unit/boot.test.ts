import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeIdentity } from "../../src/boot/build.ts";
import { releaseBootLock, takeBootLock } from "../../src/boot/files.ts";
import { attachedPids, segmentMagic, validateHeader } from "../../src/boot/header.ts";
import type { HeaderExpectation, SegmentLayouts } from "../../src/boot/header.ts";
import { makeDatabaseId, readIdentity } from "../../src/boot/identity.ts";
import { bootInitial, eventsOf, nothingRecovered, transition } from "../../src/boot/machine.ts";
import type { BootEvent, BootState, BootStateKind } from "../../src/boot/machine.ts";
import { pathsFor, segmentPathDefault } from "../../src/boot/paths.ts";
import { systemError } from "../../src/boot/failure.ts";
import { loadLibrary } from "../../src/ffi/library.ts";
import { Random } from "../support/random.ts";

const { symbols } = loadLibrary();

describe("machine", () => {
  const failed: BootEvent = { kind: "failed", error: new Error("x") };

  function run(...events: readonly BootEvent[]): { state: BootState; effects: string[] } {
    let state = bootInitial;
    const effects: string[] = [];
    for (const event of events) {
      const step = transition(state, event);
      state = step.state;
      effects.push(...step.effects.map(({ kind }) => kind));
    }
    return { state, effects };
  }

  const cold: readonly BootEvent[] = [
    { kind: "begin" },
    { kind: "locked" },
    { kind: "invalid", reason: "gone" },
    { kind: "unused" },
    { kind: "created" },
    { kind: "recovered", recovery: { ...nothingRecovered, rowsLoaded: 7 } },
    { kind: "published" },
  ];

  test("boot: a valid segment is attached warm", () => {
    const { state, effects } = run(
      { kind: "begin" },
      { kind: "locked" },
      { kind: "valid", wasClosed: true },
      { kind: "attached" },
    );
    expect(state).toMatchObject({ kind: "ready", mode: "WarmAttach" });
    expect(effects).toEqual(["lock", "probe", "attach", "unlock"]);
  });

  test("boot: without a segment one is created, recovered, then published", () => {
    const { state, effects } = run(...cold);
    expect(state).toMatchObject({ kind: "ready", mode: "ColdReplay", reason: "gone" });
    expect(state).toHaveProperty("recovery.rowsLoaded", 7);
    expect(effects).toEqual(["lock", "probe", "count", "create", "recover", "publish", "unlock"]);
  });

  test("boot: a segment that refuses to be attached is replaced like an invalid one", () => {
    const { state } = run(
      { kind: "begin" },
      { kind: "locked" },
      { kind: "valid", wasClosed: true },
      { kind: "refused", reason: "checksum" },
    );
    expect(state).toEqual({ kind: "counting", reason: "checksum" });
  });

  test("boot: every failure after the lock discards and unlocks", () => {
    for (let length = 2; length < cold.length; length++) {
      const { state, effects } = run(...cold.slice(0, length), failed);
      expect(state.kind).toBe("failed");
      expect(effects.slice(-2)).toEqual(["discard", "unlock"]);
    }
    expect(run({ kind: "begin" }, failed).effects).toEqual(["lock"]);
  });

  test("boot: an event that a state cannot get is a bug", () => {
    expect(() => transition(bootInitial, { kind: "locked" })).toThrow(
      'boot: the event "locked" is not possible while initial',
    );
    expect(() => transition({ kind: "failed", error: new Error() }, failed)).toThrow();
  });

  test("boot: every state but the ends can fail or begin", () => {
    const kinds: readonly BootStateKind[] = [
      ...(["locking", "probing", "attaching", "counting", "creating"] as const),
      ...(["recovering", "publishing"] as const),
    ];
    const state = (kind: BootStateKind): BootState => {
      const recovery = nothingRecovered;
      const error = new Error();
      return { kind, reason: "", recovery, mode: "WarmAttach", error, wasClosed: true };
    };
    for (const kind of kinds) expect(eventsOf(state(kind))).toContain("failed");
    expect(eventsOf(state("ready"))).toEqual([]);
    expect(eventsOf(state("failed"))).toEqual([]);
  });
});

describe("header", () => {
  const u64 = (offset: number): { offset: number; size: number } => ({ offset, size: 8 });
  const u32 = (offset: number): { offset: number; size: number } => ({ offset, size: 4 });
  const layouts: SegmentLayouts = {
    header: {
      size: 512,
      fields: {
        magic: u32(0),
        format_version: u32(4),
        fingerprint: u64(8),
        database_id: { offset: 16, size: 16 },
        boot_id: { offset: 32, size: 16 },
        lock_file: u64(48),
        first_csn: u64(64),
        geometry: { offset: 72, size: 96 },
        tail: u64(256),
        drained: u64(384),
        durable: u64(392),
        log_poisoned: u32(400),
        clean_shutdown: u32(404),
      },
    },
    geometry: {
      size: 112,
      fields: {
        size: u64(0),
        session_count: u32(8),
        cell_count: u32(12),
        latch_count: u32(16),
        outcome_count: u32(20),
        page_count: u32(24),
        extent_count: u32(28),
        sessions_offset: u64(32),
        cells_offset: u64(40),
        latches_offset: u64(48),
        outcomes_offset: u64(56),
        catalog_offset: u64(64),
        pages_offset: u64(72),
        extents_offset: u64(80),
        depot_offset: u64(88),
        arena_offset: u64(96),
        depot_count: u32(104),
      },
    },
    sessionSlot: { size: 64, fields: { attached: u32(16), pid: u32(20) } },
  };
  const fileSize = 4 << 20;
  const expected: HeaderExpectation = {
    formatVersion: 1,
    fingerprint: "3412000000000000",
    databaseId: "ab".repeat(16),
    bootId: "cd".repeat(16),
    lockFile: "ef".repeat(8),
    fileSize,
  };

  function header(): { bytes: Uint8Array; view: DataView } {
    const bytes = new Uint8Array(4096);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, segmentMagic, true);
    view.setUint32(4, 1, true);
    view.setBigUint64(8, 0x1234n, true);
    bytes.fill(0xab, 16, 32).fill(0xcd, 32, 48).fill(0xef, 48, 56);
    view.setBigUint64(64, 1n, true);
    view.setBigUint64(72, BigInt(fileSize), true);
    for (const [index, count] of [256, 1024, 4096, 8192, 256, 4].entries()) {
      view.setUint32(80 + index * 4, count, true);
    }
    view.setUint32(176, 256, true);
    for (let region = 0; region < 9; region++) {
      view.setBigUint64(104 + region * 8, BigInt((region + 1) * 256 * 1024), true);
    }
    view.setBigUint64(256, 9n, true);
    view.setBigUint64(384, (3n << 52n) | 8n, true);
    view.setBigUint64(392, 8n, true);
    return { bytes, view };
  }

  function judge(change: (view: DataView, bytes: Uint8Array) => void): string {
    const { bytes, view } = header();
    change(view, bytes);
    const verdict = validateHeader(bytes, layouts, expected);
    return verdict.kind === "valid" ? "valid" : `${verdict.kind}: ${verdict.reason}`;
  }

  test("boot: a good header is valid, and tells whether every commit is on disk", () => {
    const { bytes, view } = header();
    const facts = { sessionsOffset: 256 * 1024, sessionCount: 256, durable: false };
    expect(validateHeader(bytes, layouts, expected)).toMatchObject({ kind: "valid", facts });
    view.setBigUint64(392, 9n, true);
    expect(validateHeader(bytes, layouts, expected)).toHaveProperty("facts.durable", true);
  });

  test("boot: a header tells a newer version from damage, and whether it was closed", () => {
    const { bytes, view } = header();
    const closed = layouts.header.fields["clean_shutdown"]?.offset ?? 0;
    for (const count of [0, 1, 2, 3]) {
      view.setUint32(closed, count, true);
      const facts = { wasClosed: count % 2 === 1 };
      expect(validateHeader(bytes, layouts, expected)).toMatchObject({ facts });
    }
    for (const [version, isNewer] of [
      [0, undefined],
      [2, true],
      [0x10000, undefined],
    ] as const) {
      view.setUint32(4, version, true);
      const verdict = validateHeader(bytes, layouts, expected);
      expect(verdict.kind === "unreadable" && verdict.isNewer).toBe(isNewer);
    }
  });

  test("boot: no header that an adversary makes is more than unfit or unreadable", () => {
    const random = new Random(7);
    const edges = [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 48n, 2n ** 53n, 2n ** 64n - 1n];
    const found = new Set<string>();
    for (let mutant = 0; mutant < 20_000; mutant++) {
      const { bytes, view } = header();
      for (let change = random.between(1, 3); change > 0; change--) {
        const value = BigInt.asUintN(64, random.pick(edges) + BigInt(random.between(-2, 2)));
        if (random.oneIn(2)) view.setBigUint64(random.below(63) * 8, value, true);
        else view.setUint32(random.below(127) * 4, Number(value & 0xffff_ffffn), true);
      }
      const size = random.oneIn(8) ? random.below(bytes.length) : bytes.length;
      const verdict = validateHeader(bytes.subarray(0, size), layouts, expected);
      found.add(verdict.kind);
      if (verdict.kind !== "valid") continue;
      // What passes leads no walk out of the file.
      const { sessionsOffset, sessionCount } = verdict.facts;
      expect(sessionsOffset + sessionCount * layouts.sessionSlot.size).toBeLessThan(fileSize);
    }
    expect([...found].sort()).toEqual(["unfit", "unreadable", "valid"]);
  });

  test("boot: the epoch of the log does not blur the numbers beside it", () => {
    const { bytes, view } = header();
    view.setBigUint64(256, 11n, true);
    for (const epoch of [31n, 32n, 64n, 1_000n, 0xfffn]) {
      // The last commit has been taken by the writer.
      view.setBigUint64(384, (epoch << 52n) | 11n, true);
      expect(validateHeader(bytes, layouts, expected)).toMatchObject({
        kind: "valid",
      });
    }
  });

  test.each<[string, (view: DataView, bytes: Uint8Array) => void, RegExp]>([
    ["magic", (view) => view.setUint32(0, 7, true), /^unreadable: its magic number is 0x7/],
    ["version", (view) => view.setUint32(4, 2, true), /^unreadable: its format version is 2/],
    ["fingerprint", (view) => view.setUint8(8, 0), /^unfit: another build/],
    ["database", (_, bytes) => bytes.fill(0, 16, 32), /^unfit: it belongs to another database/],
    ["kernel", (_, bytes) => bytes.fill(0, 32, 48), /^unfit: it is from before/],
    ["lock file", (_, bytes) => bytes.fill(0, 48, 56), /^unfit: it belongs to another copy/],
    ["size", (view) => view.setUint32(72, 4096, true), /^unreadable: it should have 4096 bytes/],
    ["count", (view) => view.setUint32(80, 0, true), /^unreadable: session_count is 0/],
    ["alignment", (view) => view.setUint32(104, 999, true), /not aligned/],
    ["overlap", (view) => view.setUint32(112, 256 * 1024, true), /cells_offset .* overlaps/],
    ["bounds", (view) => view.setUint32(80, 1 << 30, true), /behind the segment/],
    ["a wild offset", (view) => view.setBigUint64(160, 1n << 62n, true), /behind the segment/],
    ["tail", (view) => view.setBigUint64(256, 0n, true), /commit numbers disagree/],
    ["first commit", (view) => view.setBigUint64(64, 0n, true), /commit numbers disagree/],
    ["first and last commit", (view) => view.setBigUint64(64, 10n, true), /\(10, 8, 8, 9\)/],
    ["number of drained ones", (view) => view.setBigUint64(384, 10n, true), /\(1, 10, 8, 9\)/],
    ["log", (view) => view.setUint32(400, 1, true), /^unfit: a sync of its log had failed/],
    ["durable", (view) => view.setBigUint64(392, 99n, true), /commit numbers disagree/],
  ])("boot: a header with a wrong %s is refused with the reason", (_, change, reason) => {
    expect(judge(change)).toMatch(reason);
  });

  test("boot: no damaged header makes the validation throw", () => {
    const { bytes } = header();
    for (let at = 0; at < 512; at++) {
      for (const byte of [0, 1, 0x7f, 0xff]) {
        const broken = bytes.slice();
        broken[at] = byte;
        validateHeader(broken, layouts, expected);
      }
    }
    expect(validateHeader(bytes.subarray(0, 100), layouts, expected).kind).toBe("unreadable");
  });

  test("boot: pids are those of attached slots", () => {
    const slots = new Uint8Array(64 * 3 + 10);
    const view = new DataView(slots.buffer);
    view.setUint32(16, 1, true);
    view.setUint32(20, 77, true);
    view.setUint32(64 + 20, 88, true);
    view.setUint32(128 + 16, 1, true);
    view.setUint32(128 + 20, 77, true);
    expect(attachedPids(slots, layouts.sessionSlot)).toEqual([77]);
  });
});

describe("paths", () => {
  test("boot: the default directory has the default segment, others a name of their own", () => {
    expect(segmentPathDefault("/srv/aerostore_data", "/srv")).toBe("/dev/shm/aerostore.mmap");
    const other = segmentPathDefault("/srv/other", "/srv");
    expect(other).toMatch(/^\/dev\/shm\/aerostore-[0-9a-f]{16}\.mmap$/);
    expect(segmentPathDefault("/srv/third", "/srv")).not.toBe(other);
  });

  test("boot: option over environment over where it was last over the default", () => {
    const choice = { option: "/a", environment: "/b", recorded: "/c" };
    const segment = (change: object): string =>
      pathsFor("/d", "/", { ...choice, ...change }).segment;
    expect(segment({})).toBe("/a");
    expect(segment({ option: undefined })).toBe("/b");
    expect(segment({ option: "", environment: "" })).toBe("/c");
    expect(segment({ option: undefined, environment: undefined, recorded: undefined })).toMatch(
      /^\/dev\/shm\/aerostore-/,
    );
  });
});

test("boot: the identity is kept, and a damaged one is refused", () => {
  const directory = mkdtempSync(join(tmpdir(), "aerostore-identity-"));
  const lock = takeBootLock(symbols, directory);
  if (typeof lock === "number") throw new Error(`no boot lock: ${lock}`);
  try {
    const path = join(directory, "aerostore.id");
    expect(readIdentity(symbols, lock)).toBeUndefined();
    const identity = { databaseId: makeDatabaseId(), segment: "/dev/shm/x.mmap" };
    writeIdentity(symbols, lock, identity);
    expect(readIdentity(symbols, lock)).toEqual(identity);
    for (const text of ["", "abc\n/x\n", `${identity.databaseId}\n`]) {
      writeFileSync(path, text);
      expect(() => readIdentity(symbols, lock)).toThrow("the file is damaged");
    }
  } finally {
    releaseBootLock(symbols, lock);
    rmSync(directory, { recursive: true });
  }
});

test("boot: a machine without /dev/shm is told what to do", () => {
  const missing = Object.assign(new Error("ENOENT"), { code: "ENOENT", path: "/dev/shm" });
  const error = systemError("opening a database", "/dev/shm/a.mmap", missing);
  expect(error).toMatchObject({ code: "IO_ERROR", path: "/dev/shm" });
  expect(error.message).toContain("shmPath");
});
