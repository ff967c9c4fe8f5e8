/** Server-Sent Events over `fetch`, which, unlike `EventSource`, can send a token. */
import { ClientError, send } from "./request.ts";
import type { Connection } from "./request.ts";

export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string;
}

const pauseMsMin = 100;
const pauseMsMax = 10_000;

/**
 * The events of `path`, for ever: reconnects with a growing pause, and asks to go on after the last
 * event. Ends when `signal` aborts. **Throws** `ClientError` for what another try does not mend.
 */
export async function* events(
  connection: Connection,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent, void> {
  let last = "";
  let pauseMs = pauseMsMin;
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = {
        ...connection.headers,
        accept: "text/event-stream",
      };
      if (last !== "") headers["last-event-id"] = last;
      const response = await send({ ...connection, headers }, "GET", path, undefined, signal);
      for await (const event of parseEvents(response)) {
        pauseMs = pauseMsMin;
        if (event.id !== "") last = event.id;
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ClientError && error.status < 500 && !error.retryable) throw error;
    }
    await pause(pauseMs * (0.5 + Math.random() / 2), signal);
    pauseMs = Math.min(pauseMs * 2, pauseMsMax);
  }
}

async function* parseEvents(response: Response): AsyncGenerator<ServerEvent, void> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parseBlock(block);
        if (event !== undefined) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** An event, or `undefined` for a block of comments. Pure. */
export function parseBlock(block: string): ServerEvent | undefined {
  const fields = { event: "message", id: "", data: "" };
  let hasData = false;
  for (const line of block.split(/\r?\n/)) {
    const [, name = "", value = ""] = /^([^:]+): ?(.*)$/.exec(line) ?? [];
    if (name === "data") {
      fields.data += hasData ? `\n${value}` : value;
      hasData = true;
    } else if (name === "event") fields.event = value;
    else if (name === "id") fields.id = value;
  }
  return hasData ? { type: fields.event, data: fields.data, id: fields.id } : undefined;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
