/** `segments`: what is in shared memory, and removing it. */
import { listSegments, removeSegment } from "../../boot/segments.ts";
import type { SegmentSummary } from "../../boot/segments.ts";
import { loadLibrary } from "../../ffi/library.ts";
import { UsageError } from "../arguments.ts";
import { type Command, done } from "../command.ts";
import { alignTable } from "../../terminal/rows.ts";
import { formatBytes, printable } from "../../terminal/terminal.ts";

export const segments: Command = {
  name: "segments",
  summary: "lists the segments in shared memory; removes one",
  synopsis: "[remove PATH]",
  options: {},
  notes: [
    "Only segments of this user are listed. remove refuses one that a process has open, and one",
    "with commits that are not in the log of its database.",
  ],
  words: [0, 2],
  async run({ args, terminal, json }) {
    const { symbols } = loadLibrary();
    const [verb, path] = args.words;
    if (verb !== undefined) {
      if (verb !== "remove" || path === undefined) {
        throw new UsageError(
          `segments takes nothing, or remove PATH, not "${args.words.join(" ")}"`,
        );
      }
      const removed = removeSegment(symbols, path);
      terminal.print(json ? JSON.stringify(removed) : `removed ${printable(path)}`);
      return done;
    }
    const listed = listSegments(symbols);
    if (json) {
      terminal.print(JSON.stringify(listed));
      return done;
    }
    for (const line of alignTable(listed.map(lineOf))) terminal.print(line);
    return done;
  },
};

function lineOf(segment: SegmentSummary): string[] {
  const { path, sizeBytes, usedBytes, directory, directoryState, pids, problem } = segment;
  const state = directoryState === "present" ? "" : ` (${directoryState})`;
  return [
    printable(path),
    `${formatBytes(usedBytes)} of ${formatBytes(sizeBytes)}`,
    pids.length === 0 ? "not open" : `open in ${pids.join(", ")}`,
    printable(`${directory}${state}`),
    problem,
  ];
}
