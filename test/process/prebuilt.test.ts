/** The bundles that set-up makes: taken when they are of the sources, and only then. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../support/source.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

/** A checkout of its own, whose sources may change, and programs beside it. */
class Checkout implements Disposable {
  readonly parent: string = mkdtempSync(join(tmpdir(), "aerostore-prebuilt-"));
  folder: string = join(this.parent, "checkout");

  constructor() {
    for (const name of ["src", "package.json"]) {
      cpSync(join(root, name), join(this.folder, name), { recursive: true });
    }
    mkdirSync(join(this.folder, "zig-out"));
    symlinkSync(join(root, "zig-out", "lib"), join(this.folder, "zig-out", "lib"));
    this.#link();
  }

  [Symbol.dispose](): void {
    rmSync(this.parent, { recursive: true });
  }

  move(): void {
    const target = join(this.parent, "moved");
    renameSync(this.folder, target);
    this.folder = target;
    this.#link();
  }

  #link(): void {
    const packages = join(this.parent, "node_modules");
    rmSync(packages, { recursive: true, force: true });
    mkdirSync(packages);
    symlinkSync(this.folder, join(packages, "aerostore"));
  }

  edit(text: string): void {
    appendFileSync(join(this.folder, "src", "index.ts"), text);
  }

  prebuild(): void {
    const module = join(this.folder, "src", "cli", "prebuild.ts");
    this.run(`await (await import(${JSON.stringify(module)})).prebuild();`);
  }

  /** Runs a program beside the package; what it prints. */
  run(program: string, env: Readonly<Record<string, string>> = {}): string {
    const file = join(this.parent, "program.ts");
    writeFileSync(file, program);
    return this.start([file], env);
  }

  start(words: readonly string[], env: Readonly<Record<string, string>> = {}): string {
    const child = Bun.spawnSync([process.execPath, ...words], {
      cwd: this.parent,
      env: { ...process.env, ...env },
    });
    if (child.exitCode !== 0) throw new Error(child.stderr.toString());
    return child.stdout.toString().trim();
  }

  /** What the package is run from, and what it exports as `edited`. */
  state(): string {
    return this.run(`
      import * as aerostore from "aerostore";
      const isBundle = Object.keys(require.cache).some((path) => path.endsWith("/index.js"));
      console.log(isBundle ? "bundle" : "sources", aerostore.edited);
    `);
  }
}

describe("prebuilt", () => {
  test("prebuilt: an edit counts at once, and is in the bundle after the next set-up", () => {
    using checkout = new Checkout();
    expect(checkout.state()).toBe("sources undefined");
    checkout.prebuild();
    expect(checkout.state()).toBe("bundle undefined");
    checkout.edit("export const edited = 1;\n");
    expect(checkout.state()).toBe("sources 1");
    checkout.prebuild();
    expect(checkout.state()).toBe("bundle 1");
  });

  test("prebuilt: a checkout that was moved, and a damaged bundle, run from the sources", () => {
    using checkout = new Checkout();
    checkout.prebuild();
    checkout.move();
    expect(checkout.state()).toBe("sources undefined");
    checkout.prebuild();
    expect(checkout.state()).toBe("bundle undefined");
    // Also that of the bundle that was made before the move: which is newer, the names do not say.
    const bytecode = new Bun.Glob("zig-out/runtime/index-*/*.jsc");
    for (const path of bytecode.scanSync({ cwd: checkout.folder, absolute: true })) {
      truncateSync(path, 1_000);
    }
    expect(checkout.state()).toBe("sources undefined");
  });

  test("prebuilt: a program may import the folder of the package by its path", () => {
    using checkout = new Checkout();
    const program = `import { t } from ${JSON.stringify(checkout.folder)}; console.log(typeof t);`;
    expect(checkout.run(program)).toBe("object");
  });

  test("prebuilt: an error names the line of the source", () => {
    using checkout = new Checkout();
    checkout.prebuild();
    const program = `
      import { open } from "aerostore";
      console.log(await open("data", { maxBytes: -1 }).catch((error) => error.stack));
    `;
    expect(checkout.run(program)).toMatch(/checkOption \(.*src\/database\.ts:\d+:\d+\)/);
  });

  test("prebuilt: where set-up has nothing to do, the command line just starts", () => {
    using checkout = new Checkout();
    const command = [join(root, "src", "cli", "start.cts"), "--help"];
    expect(checkout.start(command)).toStartWith("usage: aerostore <command>");
  });

  test("prebuilt: a set-up waits for the one that is at work in the same checkout", async () => {
    const other = new Database(join(root, "zig-out", "setup.lock"));
    other.run("BEGIN EXCLUSIVE");
    const setup = Bun.spawn([process.execPath, join(root, "src", "cli", "setup.ts")], {
      stderr: "pipe",
    });
    const lines = setup.stderr.pipeThrough(new TextDecoderStream()).getReader();
    expect((await lines.read()).value).toBe("setup: waiting for another set-up\n");
    other.close();
    expect(await setup.exited).toBe(0);
  });

  test("prebuilt: a program may be bundled with the package", () => {
    using checkout = new Checkout();
    using temporary = new TemporaryDatabase();
    checkout.prebuild();
    const env = {
      AEROSTORE_SHM_PATH: temporary.shmPath,
      AEROSTORE_LIBRARY: join(root, "zig-out", "lib", "libaerostore.so"),
    };
    const program = `
      import { open } from "aerostore";
      await using db = await open(${JSON.stringify(temporary.directory)});
      console.log(db.tables().length);
    `;
    expect(checkout.run(program, env)).toBe("0");
    checkout.start(["build", "program.ts", "--target=bun", "--outfile=bundled.js"]);
    expect(checkout.start(["bundled.js"], env)).toBe("0");
  });
});
