/** Why the engine refuses files of a data directory, in words. */

const otherVersion =
  "another version of Aerostore wrote it; open the directory with that version, export its " +
  "tables there and load them into a new directory";

/** What is wrong with a damaged log, by the reason's number (zig/wal/reader.zig). */
export const logReasons: readonly string[] = [
  "",
  "it is shorter than its header",
  "it is not a log file",
  otherVersion,
  "its header is damaged",
  "it belongs to another database",
  "another file has the same epoch",
  "its place among the files is wrong",
  "the beginning of the log is missing, or a checkpoint that had it",
  "it ends before the next file begins",
  "a batch is damaged although later ones are whole",
  "a batch does not follow on the one before it",
  "its content is not what a writer writes",
  "it ends before the checkpoint that was made from it",
  "the newest log file is missing: there was a later one than those that are left",
];

/** Likewise for checkpoints (zig/checkpoint/load.zig). */
export const checkpointReasons: readonly string[] = [
  "",
  "it is shorter than its header",
  "it is not a checkpoint",
  otherVersion,
  "its header is damaged",
  "it belongs to another database",
  "it has not the size that its header tells",
  "a block is damaged",
  "a block is missing or repeated",
  "its counts do not fit",
  "its rows are not what a writer writes",
];
