/** `/healthz` (the process answers) and `/readyz` (the database takes writes). */
import { jsonResponse } from "./content.ts";
import type { Door, Handler } from "./door.ts";
import { HttpProblem } from "./problem.ts";

export function healthz(): Handler {
  return () => jsonResponse({ status: "ok" });
}

export function readyz({ db }: Door): Handler {
  return () => {
    const { log } = db.stats();
    if (log.isPoisoned) throw new HttpProblem(503, "LOG_POISONED", "a write of the log has failed");
    if (log.isStalled) throw new HttpProblem(503, "IO_ERROR", "the disk is full");
    return jsonResponse({ status: "ok", boot: db.boot.mode });
  };
}
