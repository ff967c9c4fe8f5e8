/** Builds the engines that the package carries, for every Linux on the processors that Bun runs on. */
import { join } from "node:path";
import type { PackedLibrary } from "./bundle.ts";
import { readElf, removeNeeded } from "./elf.ts";
import { zigPath } from "./setup.ts";

const root = join(import.meta.dir, "..");
export const packedArchitectures = ["x64", "arm64"] as const;
/** Of one engine, in bytes; without debug information it is well below. */
const librarySizeMax = 1_000_000;

/** What an engine may take from the program that loads it: glibc and musl have all of it. */
export const allowedSymbols: ReadonlySet<string> = new Set([
  ...["__errno_location", "__stack_chk_fail", "__stack_chk_guard", "__tls_get_addr", "abort"],
  ...["clock_gettime", "free", "malloc", "malloc_usable_size", "memcpy", "memmove", "memset"],
  ...["posix_memalign", "pthread_attr_destroy", "pthread_attr_init", "pthread_attr_setguardsize"],
  ...["pthread_attr_setstacksize", "pthread_create", "pthread_getspecific", "pthread_join"],
  ...["pthread_key_create", "pthread_setspecific", "realloc", "sigaltstack", "sysconf"],
]);

/** The engines as they are shipped, in `folder/lib`. **Throws** where one would not load everywhere. */
export async function packLibraries(folder: string): Promise<PackedLibrary[]> {
  await Bun.$`${zigPath()} build package`.cwd(root).quiet();
  return Promise.all(
    packedArchitectures.map(async (arch) => {
      const built = join(root, "zig-out", "package", `linux-${arch}`, "libaerostore.so");
      const bytes = await Bun.file(built).bytes();
      removeNeeded(bytes);
      checkLibrary(bytes, arch);
      const path = join(folder, "lib", `linux-${arch}`, "libaerostore.so");
      await Bun.write(path, bytes);
      const sha256 = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
      return { arch, path, sha256 };
    }),
  );
}

/** **Throws** a plain `Error` that says why `bytes` are not an engine to ship for `arch`. */
export function checkLibrary(bytes: Uint8Array, arch: string): void {
  const { machine, needed, undefinedSymbols, hasDebugInfo } = readElf(bytes);
  const foreign = undefinedSymbols.filter((name) => !allowedSymbols.has(name));
  const problems = [
    ...(machine === arch ? [] : [`it is for ${machine}`]),
    ...needed.map((name) => `it needs ${name}, which is called otherwise elsewhere`),
    ...foreign.map((name) => `it takes ${name}, which not every C library has`),
    ...(hasDebugInfo ? ["it has debug information"] : []),
    ...(bytes.length <= librarySizeMax ? [] : [`it has ${bytes.length} bytes`]),
  ];
  if (problems.length > 0) throw new Error(`the engine for ${arch}: ${problems.join("; ")}`);
}
