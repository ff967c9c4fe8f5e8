#!/usr/bin/env bun
/** The command line of a checkout: set-up where it has something to do, then the command. */
import { isSetUp } from "./stamp.ts";

if (!isSetUp()) await (await import("./setup.ts")).setUpOrExit();
await (await import("../src/cli/main.ts")).main();
