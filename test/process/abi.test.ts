import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AerostoreError } from "../../src/errors.ts";
import { abiHash, Status } from "../../src/ffi/abi.gen.ts";
import { viewNative } from "../../src/ffi/buffers.ts";
import { abiPaths, renderAbi } from "../../src/ffi/generate.ts";
import { loadLibrary, openLibrary } from "../../src/ffi/library.ts";
import type { Library } from "../../src/ffi/library.ts";
import { chooseLibrary } from "../../src/ffi/locate.ts";
import { formatHash, parseManifest, readManifest } from "../../src/ffi/manifest.ts";
import type { Manifest } from "../../src/ffi/manifest.ts";
import { errorFromStatus, statusName } from "../../src/ffi/status.ts";
import { zigPath } from "../../tools/setup.ts";

/** Enough for the last compiler tier, where the dangling-pointer bugs of wrappers show. */
const manyCalls = 200_000;

const directory = mkdtempSync(join(tmpdir(), "aerostore-abi-"));
afterAll(() => rmSync(directory, { recursive: true }));

function failure(run: () => unknown): AerostoreError {
  try {
    run();
  } catch (error) {
    if (error instanceof AerostoreError) return error;
    throw error;
  }
  throw new Error("it did not throw");
}

function openAt(path: string): Library {
  return openLibrary({ path, source: "environment", sha256: undefined });
}

/** The library, but for its hash. */
function anotherBoundary(hash: bigint = abiHash ^ 1n): Buffer {
  const bytes = readFileSync(abiPaths.library);
  const before = Buffer.from(new BigUint64Array([abiHash]).buffer);
  expect(bytes.indexOf(before)).toBeGreaterThan(0);
  for (let at = bytes.indexOf(before); at >= 0; at = bytes.indexOf(before, at + 1)) {
    bytes.writeBigUInt64LE(hash, at);
  }
  return bytes;
}

/** The hash that `zig/manifest.zig` gives to a manifest. */
function hashManifest(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}

/** `number` with another last digit, and as many digits. */
function nextDigit(number: number): number {
  return number - (Math.abs(number) % 10) + ((number + 1) % 10);
}

/** One change of a line of the manifest that keeps its length: each drift that must be noticed. */
interface Drift {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

/** Members swapped in each enum, fields moved in each struct, numbers changed in each group. */
function driftsOf(manifest: Manifest): Drift[] {
  const drifts: Drift[] = [];
  for (const each of manifest.enums) {
    const members = Object.entries(each.values);
    for (const [index, [name, value]] of members.entries()) {
      const other = members.find(([, number], at) => at > index && sameSize(number, value));
      if (other === undefined) continue;
      const values = { ...each.values, [name]: other[1], [other[0]]: value };
      const drift = `${each.name}: ${name} and ${other[0]} swapped`;
      drifts.push({
        name: drift,
        before: JSON.stringify(each),
        after: JSON.stringify({ ...each, values }),
      });
    }
  }
  for (const each of manifest.layouts) {
    for (const [name, field] of Object.entries(each.fields)) {
      const fields = {
        ...each.fields,
        [name]: { ...field, offset: nextDigit(field.offset) },
      };
      drifts.push({
        name: `${each.name}: ${name} moved`,
        before: JSON.stringify(each),
        after: JSON.stringify({ ...each, fields }),
      });
    }
  }
  for (const each of manifest.constants) {
    for (const [name, value] of Object.entries(each.values)) {
      const values = { ...each.values, [name]: nextDigit(value) };
      drifts.push({
        name: `${each.name}: ${name} changed`,
        before: JSON.stringify(each),
        after: JSON.stringify({ ...each, values }),
      });
    }
  }
  return drifts;
}

function sameSize(a: number, b: number): boolean {
  return String(a).length === String(b).length;
}

describe("abi: the generated files", () => {
  test("are what the library and zig/abi.zig say now", () => {
    const zigSource = readFileSync(abiPaths.source, "utf8");
    const texts = renderAbi(readManifest(abiPaths.library), zigSource);
    for (const [name, text] of Object.entries(texts)) {
      const written = readFileSync(join(abiPaths.folder, name), "utf8");
      expect(text === written, `${name} is stale: run \`bun run build\``).toBe(true);
    }
  });

  test("is for both libraries, with and without fault points", () => {
    const fault = abiPaths.library.replace("libaerostore.", "libaerostore-fault.");
    expect(readManifest(fault).hash).toBe(abiHash);
  });

  test("has one name for each number", () => {
    for (const { name, values } of parseManifest(readManifest(abiPaths.library).text).enums) {
      expect(new Set(Object.values(values)).size, name).toBe(Object.keys(values).length);
    }
  });

  test("statuses are zero for ok and negative for everything else", () => {
    for (const [name, value] of Object.entries(Status)) {
      expect(name === "ok" ? value === 0 : value < 0, name).toBe(true);
    }
  });
});

describe("abi: loading", () => {
  test("a missing library is ABI_MISMATCH with the way to build it", () => {
    const error = failure(() => openAt(join(directory, "absent.so")));
    expect(error.code).toBe("ABI_MISMATCH");
    expect(error.message).toContain("bun run build");
    expect(error.path).toBe(join(directory, "absent.so"));
  });

  test("a file that is no library is ABI_MISMATCH", () => {
    const path = join(directory, "text.so");
    writeFileSync(path, "not a library");
    expect(failure(() => openAt(path)).code).toBe("ABI_MISMATCH");
  });

  test("a truncated library is ABI_MISMATCH", () => {
    const path = join(directory, "short.so");
    const whole = readFileSync(abiPaths.library);
    for (const size of [0, 63, 64, 1000, 20_000, whole.length - 1]) {
      writeFileSync(path, whole.subarray(0, size));
      expect(failure(() => openAt(path)).code).toBe("ABI_MISMATCH");
    }
  });

  test("a library of another boundary is ABI_MISMATCH that names both hashes", () => {
    const path = join(directory, "stale.so");
    writeFileSync(path, anotherBoundary());
    const error = failure(() => openAt(path));
    expect(error.code).toBe("ABI_MISMATCH");
    expect(error.message).toContain(formatHash(abiHash));
    expect(error.message).toContain(formatHash(abiHash ^ 1n));
  });

  test("an engine without a symbol that this code needs is told from a file that is none", () => {
    const path = join(directory, "older.so");
    const bytes = anotherBoundary();
    const name = "aerostore_abi_nothing\0";
    for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name, at + 1)) {
      bytes.write("aerostore_abi_another\0", at);
    }
    writeFileSync(path, bytes);
    expect(failure(() => openAt(path)).message).toContain("its boundary is");
  });

  test("a library with any member swapped, field moved or constant changed is ABI_MISMATCH", () => {
    const { text } = readManifest(abiPaths.library);
    expect(hashManifest(text)).toBe(abiHash);
    const drifts = driftsOf(parseManifest(text));
    expect(drifts.length).toBeGreaterThan(400);
    const loaded = new Set<string>();
    for (const { name, before, after } of drifts) {
      expect(text.split(before), name).toHaveLength(2);
      expect(after, name).not.toBe(before);
      // Each load takes a copy of the library, so one drift of each sort is loaded.
      const sort = name.slice(name.lastIndexOf(" ") + 1);
      if (loaded.has(sort)) continue;
      loaded.add(sort);
      const path = join(directory, `${sort}.so`);
      writeFileSync(path, anotherBoundary(hashManifest(text.replace(before, after))));
      expect(failure(() => openAt(path)).code, name).toBe("ABI_MISMATCH");
      rmSync(path);
    }
    expect([...loaded]).toEqual(["swapped", "moved", "changed"]);
  });

  test("AEROSTORE_LIBRARY comes first", () => {
    const before = process.env["AEROSTORE_LIBRARY"];
    process.env["AEROSTORE_LIBRARY"] = "/elsewhere/engine.so";
    try {
      expect(chooseLibrary().path).toBe("/elsewhere/engine.so");
      expect(chooseLibrary({}).source).toBe("environment");
    } finally {
      if (before === undefined) delete process.env["AEROSTORE_LIBRARY"];
      else process.env["AEROSTORE_LIBRARY"] = before;
    }
  });

  test("a shipped engine is the one for the processor, and has to be as it was packed", () => {
    const arm64 = { path: "/package/arm64.so", sha256: "" };
    const machine = { platform: "linux", arch: "arm64" };
    expect(chooseLibrary({ arm64 }, machine)).toEqual({ ...arm64, source: "package" });
    const embedded = { path: "/$bunfs/root/arm64.so", sha256: "" };
    expect(chooseLibrary({ arm64: embedded }, machine).source).toBe("embedded");
    for (const other of [
      { platform: "linux", arch: "x64" },
      { platform: "darwin", arch: "arm64" },
    ]) {
      const error = failure(() => chooseLibrary({ arm64 }, other));
      expect([error.code, error.message.includes(`${other.platform} on ${other.arch}`)]).toEqual([
        "ABI_MISMATCH",
        true,
      ]);
    }
    const path = abiPaths.library;
    const sha256 = new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
    expect(openLibrary({ path, source: "package", sha256 }).source).toBe("package");
    const wrong = sha256.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    const error = failure(() => openLibrary({ path, source: "package", sha256: wrong }));
    expect(error.code).toBe("ABI_MISMATCH");
    expect(error.message).toContain("install the package again");
  });

  test("a library of another processor is ABI_MISMATCH that names both", () => {
    const path = join(directory, "processor.so");
    const bytes = readFileSync(abiPaths.library);
    const machine = bytes.readUInt16LE(18);
    bytes.writeUInt16LE(machine === 62 ? 183 : 62, 18);
    writeFileSync(path, bytes);
    const { message } = failure(() => openAt(path));
    expect(message).toMatch(/it is for (?:x64|arm64), this machine is (?:x64|arm64)/);
  });

  test("a second load gives the same library", () => {
    expect(loadLibrary()).toBe(loadLibrary());
  });
});

describe("abi: what the manifest refuses while compiling", () => {
  const cases = [
    ["a pointer to a pointer", "pub fn bad(x: **u32) callconv(.c) void { _ = x; }", "cannot cross"],
    ["a struct not listed", "pub fn bad(x: *X) callconv(.c) void { _ = x; }", "cannot cross"],
    ["a struct by value", "pub fn bad(x: X) callconv(.c) void { _ = x; }", "cannot cross"],
    ["an enum not listed", "pub fn bad() callconv(.c) E { return .a; }", "list the enum"],
    ["Zig's calling convention", "pub fn bad() void {}", "needs callconv(.c)"],
    ["a constant", "pub const bad = 1;", "only functions can be exported"],
  ] as const;
  for (const [name, declaration, message] of cases) {
    test(name, () => {
      const path = join(directory, `${name.replaceAll(/\W/g, "_")}.zig`);
      writeFileSync(
        path,
        `const manifest = @import("manifest");
         const X = extern struct { a: u32 };
         const E = enum(u32) { a };
         const exports = struct { ${declaration} };
         comptime { _ = manifest.render(.{ .version = 1, .prefix = "t_", .exports = exports,
           .fingerprint = 0, .enums = &.{}, .layouts = &.{}, .constants = &.{} }); }`,
      );
      const manifest = join(abiPaths.source, "..", "manifest.zig");
      const command = [zigPath(), "build-obj", "-fno-emit-bin", "--cache-dir", directory];
      command.push("--dep", "manifest", `-Mroot=${path}`, `-Mmanifest=${manifest}`);
      const { exitCode, stderr } = Bun.spawnSync(command, { stderr: "pipe" });
      expect(exitCode).not.toBe(0);
      expect(stderr.toString()).toContain(`t_bad: `);
      expect(stderr.toString()).toContain(message);
    });
  }
});

describe("abi: calls", () => {
  const { symbols } = loadLibrary();

  test("a no-op can be called many times", () => {
    for (let i = 0; i < manyCalls; i++) symbols.aerostore_abi_nothing();
  });

  test("small fresh arrays cross intact many times", () => {
    const size = new Uint32Array(1);
    for (let i = 0; i < manyCalls; i++) {
      const source = new Uint8Array([i, i >> 8, i >> 16]);
      const target = new Uint8Array(3);
      const status = symbols.aerostore_abi_copy(source, source, target, target, size);
      if (
        status !== Status.ok ||
        size[0] !== 3 ||
        !source.every((byte, at) => byte === target[at])
      ) {
        throw new Error(`call ${i}: ${statusName(status)}, ${size[0]} bytes, ${target}`);
      }
    }
  });

  test("subarrays cross as their own range many times", () => {
    const source = new Uint8Array(300).map((_, i) => i);
    const target = new Uint8Array(300);
    const size = new Uint32Array(1);
    for (let i = 0; i < manyCalls; i++) {
      const from = source.subarray(i % 251, (i % 251) + 5);
      const to = target.subarray(i % 127, (i % 127) + 5);
      symbols.aerostore_abi_copy(from, from, to, to, size);
      if (target[(i % 127) + 4] !== source[(i % 251) + 4]) throw new Error(`call ${i} missed`);
    }
  });

  test("an empty view is an empty buffer", () => {
    const size = new Uint32Array([9]);
    const empty = new Uint8Array(0);
    expect(symbols.aerostore_abi_copy(empty, empty, empty, empty, size)).toBe(Status.ok);
    expect(size[0]).toBe(0);
  });

  test("a small target gets the size needed and no bytes", () => {
    const source = new Uint8Array([1, 2, 3]);
    const target = new Uint8Array(2);
    const size = new Uint32Array(1);
    expect(symbols.aerostore_abi_copy(source, source, target, target, size)).toBe(
      Status.buffer_too_small,
    );
    expect(size[0]).toBe(3);
    expect(target).toEqual(new Uint8Array(2));
  });

  test("views of impossible sizes are refused", () => {
    for (const size of [0, -1, 1.5, Number.NaN, 2 ** 33]) {
      expect(() => viewNative(4096, size)).toThrow(RangeError);
    }
  });
});

describe("errors", () => {
  test("a status becomes its code, with what, on what, what was found and what to do", () => {
    const error = errorFromStatus(Status.duplicate_key, {
      attempted: "inserting",
      table: "FlightState",
      key: "UAL1",
    });
    if (!(error instanceof AerostoreError)) throw error;
    expect(error.code).toBe("DUPLICATE_KEY");
    expect(error.retryable).toBe(false);
    expect([error.table, error.key]).toEqual(["FlightState", "UAL1"]);
    expect(error.message).toBe(
      "inserting (table FlightState, key UAL1): a row with this key exists; " +
        "use upsert or update to change it",
    );
  });

  test("only what may succeed when run again is retryable", () => {
    const retryable = (status: number): boolean => {
      const error = errorFromStatus(status, { attempted: "committing" });
      return error instanceof AerostoreError && error.retryable;
    };
    expect(retryable(Status.serialization_failure)).toBe(true);
    expect(retryable(Status.segment_full)).toBe(false);
  });

  test("every failing status but the internal ones has a code", () => {
    const internal = ["ok", "invalid_argument", "buffer_too_small", "plan_stale"];
    for (const [name, status] of Object.entries(Status)) {
      const error = errorFromStatus(status, { attempted: "testing" });
      expect(error instanceof AerostoreError, name).toBe(!internal.includes(name));
    }
  });

  test("an unknown status is an error that shows its number", () => {
    const error = errorFromStatus(-4242, { attempted: "testing" });
    expect(error.message).toContain("-4242");
  });
});
