/** As many sessions at once as a segment can have. */
import { AerostoreError, defineTable, open, t } from "../../src/index.ts";
import { Crew } from "../support/crew.ts";

const Rows = defineTable("Rows", { id: t.u32().primaryKey(), n: t.u32().index() });
const writeEvery = 16;

export interface SessionsReport {
  readonly problems: readonly string[];
  readonly sessions: number;
}

/** Opens handles until all `count` slots are taken, one of them by the maintenance thread. */
export async function runSessions(count: number): Promise<SessionsReport> {
  await using crew = new Crew();
  const options = { tables: [Rows], shmPath: crew.shmPath, maxSessions: count };
  const problems: string[] = [];
  let sessions = 0;
  {
    using stack = new DisposableStack();
    const first = stack.use(await open(crew.data, options));
    let written = 0;
    for (let index = 2; index < count; index++) {
      const db = stack.use(await open(crew.data, options));
      if (index % writeEvery !== 0) continue;
      db.table(Rows).insert({ id: index, n: index });
      written++;
    }
    sessions = first.stats().sessions.length;
    const rows = first.table(Rows).count();
    if (rows !== written) problems.push(`${rows} rows instead of ${written}`);
    const code = await open(crew.data, options).then(
      () => "nothing",
      (error: unknown) => (error instanceof AerostoreError ? error.code : String(error)),
    );
    if (code !== "TOO_MANY_SESSIONS") problems.push(`one more than all was answered by ${code}`);
  }
  using again = await open(crew.data, options);
  const left = again.stats().sessions.length;
  if (left > 2) problems.push(`${left} sessions are left of those that were closed`);
  problems.push(...again.check().problems);
  return { problems, sessions };
}
