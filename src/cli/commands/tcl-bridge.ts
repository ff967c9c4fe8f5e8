/** `tcl-bridge`: the process that the Tcl package starts, one for each interpreter. */
import { writeSync } from "node:fs";
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
    await serveTcl(options, Bun.stdin.stream(), writeAll);
    return done;
  },
};

/** The interpreter reads what it asked for before it asks again, so this ends. */
function writeAll(frame: Uint8Array): void {
  for (let at = 0; at < frame.length;) at += writeSync(1, frame, at);
}
