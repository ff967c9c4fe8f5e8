/** Aerostore: everything that programs use. */
export { open } from "./database/database.ts";
export type { Database, OpenOptions, Outcome } from "./database/database.ts";
export { bearing, distance } from "./geo/sphere.ts";
export type { LatLon } from "./geo/sphere.ts";
export type { Change, ChangeFeed, ChangeLag, ChangesOptions } from "./changes/feed.ts";
export type { ChangeValues, ChangeWrite } from "./changes/decode.ts";
export type { Delta } from "./changes/standing.ts";
export type { Watch, WatchOptions, WatchSet } from "./database/watch.ts";
export type { Position } from "./changes/position.ts";
export type { SubscriptionInfo } from "./database/subscriptions.ts";
export type { WaitForOptions } from "./database/changes.ts";
export { AerostoreError } from "./errors.ts";
export type { ErrorCode, ErrorDetails } from "./errors.ts";
export type { AggregateQuery, GroupBy, GroupOf, SelectBy } from "./query/aggregate-types.ts";
export type { PreparedAggregate } from "./database/aggregate.ts";
export type { Group, GroupValue } from "./search/groups.ts";
export { t } from "./schema/column.ts";
export type { ColumnBuilder, ColumnDefinition, ColumnTypes, ColumnValue } from "./schema/column.ts";
export { defineTable } from "./schema/table.ts";
export type {
  AnyTable,
  DynamicShape,
  GeoDefinition,
  ShapeOf,
  TableDefinition,
  TableOptions,
  TableShape,
} from "./schema/table.ts";
export { Aircraft, FlightState } from "./flight/index.ts";
export type { AircraftColumns, FlightColumns } from "./flight/index.ts";
export { param } from "./query/parse/parameter.ts";
export type { Parameter } from "./query/parse/parameter.ts";
export type { DueBatch, DueOptions } from "./database/due.ts";
export type { BatchOptions, WriteCounts } from "./database/upsert-many.ts";
export type { BootMode } from "./boot/machine.ts";
export type { BootProgress, BootReport } from "./boot/run.ts";
export type { CheckReport } from "./admin/check.ts";
export type {
  CheckpointOptions,
  CheckpointProgress,
  CheckpointReport,
} from "./admin/checkpoint.ts";
export type { ConfigKey } from "./admin/settings.ts";
export type { Durability } from "./admin/durability.ts";
export type { IngestReport } from "./ingest/ingest.ts";
export type { IngestInput } from "./ingest/input.ts";
export type { FormatOptions, IngestOptions, IngestProgress, TimeUnit } from "./ingest/options.ts";
export type { IngestFormat } from "./ingest/formats.ts";
export type { NewestBy } from "./schema/newest.ts";
export type { IngestReject } from "./ingest/rejects.ts";
export type { IngestSource } from "./ingest/source.ts";
export type { Parameters, Prepared } from "./database/prepared.ts";
export type { ExplainedPlan } from "./query/plan/explain.ts";
export type {
  PageStart,
  SearchClause,
  SearchInput,
  SearchQuery,
  SearchSort,
} from "./query/types.ts";
export type { ColumnValues, Result } from "./search/result.ts";
export type { Stats } from "./admin/stats.ts";
export type { ExplainOptions, Table } from "./database/table.ts";
export type { TransactOptions } from "./database/transact.ts";
export type {
  BeginOptions,
  CommitOptions,
  CommitToken,
  LockOptions,
  Savepoint,
  Transaction,
  TransactionTable,
} from "./database/transaction.ts";
