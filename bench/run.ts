/** `bun run bench`: measures Aerostore and what a Bun user would pick instead, on the same work. */
import { tmpdir } from "node:os";
import { readEnvironment } from "./harness/environment.ts";
import { parseOptions, usage, UsageError } from "./harness/options.ts";
import { saveResults } from "./harness/results.ts";
import { showInstructions } from "./instructions.ts";
import { runWorkloads } from "./harness/runner.ts";
import { renderTables } from "./harness/text-table.ts";

async function main(words: readonly string[]): Promise<number> {
  const [command] = words;
  if (command === "list" || command === "--help" || command === "help") {
    console.log(usage);
    return 0;
  }
  if (command === "instructions") {
    await showInstructions(words.includes("--record"));
    return 0;
  }
  const options = parseOptions(words, tmpdir());
  const environment = await readEnvironment(options.directory);
  const say = (line: string): void => console.error(line);
  const { measurements, failures } = await runWorkloads(options, environment, say);
  console.log(renderTables(measurements));
  if (measurements.length > 0 && !options.settings.smoke) {
    console.log(`results: ${await saveResults(measurements, environment)}`);
  }
  for (const failure of failures) console.error(`failed: ${failure}`);
  return failures.length === 0 ? 0 : 1;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exit(2);
}
