/** The processes that the demo starts, each in a command line of its own. */
import { runChild } from "./messages.ts";
import { runSearcher } from "./searcher.ts";
import { runWriter } from "./writer.ts";

/** Writes the feed, as `options` (JSON) say, until it is told to stop. */
export async function runWriterChild(options: string | undefined): Promise<void> {
  await runChild(runWriter, options);
}

/** Searches, likewise. */
export async function runSearcherChild(options: string | undefined): Promise<void> {
  await runChild(runSearcher, options);
}
