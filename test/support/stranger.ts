/**
 * A project of a user in an empty folder: the package is packed and installed there, and nothing
 * else, without Zig and without network.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { layOut } from "../../tools/package.ts";
import { root } from "./source.ts";

export interface Ran {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
  /** Processor time. */
  readonly cpuMs: number;
}

/** What is left of the environment: enough to find programs, and no engine by name. */
const environment: Readonly<Record<string, string>> = {
  PATH: process.env["PATH"] ?? "",
  HOME: process.env["HOME"] ?? "/",
  NO_COLOR: "1",
};

export class Stranger implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "aerostore-stranger-"));
  /** The package as it is installed. */
  readonly installed: string = join(this.folder, "node_modules", "aerostore");
  readonly #segments: string = join("/dev/shm", basename(this.folder));
  /** Names the segment of the database that is used now: each database has its own. */
  database = "program";

  /** Installs the tarball at `path`. */
  async install(path: string): Promise<void> {
    mkdirSync(this.#segments);
    writeFileSync(join(this.folder, "package.json"), '{ "name": "stranger", "type": "module" }');
    const added = await this.run([process.execPath, "add", path]);
    if (added.status !== 0) throw new Error(added.errors);
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** Runs a program in the folder, or in `cwd`, to its end. */
  async run(
    words: readonly string[],
    env: Readonly<Record<string, string>> = environment,
    cwd: string = this.folder,
  ): Promise<Ran> {
    const child = Bun.spawn([...words], {
      cwd,
      env: { ...env, AEROSTORE_SHM_PATH: join(this.#segments, this.database) },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    const status = await child.exited;
    const cpuMs = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1_000;
    return { status, output, errors, cpuMs };
  }

  /** Runs a program of the folder with Bun; what it printed. **Throws** where it failed. */
  async bun(...words: readonly string[]): Promise<string> {
    const { status, output, errors } = await this.run([process.execPath, ...words]);
    if (status !== 0) throw new Error(`${words.join(" ")}: ${errors}`);
    return output;
  }

  /** Removes the segment of the database that is used now, so that the next open is a cold one. */
  dropSegment(): void {
    rmSync(join(this.#segments, this.database), { force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.#segments, { recursive: true, force: true });
  }
}

/**
 * Packs this checkout with one engine, by default the one that it has built, which is for this
 * machine only. The path of the tarball, inside `folder`.
 */
export async function packCheckout(
  folder: string,
  library: string = join(root, "zig-out", "lib", "libaerostore.so"),
): Promise<string> {
  const [layout, scratch] = [join(folder, "layout"), join(folder, "scratch")];
  const path = join(layout, "lib", `linux-${process.arch}`, "libaerostore.so");
  mkdirSync(scratch, { recursive: true });
  cpSync(library, path);
  const sha256 = new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");
  await layOut(layout, scratch, [{ arch: process.arch, path, sha256 }]);
  const tarball = join(folder, "aerostore.tgz");
  await Bun.$`${process.execPath} pm pack --filename ${tarball} --quiet`.cwd(layout).quiet();
  return tarball;
}
