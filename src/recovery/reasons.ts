/** Why the engine refuses files of a data directory, in words. */
import { CheckpointFault, LogFault } from "../ffi/constants.gen.ts";
import { memberOf } from "../ffi/struct.ts";

const otherVersion =
  "another version of Aerostore wrote it; open the directory with that version, export its " +
  "tables there and load them into a new directory";
const unknown = "it is damaged";

/** What is wrong with a damaged log, by the number of a `LogFault`. */
export function logReason(number: number): string {
  const fault = memberOf(LogFault, number);
  switch (fault) {
    case LogFault.header_cut:
      return "it is shorter than its header";
    case LogFault.header_magic:
      return "it is not a log file";
    case LogFault.header_version:
      return otherVersion;
    case LogFault.header_checksum:
      return "its header is damaged";
    case LogFault.database:
      return "it belongs to another database";
    case LogFault.epoch_twice:
      return "another file has the same epoch";
    case LogFault.order:
      return "its place among the files is wrong";
    case LogFault.start_missing:
      return "the beginning of the log is missing, or a checkpoint that had it";
    case LogFault.gap:
      return "it ends before the next file begins";
    case LogFault.damaged:
      return "a batch is damaged although later ones are whole";
    case LogFault.chain:
      return "a batch does not follow on the one before it";
    case LogFault.malformed:
      return "its content is not what a writer writes";
    case LogFault.behind:
      return "it ends before the checkpoint that was made from it";
    case LogFault.newest_missing:
      return "the newest log file is missing: there was a later one than those that are left";
    case LogFault.out_of_range:
      return "it has a commit number or an epoch that no database reaches";
    case undefined:
      return unknown;
  }
}

/** What is wrong with a damaged checkpoint, by the number of a `CheckpointFault`. */
export function checkpointReason(number: number): string {
  const fault = memberOf(CheckpointFault, number);
  switch (fault) {
    case CheckpointFault.header_cut:
      return "it is shorter than its header";
    case CheckpointFault.header_magic:
      return "it is not a checkpoint";
    case CheckpointFault.header_version:
      return otherVersion;
    case CheckpointFault.header_checksum:
      return "its header is damaged";
    case CheckpointFault.database:
      return "it belongs to another database";
    case CheckpointFault.size:
      return "it has not the size that its header tells";
    case CheckpointFault.block:
      return "a block is damaged";
    case CheckpointFault.order:
      return "a block is missing or repeated";
    case CheckpointFault.totals:
      return "its counts do not fit";
    case CheckpointFault.malformed:
      return "its rows are not what a writer writes";
    case CheckpointFault.out_of_range:
      return "it has a commit number that no database reaches";
    case undefined:
      return unknown;
  }
}
