/** The workloads, in the order in which they are run and shown. */
import type { Workload } from "../harness/workload.ts";
import { conflicts } from "./conflicts.ts";
import { crucible } from "./crucible.ts";
import { groupCommit, logBytes } from "./durability.ts";
import { hotRow } from "./hot-row.ts";
import { ingest } from "./ingest.ts";
import { market } from "./market.ts";
import { messages } from "./message.ts";
import { get, upsert } from "./point.ts";
import { queries } from "./queries.ts";
import { replay } from "./replay.ts";
import { restart } from "./restart.ts";

export const workloads: readonly Workload[] = [
  upsert,
  get,
  ...queries,
  ingest,
  crucible,
  hotRow,
  replay,
  market,
  messages,
  conflicts,
  groupCommit,
  logBytes,
  restart,
];
