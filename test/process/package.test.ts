/** The package as a stranger gets it: packed, installed into an empty folder, used from there. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allowedSymbols, checkLibrary, packedArchitectures } from "../../tools/libraries.ts";
import { readElf, removeNeeded } from "../../tools/elf.ts";
import { root } from "../support/source.ts";
import { packCheckout, Stranger } from "../support/stranger.ts";

const packed = mkdtempSync(join(tmpdir(), "aerostore-packed-"));
let tarball = "";
let stranger: Stranger;

beforeAll(async () => {
  tarball = await packCheckout(packed);
  stranger = new Stranger();
  await stranger.install(tarball);
  stranger.write("program.ts", readmeProgram());
});
beforeEach(() => {
  stranger.database = "program";
});
afterAll(() => {
  stranger[Symbol.dispose]();
  rmSync(packed, { recursive: true });
});

/** The program of the README. */
function readmeProgram(): string {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const [, program = ""] = /```ts\n([^`]*from "aerostore"[^`]*)```/.exec(text) ?? [];
  return program;
}

const library = (): string =>
  join(stranger.installed, "lib", `linux-${process.arch}`, "libaerostore.so");

/** Runs `body` while the engine of the package is another. */
async function withLibrary(
  change: (path: string) => void,
  body: () => Promise<void>,
): Promise<void> {
  const kept = join(packed, "kept.so");
  cpSync(library(), kept);
  try {
    change(library());
    await body();
  } finally {
    rmSync(library(), { force: true });
    cpSync(kept, library());
  }
}

describe("package: installed", () => {
  test("brings nothing else, and runs nothing at installing", () => {
    const names = readdirSync(join(stranger.folder, "node_modules"));
    expect(names.filter((name) => !name.startsWith("."))).toEqual(["aerostore"]);
    const manifest = JSON.parse(readFileSync(join(stranger.installed, "package.json"), "utf8"));
    for (const name of ["scripts", "dependencies", "devDependencies", "peerDependencies", "os"]) {
      expect(manifest[name], name).toBeUndefined();
    }
    for (const entry of Object.values(manifest.exports)) {
      if (typeof entry === "string") continue;
      expect(Object.keys(Object(entry))[0]).toBe("types");
    }
  });

  test("the program of the README runs, again, and by require", async () => {
    expect(await stranger.bun("program.ts")).toBe("UAL123 31200\n");
    expect(await stranger.bun("program.ts")).toBe("UAL123 31200\n");
    stranger.write("required.cjs", 'console.log(Object.keys(require("aerostore")).length > 3);');
    expect(await stranger.bun("required.cjs")).toBe("true\n");
  });

  test("the entries share their modules, and the engine is the package's", async () => {
    stranger.write(
      "entries.ts",
      `import { FlightState, open } from "aerostore";
       import * as flight from "aerostore/flight";
       import * as http from "aerostore/http";
       import * as client from "aerostore/client";
       using db = await open("./aerostore_data");
       const same = flight.FlightState === FlightState;
       console.log(same, typeof http.routes, typeof client.connect, db.stats().engine.source);`,
    );
    expect(await stranger.bun("entries.ts")).toBe("true function function package\n");
  });

  test("the examples run", async () => {
    for (const name of ["quickstart.ts", "transfer.ts"]) {
      cpSync(join(root, "examples", name), join(stranger.folder, name));
    }
    stranger.database = "quick";
    expect(await stranger.bun("quickstart.ts", "./quick")).toContain("SWR40 36000 seen 1 times");
    stranger.database = "transfer";
    expect(await stranger.bun("transfer.ts", "./transfer")).toContain("the sum is 100000");
  });

  test("the command line runs from the folder of programs", async () => {
    stranger.database = "cli";
    const command = join(stranger.folder, "node_modules", ".bin", "aerostore");
    const run = async (...words: string[]): Promise<string> => {
      const { status, output, errors } = await stranger.run([command, ...words, "--dir", "cli"]);
      if (status !== 0) throw new Error(errors);
      return output;
    };
    stranger.write("quotes.csv", "symbol,bid\nABC,1.5\nXYZ,2.5\n");
    await run("create", "quotes", "symbol:string(12):pk", "bid:decimal(4):index");
    await run("ingest", "quotes.csv", "--table", "quotes", "--format", "csv", "--header");
    expect(await run("search", "-compare {{> bid 2}}", "--table", "quotes", "--tsv")).toContain(
      "XYZ",
    );
    expect(await run("get", "ABC", "--table", "quotes")).toContain("1.5");
    expect(await run("export", "--table", "quotes", "--format", "csv")).toContain("ABC");
    for (const name of ["explain", "tables", "stats", "check", "checkpoint"]) {
      await run(name, ...(name === "explain" ? ["--table", "quotes", "-limit 1"] : []));
    }
    const missing = await stranger.run([command, "bench"]);
    expect([missing.status, missing.errors]).toEqual([
      1,
      expect.stringContaining("they come with a checkout only"),
    ]);
  });

  test("the demo starts its own processes", async () => {
    const command = join(stranger.folder, "node_modules", ".bin", "aerostore");
    stranger.database = "demo";
    const words = [command, "demo", "--seconds", "1", "--aircraft", "200", "--dir", "demo"];
    const { status, output, errors } = await stranger.run(words);
    expect([status, errors]).toEqual([0, ""]);
    expect(output).toContain("check: ok");
  });

  test.skipIf(Bun.which("tclsh") === null)("the Tcl package runs", async () => {
    const script = `lappend auto_path ${stranger.installed}/tcl
      package require aerostore
      aerostore::init ./tcl
      FlightState ingest_tsv "UAL123\\t40.64\\t-73.78\\t31000\\t450\\t1700000000\\n"
      puts [FlightState search -countOnly 1]`;
    stranger.write("program.tcl", script);
    stranger.database = "tcl";
    const env = { PATH: process.env["PATH"] ?? "", AEROSTORE_BUN: process.execPath };
    const { output, errors } = await stranger.run(["tclsh", "program.tcl"], env);
    expect([output, errors]).toEqual(["1\n", ""]);
  });

  test("Workers, --hot, and tests in parallel and in isolation", async () => {
    stranger.database = "workers";
    stranger.write(
      "worker.ts",
      `import { open } from "aerostore";
       if (Bun.isMainThread) {
         const worker = new Worker(import.meta.path);
         worker.onmessage = ({ data }) => {
           console.log(data);
           process.exit(0);
         };
       } else {
         using db = await open("./workers");
         postMessage(db.stats().engine.source);
       }`,
    );
    expect(await stranger.bun("worker.ts")).toBe("package\n");
    expect(await stranger.bun("--hot", "worker.ts")).toBe("package\n");
    for (const name of ["one", "two"]) {
      stranger.write(
        `${name}.test.ts`,
        `import { expect, test } from "bun:test";
         import { open } from "aerostore";
         test("${name}", async () => {
           const shmPath = process.env.AEROSTORE_SHM_PATH + "-${name}";
           using db = await open("./${name}", { shmPath });
           expect(db.stats().engine.source).toBe("package");
         });`,
      );
    }
    for (const option of ["--parallel", "--isolate"]) {
      const ran = await stranger.run([
        process.execPath,
        "test",
        option,
        "one.test.ts",
        "two.test.ts",
      ]);
      expect(ran.errors).toContain("0 fail");
    }
  });
});

describe("package: compiled into a program", () => {
  for (const options of [[], ["--minify", "--bytecode", "--format=esm"]]) {
    const name = options.length === 0 ? "plain" : options.join(" ");
    test(`${name}: runs elsewhere with nothing beside it and an empty environment`, async () => {
      const program = join(packed, "program");
      stranger.database = `compiled-${options.length}`;
      await stranger.bun("build", "--compile", ...options, "program.ts", `--outfile=${program}`);
      const elsewhere = mkdtempSync(join(tmpdir(), "aerostore-elsewhere-"));
      const { output, errors } = await stranger.run([program], {}, elsewhere);
      expect([output, errors]).toEqual(["UAL123 31200\n", ""]);
      const blocked = { TMPDIR: "/proc", BUN_TMPDIR: "/proc" };
      const refused = await stranger.run([program], blocked, elsewhere);
      expect(refused.status).toBe(1);
      expect(refused.errors).toContain("BUN_TMPDIR");
      expect(refused.errors).toContain("ABI_MISMATCH");
      rmSync(elsewhere, { recursive: true });
    });
  }

  test("a bundle with the engine beside it", async () => {
    await stranger.bun("build", "--target=bun", "program.ts", "--outdir=bundled");
    const bundle = join(stranger.folder, "bundled", "program.js");
    expect(await stranger.bun(bundle)).toBe("UAL123 31200\n");
  });
});

describe("package: what is wrong with the engine is one coded line", () => {
  const refusals: readonly (readonly [string, (path: string) => void, string])[] = [
    ["is cut short", (path) => truncateSync(path, 100_000), "bytes are missing"],
    ["has a flipped byte", flip, "its SHA-256 is"],
    ["is missing", (path) => rmSync(path), "there is no such file"],
    ["is text", (path) => writeFileSync(path, "x".repeat(200)), "it is not an ELF file"],
    ["is for another processor", swapMachine, "this machine is"],
  ];
  for (const [name, change, found] of refusals) {
    test(`it ${name}`, async () => {
      await withLibrary(change, async () => {
        const command = join(stranger.installed, "dist", "cli.cjs");
        const { status, errors } = await stranger.run([
          process.execPath,
          command,
          "create",
          "t",
          "k:u32:pk",
        ]);
        expect(status).toBe(1);
        expect(errors).toMatch(/^ABI_MISMATCH: cannot load the engine [^\n]*\n$/);
        expect(errors).toContain(found);
        expect(errors).toContain("install the package again");
      });
    });
  }

  test("a folder without write permission is no obstacle", async () => {
    chmodSync(library(), 0o444);
    chmodSync(join(library(), ".."), 0o555);
    try {
      expect(await stranger.bun("program.ts")).toBe("UAL123 31200\n");
    } finally {
      chmodSync(join(library(), ".."), 0o755);
    }
  });

  test("a library of another boundary is named, and another one may be", async () => {
    const env = { AEROSTORE_LIBRARY: join(stranger.folder, "program.ts") };
    const words = [process.execPath, "program.ts"];
    const { errors } = await stranger.run(words, env);
    expect(errors).toContain("ABI_MISMATCH");
    stranger.database = "engine";
    const good = { AEROSTORE_LIBRARY: join(root, "zig-out", "lib", "libaerostore.so") };
    stranger.write(
      "engine.ts",
      `import { open } from "aerostore";
       using db = await open("./engine");
       console.log(db.stats().engine.source);`,
    );
    const ran = await stranger.run([process.execPath, "engine.ts"], good);
    expect([ran.output, ran.errors]).toEqual(["environment\n", ""]);
  });
});

describe("package: engines", () => {
  test("the names of other libraries are taken out, and what is left is judged", async () => {
    const bytes = await Bun.file(join(root, "zig-out", "lib", "libaerostore.so")).bytes();
    expect(readElf(bytes).needed.length).toBeGreaterThan(0);
    expect(() => checkLibrary(bytes, process.arch)).toThrow("it needs libc");
    removeNeeded(bytes);
    expect(readElf(bytes).needed).toEqual([]);
    expect(() => checkLibrary(bytes, process.arch)).not.toThrow("it needs");
    expect(() => checkLibrary(bytes, process.arch)).toThrow("it has debug information");
    expect(() => checkLibrary(bytes, "riscv")).toThrow("it is for");
  });

  test("engines that were built to be shipped take only what every C library has", async () => {
    for (const arch of packedArchitectures) {
      const built = Bun.file(
        join(root, "zig-out", "package", "package", "lib", `linux-${arch}`, "libaerostore.so"),
      );
      if (!(await built.exists())) {
        console.log(
          `SKIPPED: the symbols of the engine for ${arch}: run \`bun run package\` first`,
        );
        continue;
      }
      checkLibrary(await built.bytes(), arch);
    }
    expect(allowedSymbols.has("fcntl64")).toBe(false);
  });
});

function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function swapMachine(path: string): void {
  const bytes = readFileSync(path);
  bytes.writeUInt16LE(bytes.readUInt16LE(18) === 62 ? 183 : 62, 18);
  writeFileSync(path, bytes);
}
