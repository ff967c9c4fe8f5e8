/** Aerostore: everything that programs use. */
export { open } from "./database.ts";
export type { Database, OpenOptions, Outcome } from "./database.ts";
export { AerostoreError } from "./errors.ts";
export type { ErrorCode, ErrorDetails } from "./errors.ts";
export { t } from "./schema/column.ts";
export type { ColumnBuilder, ColumnDefinition, ColumnTypes, ColumnValue } from "./schema/column.ts";
export { defineTable } from "./schema/table.ts";
export type { DynamicShape, ShapeOf, TableDefinition, TableShape } from "./schema/table.ts";
export { FlightState } from "./schema/flight-state.ts";
export type { FlightColumns } from "./schema/flight-state.ts";
export type { BatchOptions, WriteCounts } from "./batch.ts";
export type { BootMode } from "./boot/machine.ts";
export type { BootProgress, BootReport } from "./boot/run.ts";
export type { CheckReport } from "./check.ts";
export type { CheckpointOptions, CheckpointProgress, CheckpointReport } from "./checkpointer.ts";
export type { ConfigKey } from "./config.ts";
export type { Durability } from "./durability.ts";
export type { IngestOptions, IngestProgress, IngestReport } from "./ingest/ingest.ts";
export type { IngestReject } from "./ingest/rejects.ts";
export type { IngestSource } from "./ingest/source.ts";
export type { Parameters, Prepared } from "./prepared.ts";
export type { ExplainedPlan } from "./query/explain.ts";
export type { SearchClause, SearchInput, SearchQuery, SearchSort } from "./query/types.ts";
export type { ColumnValues, Result } from "./result.ts";
export type { Stats } from "./stats.ts";
export type { ExplainOptions, Table } from "./table.ts";
export type { TransactOptions } from "./transact.ts";
export type {
  BeginOptions,
  CommitOptions,
  CommitToken,
  LockOptions,
  Savepoint,
  Transaction,
  TransactionTable,
} from "./transaction.ts";
