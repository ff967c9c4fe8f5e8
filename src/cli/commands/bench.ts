/** `bench`: the benchmark suites of a checkout. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AerostoreError } from "../../errors.ts";
import { shippedLibraries } from "../../ffi/shipped.ts";
import { type Command, done, failed, misused } from "../command.ts";

export const bench: Command = {
  name: "bench",
  summary: "runs the benchmark suites",
  synopsis: "[suite]…",
  options: {},
  words: [0, Number.MAX_SAFE_INTEGER],
  async run({ args, json }) {
    const program = join(import.meta.dir, "..", "..", "..", "bench", "run.ts");
    if (shippedLibraries !== undefined || !existsSync(program)) {
      throw new AerostoreError("IO_ERROR", "running benchmarks: they come with a checkout only", {
        path: program,
      });
    }
    const command = [process.execPath, program, ...args.words, ...(json ? ["--json"] : [])];
    const child = Bun.spawn(command, { stdin: "inherit", stdout: "inherit", stderr: "inherit" });
    const status = await child.exited;
    return status === misused || status === done ? status : failed;
  },
};
