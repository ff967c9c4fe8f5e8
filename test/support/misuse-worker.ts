/** All methods on a Worker's own handle; posts what each came to. */
import { open } from "../../src/index.ts";
import { databaseMethods, outcomeOf, searchMethods, subjectOf, tableMethods } from "./misuse.ts";

const [directory = "", shmPath = ""] = process.argv.slice(2);
const outcomes: Record<string, string> = {};
const db = await open(directory, { shmPath });
for (const { name, call } of [...tableMethods, ...searchMethods, ...databaseMethods]) {
  outcomes[name] = await outcomeOf(() => call(subjectOf(db)));
}
postMessage(outcomes);
