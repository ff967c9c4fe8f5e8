/** The engine as `src/ingest/` needs it: its parser, and batches of its records upserted. */
import { writeRecords } from "./upsert-many.ts";
import type { TableBinding } from "../session/catalog.ts";
import { Status } from "../ffi/abi.gen.ts";
import type { BatchCounts, IngestEngine, IngestMemory, IngestSession } from "../ingest/session.ts";
import { recordHeadSize } from "../schema/layout.ts";
import type { Scope } from "./scope.ts";
import { words } from "../session/session.ts";

/** Reads streams into the table of `binding`. */
export function ingestEngine(scope: Scope, binding: TableBinding): IngestEngine {
  return {
    table: binding.definition,
    begin: (plan, memory, newestBy) => new Stream(scope, binding, plan, memory, newestBy),
  };
}

class Stream implements IngestSession {
  readonly #scope: Scope;
  readonly #binding: TableBinding;
  readonly #newestBy: Uint8Array | undefined;
  readonly #memory: IngestMemory;
  readonly #records: Uint8Array;
  readonly #stride: number;
  readonly #result: Uint8Array;
  readonly #rejects: Uint8Array;
  readonly #parser: number;

  constructor(
    scope: Scope,
    binding: TableBinding,
    plan: Uint8Array<ArrayBuffer>,
    memory: IngestMemory,
    newestBy: Uint8Array | undefined,
  ) {
    scope.use();
    const { session } = scope.handle;
    session.run({ attempted: "ingesting", table: binding.definition.name }, () =>
      session.calls.aerostore_ingest_open(session.handle, binding.id, plan, plan),
    );
    this.#parser = session.u32[words.cursor] ?? 0;
    this.#scope = scope;
    this.#binding = binding;
    this.#newestBy = newestBy;
    this.#memory = memory;
    this.#stride = recordHeadSize + binding.definition.imageSize;
    this.#records = new Uint8Array(memory.records);
    this.#rejects = new Uint8Array(memory.rejects);
    this.#result = new Uint8Array(memory.result);
  }

  parse(start: number, size: number, final: boolean, recordCount: number): void {
    this.#scope.use();
    const { session } = this.#scope.handle;
    const { input, lines } = this.#memory;
    const bytes = new Uint8Array(input, start, size);
    const records = this.#records.subarray(recordCount * this.#stride);
    const lineNumbers = new Uint8Array(lines, recordCount * 8);
    const status = session.calls.aerostore_ingest_parse(
      session.handle,
      this.#parser,
      final ? 1 : 0,
      bytes,
      bytes,
      records,
      records,
      lineNumbers,
      lineNumbers,
      this.#rejects,
      this.#rejects,
      this.#result,
    );
    if (status !== Status.ok) throw session.error(status, { attempted: "ingesting" });
  }

  commit(first: number, count: number): BatchCounts {
    const records = this.#records.subarray(first * this.#stride, (first + count) * this.#stride);
    return writeRecords(this.#scope, this.#binding, records, count, this.#newestBy);
  }

  [Symbol.dispose](): void {
    const { session } = this.#scope.handle;
    if (session.isOpen) session.calls.aerostore_ingest_close(session.handle, this.#parser);
  }
}
