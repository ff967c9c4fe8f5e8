#!/usr/bin/env bun
/** The command line as people start it: set-up where it has something to do, then the command. */
const { findProgram, isSetUp } = require("../../tools/prebuilt.ts");

async function start(): Promise<void> {
  if (!isSetUp()) await (await import("../../tools/setup.ts")).setUpOrExit();
  await require(findProgram("main", "./main.ts")).main();
}

void start();
