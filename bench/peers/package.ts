/** Versions of installed packages. */
import { join } from "node:path";

/** The installed version of a package, `undefined` when it is not there. */
export async function packageVersion(name: string): Promise<string | undefined> {
  const file = Bun.file(join(import.meta.dir, "..", "..", "node_modules", name, "package.json"));
  if (!(await file.exists())) return undefined;
  const { version } = (await file.json()) as { version: string }; // every package has one
  return version;
}
