/** `recover`: brings a database up and tells how; on order, behind a cut of its damaged log. */
import { cutLog } from "../../boot/cut.ts";
import { dataDirectoryDefault } from "../../boot/paths.ts";
import { loadLibrary } from "../../ffi/library.ts";
import { UsageError } from "../arguments.ts";
import { type Command, done, openDatabase } from "../command.ts";
import { printFigures } from "../figures.ts";

export const recover: Command = {
  name: "recover",
  summary: "brings the database up and tells how; can cut a damaged log",
  synopsis: "[--truncate-at FILE:OFFSET]",
  options: {
    "truncate-at": {
      value: "FILE:OFFSET",
      help: "cut the log there first: all commits behind that place are lost",
    },
  },
  notes: [
    "WAL_CORRUPT names file and offset. A copy of what is cut stays beside it, as FILE.kept.",
    "",
    "  aerostore recover --truncate-at aerostore.wal:81920",
  ],
  words: [0, 0],
  async run(invocation) {
    const { args } = invocation;
    const place = args.text("truncate-at");
    const cut =
      place === undefined
        ? {}
        : cutLog(loadLibrary().symbols, {
            directory: args.text("dir") ?? dataDirectoryDefault,
            shmPath: args.text("shm"),
            ...parsePlace(place),
          });
    await using db = await openDatabase(invocation);
    printFigures(invocation, { ...cut, ...db.boot });
    return done;
  },
};

/** **Throws** `UsageError`. */
function parsePlace(text: string): { readonly file: string; readonly offset: number } {
  const [, file, digits] = /^([^/]+):(\d{1,15})$/.exec(text) ?? [];
  if (file === undefined || digits === undefined) {
    throw new UsageError(`--truncate-at is FILE:OFFSET, like aerostore.wal:81920, not "${text}"`);
  }
  return { file, offset: Number(digits) };
}
