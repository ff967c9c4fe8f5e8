/** The table of messages is complete, and every message says enough. */
import { expect, test } from "bun:test";
import { isErrorCode } from "../../src/errors.ts";
import { messagesPath, readMessages, renderMessages } from "../support/messages.ts";

const messages = await readMessages();

// `bun test/support/messages.ts` writes it anew.
test("messages: docs/messages.md has every message", async () => {
  const known = new Set((await Bun.file(messagesPath).text()).split("\n"));
  const lines = renderMessages(messages).split("\n");
  expect(lines.filter((line) => line.startsWith("|") && !known.has(line))).toEqual([]);
});

test("messages: each has a code that programs know", () => {
  const others = new Set(["TypeError", "RangeError", "usage", "by cause"]);
  const unknown = messages.filter(({ code }) => !isErrorCode(code) && !others.has(code));
  expect(unknown).toEqual([]);
});

test("messages: none speaks of somebody, and none ends in a full stop or blames", () => {
  const wrong = messages.filter(({ text }) => {
    return /\b(?:somebody|nobody|whoever|oops|illegal)\b/i.test(text) || /\.$/.test(text);
  });
  expect(wrong.map(({ text, file }) => `${file}: ${text}`)).toEqual([]);
});
