/** `bun run bench`: measures Aerostore and what a Bun user would pick instead, on the same work. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { showBandwidth } from "./bandwidth.ts";
import { measureDurability } from "./durability.ts";
import { readEnvironment } from "./harness/environment.ts";
import { parseOptions, usage, UsageError } from "./harness/options.ts";
import { renderMarkdown } from "./harness/markdown.ts";
import { renderReport } from "./harness/report.ts";
import { latestResults, loadResults, resultsFolder, saveResults } from "./harness/results.ts";
import { showInstructions } from "./instructions.ts";
import { runWorkloads } from "./harness/runner.ts";
import { runMicro } from "./micro/index.ts";
import { renderTables } from "./harness/text-table.ts";

async function main(words: readonly string[]): Promise<number> {
  const [command] = words;
  if (command === "list" || command === "--help" || command === "help") {
    console.log(usage);
    return 0;
  }
  if (command === "micro") {
    await runMicro(words.slice(1));
    return 0;
  }
  if (command === "instructions") {
    await showInstructions(words.includes("--record"));
    return 0;
  }
  if (command === "bandwidth") {
    await showBandwidth();
    return 0;
  }
  if (command === "durability") {
    await measureDurability(tmpdir());
    return 0;
  }
  if (command === "report") return writeReport(words.slice(1));
  const options = parseOptions(words, tmpdir());
  const environment = await readEnvironment(options.directory);
  const say = (line: string): void => console.error(line);
  const { measurements, failures } = await runWorkloads(options, environment, say);
  if (options.json) for (const each of measurements) console.log(JSON.stringify(each));
  else console.log(renderTables(measurements));
  if (measurements.length > 0 && !options.settings.smoke) {
    const path = await saveResults(measurements, environment);
    (options.json ? say : console.log)(`results: ${path}`);
  }
  for (const failure of failures) console.error(`failed: ${failure}`);
  return failures.length === 0 ? 0 : 1;
}

/**
 * Writes `report.html` beside the results, or prints Markdown: of one run, since only its own
 * figures compare.
 */
async function writeReport(words: readonly string[]): Promise<number> {
  const [file = latestResults()] = words.filter((word) => word !== "--markdown");
  if (file === undefined) {
    console.error("there are no results yet: run `bun run bench` first");
    return 1;
  }
  const measurements = await loadResults(file);
  if (words.includes("--markdown")) {
    console.log(renderMarkdown(measurements));
    return 0;
  }
  const page = await renderReport(measurements);
  const path = join(resultsFolder, "report.html");
  await Bun.write(path, page);
  console.log(path);
  return 0;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exit(2);
}
