/** What the planner knows of a table: the least that it needs, so that any catalog can give it. */
import type { ColumnDefinition } from "../../schema/column.ts";

/** A column in its place. A `ColumnDefinition` is one. */
export type PlannerColumn = Pick<
  ColumnDefinition,
  "name" | "kind" | "scale" | "limit" | "labels" | "nullable" | "indexed" | "unique" | "position"
>;

/** A table. A `TableDefinition` is one. */
export interface PlannerTable {
  readonly name: string;
  /** The key first, as positions count. */
  readonly columns: readonly PlannerColumn[];
  readonly imageSize: number;
  /** The column of this name or alias. */
  find(name: string): PlannerColumn | undefined;
  /** Every name and alias. */
  names(): Iterable<string>;
}
