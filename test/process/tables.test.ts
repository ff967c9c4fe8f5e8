/** How many tables there can be, and what a handle with a list of tables learns of new ones. */
import { expect, test } from "bun:test";
import { AerostoreError, defineTable, t } from "../../src/index.ts";
import { TemporaryDatabase } from "../support/temporary-database.ts";

const columns = { id: t.u32().primaryKey() };

test("tables: one more than there can be is refused as that", async () => {
  using temporary = new TemporaryDatabase();
  using db = await temporary.open();
  for (let number = 0; number < 256; number++) db.createTable(defineTable(`T${number}`, columns));
  let error: unknown;
  try {
    db.createTable(defineTable("More", columns));
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(AerostoreError);
  expect(error).toMatchObject({
    code: "SEGMENT_FULL",
    message: expect.stringMatching(/More.*the database has 256 tables, the most that there can be/),
  });
  db.createTable(defineTable("T7", columns));
  expect(db.tables().length).toBe(256);
  expect(db.check().problems).toEqual([]);
});

test("tables: a handle sees a table at once that another handle has created", async () => {
  using temporary = new TemporaryDatabase();
  using db = await temporary.open();
  using other = await temporary.open();
  for (let number = 0; number < 20; number++) {
    const name = `T${number}`;
    expect(other.tables().map((each) => each.name)).not.toContain(name);
    db.createTable(defineTable(name, columns));
    other.table(name).upsert({ id: 1 });
  }
  expect(() => other.createTable(defineTable("T3", { id: t.i32().primaryKey() }))).toThrow(
    "T3 is stored with another schema",
  );
});
