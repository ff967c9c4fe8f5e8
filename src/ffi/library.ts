/**
 * The engine, loaded: found, checked against the generated boundary, opened once per thread and
 * never closed (a call after closing would be a segmentation fault).
 */
import { dlopen } from "bun:ffi";
import { AerostoreError } from "../errors.ts";
import { abiHash, abiVersion, symbolTypes } from "./abi.gen.ts";
import type { Symbols } from "./abi.gen.ts";
import { checkFile } from "./file.ts";
import { chooseLibrary, type LibraryChoice, type LibrarySource } from "./locate.ts";
import { formatHash, parseManifest, readManifest } from "./manifest.ts";

export interface Library {
  readonly path: string;
  readonly source: LibrarySource;
  readonly symbols: Symbols;
}

/** Which engine answers, for people. */
export interface EngineInfo {
  /** The file; inside a compiled program its name there. */
  readonly path: string;
  readonly source: LibrarySource;
}

let loaded: Library | undefined;

/**
 * The engine of this process: `AEROSTORE_LIBRARY` if set, else the one inside the compiled program,
 * else the package's for this processor, else the one built in this checkout. **Throws**
 * `ABI_MISMATCH` when it is missing, damaged, stale or not the engine.
 */
export function loadLibrary(): Library {
  loaded ??= openLibrary(chooseLibrary());
  return loaded;
}

/** The engine that is loaded, or would be. Loads nothing. **Throws** as `chooseLibrary` does. */
export function describeEngine(): EngineInfo {
  const { path, source } = loaded ?? chooseLibrary();
  return { path, source };
}

/** Loads the engine that was chosen. **Throws** `ABI_MISMATCH` when it does not fit this code. */
export function openLibrary(choice: LibraryChoice): Library {
  const { path, source } = choice;
  try {
    checkFile(choice);
    const symbols = dlopen(path, symbolTypes).symbols as unknown as Symbols;
    if (symbols.aerostore_abi_hash() === abiHash) return { path, source, symbols };
  } catch (error) {
    throw explain(choice, error);
  }
  throw explain(choice, undefined);
}

/** Tells an engine of another version, which may lack a symbol, from one that cannot be loaded. */
function explain(choice: LibraryChoice, error: unknown): AerostoreError {
  const other = tryReadManifest(choice);
  if (other !== undefined && other.hash !== abiHash) {
    const found = `its boundary is ${formatHash(other.hash)} (version ${versionOf(other.text)})`;
    const needed = `this code needs ${formatHash(abiHash)} (version ${abiVersion})`;
    return mismatch(choice, `${found}, ${needed}`, advice[choice.source], error);
  }
  const reason = error instanceof Error ? error.message : String(error);
  if (choice.source === "embedded") {
    const found = `it cannot be unpacked to the temporary directory and loaded (${reason})`;
    return mismatch(choice, found, advice.embedded, error);
  }
  const obstacle = obstacles.find(({ pattern }) => pattern.test(reason));
  if (obstacle !== undefined) {
    return mismatch(choice, `${obstacle.found} (${reason})`, obstacle.advice, error);
  }
  const found = `it is not an Aerostore engine for this machine (${reason})`;
  return mismatch(choice, found, advice[choice.source], error);
}

/** What keeps an engine from being loaded that is itself all right, by what the system says. */
const obstacles = [
  {
    pattern: /failed to map segment|Operation not permitted/,
    found: "the system does not let programs be loaded from there",
    advice: "mount that file system without noexec, or install elsewhere",
  },
  {
    pattern: /requires the JIT/,
    found: "Bun has no JIT here, without which it calls no engine",
    advice:
      "raise the limit of the address space (`ulimit -v`), under which Bun does without its JIT, " +
      "and do not set BUN_JSC_useJIT",
  },
  {
    pattern: /Permission denied|EACCES/,
    found: "this user may not read it",
    advice: "make the file and its folders readable",
  },
];

const advice: Readonly<Record<LibrarySource, string>> = {
  environment:
    "run `bun run build` in the checkout, or point AEROSTORE_LIBRARY at an engine of this version",
  checkout:
    "run `bun run build` in the checkout, or point AEROSTORE_LIBRARY at an engine of this version",
  package: "install the package again",
  embedded:
    "make room there, or name in BUN_TMPDIR a directory with room that allows programs (no noexec)",
};

function tryReadManifest(choice: LibraryChoice): ReturnType<typeof readManifest> | undefined {
  try {
    checkFile(choice);
    return readManifest(choice.path);
  } catch {
    return undefined;
  }
}

/** For a message, so in words when there is none. */
function versionOf(manifest: string): number | string {
  try {
    return parseManifest(manifest).version;
  } catch {
    return "not readable";
  }
}

function mismatch(
  { path }: LibraryChoice,
  found: string,
  toDo: string,
  cause: unknown,
): AerostoreError {
  return new AerostoreError("ABI_MISMATCH", `cannot load the engine ${path}: ${found}; ${toDo}`, {
    path,
    cause,
  });
}
