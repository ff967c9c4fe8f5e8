/**
 * The tables of a segment as one session knows them, and what belongs to each: its id, its
 * definition, and the encoders that write into this session's memory.
 */
import { layouts } from "../ffi/layouts.gen.ts";
import { getField } from "../ffi/struct.ts";
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { RecordPool } from "./record-buffer.ts";
import { decodeSchema, encodeSchema } from "../schema/bytes.ts";
import { listDifferences } from "../schema/difference.ts";
import { generateEncoder } from "../schema/encode.ts";
import type { RowEncoder } from "../schema/encode.ts";
import { nearestName } from "../schema/nearest.ts";
import type { AnyTable, TableDefinition } from "../schema/table.ts";
import { words } from "./session.ts";
import type { Session } from "./session.ts";

/** A table of this segment, as the calls of a session need it. */
export interface TableBinding {
  readonly id: number;
  readonly definition: AnyTable;
  /** Into the io block. */
  readonly encoder: RowEncoder;
  /** For writing many rows. */
  readonly records: RecordPool;
}

interface StoredTable {
  readonly id: number;
  readonly definition: TableDefinition;
  readonly bytes: Uint8Array;
}

const { fields: entryFields, size: entryHeadSize } = layouts.CatalogEntry;
const growBytes = 16 << 10;

export class Catalog {
  readonly #session: Session;
  readonly #bindings = new WeakMap<AnyTable, TableBinding>();
  #version: number | undefined;
  #isReading = false;
  #byName: ReadonlyMap<string, StoredTable> = new Map();
  #byId: ReadonlyMap<number, StoredTable> = new Map();
  #buffer = new Uint8Array(new ArrayBuffer(growBytes));

  constructor(session: Session) {
    this.#session = session;
    session.names = this;
  }

  /** The stored tables, by id. */
  list(): readonly TableDefinition[] {
    this.#refresh();
    return Array.from(this.#byId.values(), ({ definition }) => definition);
  }

  /** The definition of the table with this id, which an error names; also one of the catalog. */
  tableOf(id: number): AnyTable | undefined {
    if (!this.#byId.has(id) && !this.#isReading) this.#refresh();
    return this.#byId.get(id)?.definition;
  }

  /** The stored table of this name. **Throws** `UNKNOWN_TABLE`. */
  find(name: string): TableDefinition {
    return this.#stored(name).definition;
  }

  /**
   * The binding of a definition, which must be what is stored. **Throws** `UNKNOWN_TABLE`,
   * `SCHEMA_MISMATCH` with the differences.
   */
  bind(definition: AnyTable): TableBinding {
    const known = this.#bindings.get(definition);
    if (known !== undefined) return known;
    const stored = this.#stored(definition.name);
    this.#compare(stored, definition);
    const encoder = generateEncoder(definition, this.#session.memory);
    const records = new RecordPool(definition);
    const binding = { id: stored.id, definition, encoder, records };
    this.#bindings.set(definition, binding);
    return binding;
  }

  /**
   * Stores a table that is not there yet. **Throws** `SCHEMA_MISMATCH` when one of this name is
   * there and differs, `SEGMENT_FULL`.
   */
  create(definition: AnyTable): void {
    this.#refresh();
    const stored = this.#byName.get(definition.name);
    if (stored !== undefined) return this.#compare(stored, definition);
    const session = this.#session;
    const bytes = encodeSchema(definition);
    const call = (): Status => session.calls.aerostore_table_create(session.handle, bytes, bytes);
    try {
      session.run({ attempted: "creating a table", table: definition.name }, call);
    } catch (error) {
      // Another session has created one of this name meanwhile: say what differs.
      const isOther = error instanceof AerostoreError && error.code === "SCHEMA_MISMATCH";
      if (isOther) this.#compare(this.#stored(definition.name), definition);
      throw error;
    }
    this.#compare(this.#stored(definition.name), definition);
  }

  #compare(stored: StoredTable, definition: AnyTable): void {
    if (stored.definition === definition) return;
    if (Buffer.compare(stored.bytes, encodeSchema(definition)) === 0) return;
    const differences = listDifferences(stored.definition, definition);
    const told = differences.length === 0 ? ["another layout"] : differences;
    throw new AerostoreError(
      "SCHEMA_MISMATCH",
      `table ${definition.name} is stored with another schema: ${told.join("; ")}`,
      { table: definition.name },
    );
  }

  #stored(name: string): StoredTable {
    if (!this.#byName.has(name)) this.#refresh();
    const stored = this.#byName.get(name);
    if (stored !== undefined) return stored;
    const nearest = nearestName(name, this.#byName.keys());
    const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
    throw new AerostoreError(
      "UNKNOWN_TABLE",
      `there is no table "${name}"${hint}; open({ tables }) or "aerostore create" makes one`,
      { table: name },
    );
  }

  #refresh(): void {
    const session = this.#session;
    const version = session.calls.aerostore_catalog_version(session.handle);
    if (version === this.#version) return;
    const byName = new Map<string, StoredTable>();
    const byId = new Map<number, StoredTable>();
    this.#isReading = true;
    try {
      for (const stored of this.#read()) {
        byName.set(stored.definition.name, stored);
        byId.set(stored.id, stored);
      }
    } finally {
      this.#isReading = false;
    }
    this.#byName = byName;
    this.#byId = byId;
    // While another session is creating a table, the next look must not trust this one.
    this.#version = session.u32[words.found] === 1 ? version : undefined;
  }

  *#read(): Generator<StoredTable> {
    const session = this.#session;
    const call = (): Status =>
      session.calls.aerostore_catalog_read(session.handle, this.#buffer, this.#buffer);
    let status = call();
    while (status === Status.buffer_too_small) {
      this.#buffer = new Uint8Array(new ArrayBuffer((session.u32[words.size] ?? 0) + growBytes));
      status = call();
    }
    if (status !== Status.ok) throw session.error(status, { attempted: "reading the catalog" });
    const size = session.u32[words.size] ?? 0;
    const view = new DataView(this.#buffer.buffer, 0, size);
    for (let at = 0; at + entryHeadSize <= size;) {
      const id = getField(view, at, entryFields.table);
      const schemaSize = getField(view, at, entryFields.schema_size);
      const start = at + entryHeadSize;
      const bytes = this.#buffer.slice(start, start + schemaSize);
      const known = this.#byId.get(id);
      if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) yield known;
      else yield { id, definition: decodeSchema(bytes), bytes };
      at = start + Math.ceil(schemaSize / 8) * 8;
    }
  }
}
