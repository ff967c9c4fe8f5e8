/**
 * Rows of Parquet files, read by the optional peer `hyparquet`, which is loaded when it is used.
 * Memory: the file and one group of its rows.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { AerostoreError } from "../errors.ts";
import { writeString } from "./json-text.ts";
import type { RecordReader, RecordSink } from "./records.ts";

/** What is used of `hyparquet`. */
interface Hyparquet {
  readonly parquetMetadataAsync: (file: ArrayBuffer) => Promise<{ readonly num_rows: bigint }>;
  readonly parquetReadObjects: (options: {
    readonly file: ArrayBuffer;
    readonly compressors: unknown;
    readonly rowStart: number;
    readonly rowEnd: number;
  }) => Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/** Rows that are decoded at a time. */
const groupSize = 10_000;

/** Gives the maker of a reader. **Throws** `IO_ERROR` when the peer is not installed. */
export async function openParquet(): Promise<(sink: RecordSink) => RecordReader> {
  const library = await loadPeer();
  const compressors = await loadCompressors();
  return (sink) => {
    const pieces: Uint8Array[] = [];
    return {
      push: (bytes) => {
        pieces.push(bytes.slice());
      },
      end: () => readRows(library, compressors, Buffer.concat(pieces), sink),
    };
  };
}

async function readRows(
  library: Hyparquet,
  compressors: unknown,
  bytes: Buffer,
  sink: RecordSink,
): Promise<void> {
  const file = new Uint8Array(bytes).buffer;
  try {
    const count = Number((await library.parquetMetadataAsync(file)).num_rows);
    for (let rowStart = 0; rowStart < count; rowStart += groupSize) {
      const rowEnd = Math.min(count, rowStart + groupSize);
      const rows = await library.parquetReadObjects({ file, compressors, rowStart, rowEnd });
      for (const [index, row] of rows.entries()) {
        const json = jsonOf(row) ?? "{}";
        sink.row(json, { line: rowStart + index + 1, column: undefined, text: json });
      }
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AerostoreError("IO_ERROR", `reading Parquet input: ${reason}`, { cause: error });
  }
}

/** A value as JSON in latin1; `undefined` for what has none. */
function jsonOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return writeString(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") {
    return Number.isFinite(value) ? String(value) : writeString(String(value));
  }
  if (typeof value === "boolean") return String(value);
  if (value instanceof Date) return String(value.getTime());
  if (value instanceof Uint8Array) return writeString(Buffer.from(value).toString("hex"));
  if (typeof value !== "object") return undefined;
  if (Array.isArray(value)) return `[${value.map((each) => jsonOf(each) ?? "null").join(",")}]`;
  const members = Object.entries(value).flatMap(([name, each]) => {
    const json = jsonOf(each);
    return json === undefined ? [] : [`${writeString(name)}:${json}`];
  });
  return `{${members.join(",")}}`;
}

async function loadPeer(): Promise<Hyparquet> {
  const library = await load("hyparquet");
  if (isHyparquet(library)) return library;
  throw new AerostoreError(
    "IO_ERROR",
    "reading Parquet input: the package hyparquet reads it, and is not installed here; " +
      "add it to the program with `bun add hyparquet`",
  );
}

/** Further compressions, where that package is installed. */
async function loadCompressors(): Promise<unknown> {
  const library = await load("hyparquet-compressors");
  return typeof library === "object" && library !== null && "compressors" in library
    ? library.compressors
    : undefined;
}

/**
 * A package that is installed for the program, or beside this one; never one that would have to be
 * fetched.
 */
async function load(name: string): Promise<unknown> {
  for (const start of [process.cwd(), import.meta.dir]) {
    for (let folder = start; ; folder = dirname(folder)) {
      if (existsSync(join(folder, "node_modules", name, "package.json"))) {
        return import(Bun.resolveSync(name, folder));
      }
      if (folder === dirname(folder)) break;
    }
  }
  return undefined;
}

function isHyparquet(library: unknown): library is Hyparquet {
  return (
    typeof library === "object" &&
    library !== null &&
    "parquetReadObjects" in library &&
    "parquetMetadataAsync" in library
  );
}
