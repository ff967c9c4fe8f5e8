/** The workloads, in the order in which they are run and shown. */
import type { Workload } from "../harness/workload.ts";
import { crucible } from "./crucible.ts";
import { ingest } from "./ingest.ts";
import { get, upsert } from "./point.ts";
import { queries } from "./queries.ts";

export const workloads: readonly Workload[] = [upsert, get, ...queries, ingest, crucible];
