/** `resize`: the segment in another size. */
import { dataDirectoryDefault } from "../../boot/paths.ts";
import { openResized } from "../../database/database.ts";
import { AerostoreError } from "../../errors.ts";
import { UsageError } from "../arguments.ts";
import { type Command, done, openDatabase } from "../command.ts";
import { printFigures } from "../figures.ts";

const mebibyte = 1 << 20;

export const resize: Command = {
  name: "resize",
  summary: "rebuilds the segment with another size or number of sessions",
  synopsis: "[--mib N] [--sessions N]",
  options: {
    mib: { value: "N", help: "size of the segment in MiB, 4 to 32768" },
    sessions: { value: "N", help: "sessions that may be attached at once, 16 to 4096" },
  },
  notes: [
    "Writes a checkpoint, then builds the segment anew from it. No other session may be attached.",
    "",
    "  aerostore resize --mib 4096",
  ],
  words: [0, 0],
  async run(invocation) {
    const { args } = invocation;
    const size = args.whole("mib", 4, 32_768);
    const maxSessions = args.whole("sessions", 16, 4_096);
    if (size === undefined && maxSessions === undefined) {
      throw new UsageError("resize needs --mib or --sessions");
    }
    const shmPath = await writeOut(invocation);
    await using db = await openResized(args.text("dir") ?? dataDirectoryDefault, {
      shmPath,
      create: false,
      ...(size === undefined ? {} : { maxBytes: size * mebibyte }),
      ...(maxSessions === undefined ? {} : { maxSessions }),
    });
    const { ignored } = db.boot;
    if (ignored.length > 0) {
      const message = `resizing ${db.shmPath}: ${ignored.join("; ")}`;
      throw new AerostoreError("PERMISSION", message, { path: db.shmPath });
    }
    const { memory, sessionsMax } = db.stats();
    const { segmentBytes } = memory;
    printFigures(invocation, { shmPath: db.shmPath, segmentBytes, sessionsMax, ...db.boot });
    return done;
  },
};

/** Writes everything to the data directory; the segment's path. */
async function writeOut(invocation: Parameters<typeof openDatabase>[0]): Promise<string> {
  await using db = await openDatabase(invocation);
  await db.checkpoint();
  await db.durable();
  return db.shmPath;
}
