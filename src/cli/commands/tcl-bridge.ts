/** `tcl-bridge`: the process that the Tcl package starts, one for each interpreter. */
import { type Command, done } from "../command.ts";
import { serveTcl } from "../../tcl/bridge.ts";

/** Where the Tcl package keeps its data when it is not told. */
const directoryDefault = "./aerostore_tcl_data";

export const tclBridge: Command = {
  name: "tcl-bridge",
  summary: "serves one Tcl interpreter; started by `package require aerostore`",
  synopsis: "",
  options: {},
  notes: ["Reads and writes frames on standard input and output, and ends with its input."],
  words: [0, 0],
  async run({ args }) {
    // An interrupt at the terminal is for the interpreter, which ends this process by leaving.
    process.on("SIGINT", () => undefined);
    const options = { directory: args.text("dir") ?? directoryDefault, shmPath: args.text("shm") };
    await serveTcl(options, Bun.stdin.stream(), createOutput());
    return done;
  },
};

/**
 * Writes frames to standard output without ever waiting: an interpreter with many calls in the
 * background does not read before this process has read what it sent. What it has not read yet is
 * kept. When it is gone nobody hears the rest, but what it asked for is still done.
 */
function createOutput(): (frame: Uint8Array) => void {
  const sink = Bun.stdout.writer();
  let isClosed = false;
  const close = (error: unknown): void => {
    isClosed = true;
    if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
  };
  return (frame) => {
    if (isClosed) return;
    try {
      sink.write(frame);
      const flushed = sink.flush();
      if (flushed instanceof Promise) flushed.catch(close);
    } catch (error) {
      close(error);
    }
  };
}
