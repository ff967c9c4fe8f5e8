/** The client's parts that need no server. */
import { describe, expect, test } from "bun:test";
import { parseBlock } from "../../src/client/events.ts";
import type { ServerEvent } from "../../src/client/events.ts";
import { Folder } from "../../src/client/watch.ts";

interface Plane {
  readonly id: string;
  readonly altitude: number;
}

const event = (type: string, data: object): ServerEvent => ({
  type,
  data: JSON.stringify(data),
  id: "",
});
const delta = (csn: number, parts: object): ServerEvent =>
  event("delta", { csn, reset: false, entered: [], changed: [], left: [], ...parts });

describe("client: events", () => {
  test("a block has a type, an id and lines of data", () => {
    expect(parseBlock("event: delta\nid: 7\ndata: a\ndata:b")).toEqual({
      type: "delta",
      id: "7",
      data: "a\nb",
    });
    expect(parseBlock("data: x\r\nid:")).toEqual({ type: "message", id: "", data: "x" });
    expect(parseBlock(": a comment")).toBeUndefined();
  });
});

describe("client: watch", () => {
  test("what a new connection begins with is compared with what is known", () => {
    const folder = new Folder<Plane, string>();
    expect(folder.fold(event("columns", ["id", "altitude"]))).toBeUndefined();
    const all = {
      reset: true,
      entered: [
        ["a", 1],
        ["b", 2],
        ["c", 3],
      ],
    };
    expect(folder.fold(delta(1, all))).toEqual({
      csn: 1,
      reset: true,
      entered: [
        { id: "a", altitude: 1 },
        { id: "b", altitude: 2 },
        { id: "c", altitude: 3 },
      ],
      changed: [],
      left: [],
    });
    expect(folder.fold(delta(2, { changed: [["b", 5]], left: ["c"] }))).toMatchObject({
      csn: 2,
      reset: false,
      changed: [{ id: "b", altitude: 5 }],
      left: ["c"],
    });
    // The connection was down; meanwhile a left, b changed and d entered.
    folder.fold(event("columns", ["id", "altitude"]));
    expect(
      folder.fold(
        delta(9, {
          reset: true,
          entered: [
            ["b", 6],
            ["d", 4],
          ],
        }),
      ),
    ).toEqual({
      csn: 9,
      reset: false,
      entered: [{ id: "d", altitude: 4 }],
      changed: [{ id: "b", altitude: 6 }],
      left: ["a"],
    });
    // And again, with nothing new: nothing to tell.
    expect(
      folder.fold(
        delta(9, {
          reset: true,
          entered: [
            ["b", 6],
            ["d", 4],
          ],
        }),
      ),
    ).toBeUndefined();
  });

  test("a first delta is told even when it is empty", () => {
    const folder = new Folder<Plane, string>();
    expect(folder.fold(delta(1, { reset: true }))).toMatchObject({ reset: true, entered: [] });
  });
});
