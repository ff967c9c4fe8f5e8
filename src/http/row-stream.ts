/** Rows of one instant as a body, written as the client takes them. */
import type { Transaction } from "../database/transaction.ts";
import { createLineWriter } from "../ingest/line-writer.ts";
import type { Query } from "./door.ts";
import { textResponse, typeOf } from "./content.ts";
import type { RowMedia } from "./content.ts";

/** Longer answers are sent in pieces of about this many characters. */
const pieceLength = 64 << 10;

export interface RowAnswer {
  /** Ended with the answer, however it ends. */
  readonly view: Transaction;
  readonly table: string;
  readonly query: Query;
  readonly media: RowMedia;
  /** A client that takes longer than this loses the rest: its snapshot holds back memory. */
  readonly timeMsMax: number;
}

/** The answer. A wrong query **throws** before it begins. */
export function rowResponse(answer: RowAnswer): Response {
  const pieces = piecesOf(answer);
  // Always one piece ahead: a short answer needs its snapshot no longer than it takes to make it.
  const first = pieces.next();
  const type = typeOf(answer.media);
  if (first.done === true) return textResponse("", type);
  const second = pieces.next();
  if (second.done === true) return textResponse(first.value, type);
  return new Response(streamOf(first.value, second.value, pieces, answer.timeMsMax), {
    headers: { "content-type": type },
  });
}

function streamOf(
  first: string,
  second: string,
  pieces: Generator<string, void>,
  timeMsMax: number,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const waiting = [first, second];
  let timer: ReturnType<typeof setTimeout> | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setTimeout(() => {
        pieces.return();
        controller.error(new Error(`the client took longer than ${timeMsMax} ms`));
      }, timeMsMax);
      timer.unref();
    },
    pull(controller) {
      const piece = waiting.shift() ?? nextOf(pieces);
      if (piece !== undefined) return controller.enqueue(encoder.encode(piece));
      clearTimeout(timer);
      controller.close();
    },
    cancel() {
      clearTimeout(timer);
      pieces.return();
    },
  });
}

function nextOf(pieces: Generator<string, void>): string | undefined {
  const step = pieces.next();
  return step.done === true ? undefined : step.value;
}

function* piecesOf({ view, table, query, media }: RowAnswer): Generator<string, void> {
  try {
    using result = view.table(table).search(query);
    const writer = createLineWriter(result.columns, media === "json" ? "ndjson" : media);
    const [open, between, close] = media === "json" ? ["[", ",", "]\n"] : ["", "\n", "\n"];
    let piece = writer.header === undefined ? open : `${writer.header}\n`;
    let isFirst = true;
    for (const row of result.cursor()) {
      piece += isFirst ? writer.line(row) : between + writer.line(row);
      isFirst = false;
      if (piece.length < pieceLength) continue;
      yield piece;
      piece = "";
    }
    if (!isFirst || media === "json") piece += close;
    yield piece;
  } finally {
    view.abort();
  }
}
