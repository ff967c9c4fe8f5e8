/** The table of the searches beside writers. */
import { defineTable, t } from "../../src/index.ts";

export const rowsCount = 400;

export const Readings = defineTable("readings", {
  id: t.u32().primaryKey(),
  level: t.i32().index(),
  place: t.string(4).nullable().index(),
});
