/**
 * An HTTP server in front of a database: searches answered as JSON, upserts acknowledged when they
 * are on disk. Start as many processes of it as there are cores, with `PORT` and `reusePort`.
 *
 *   bun examples/http-search.ts ./aerostore_data
 *   curl -g 'localhost:3000/search?q=-compare+{>+altitude+30000}+-limit+5'
 *   curl localhost:3000/flights \
 *     -d '[{"flight_id":"UAL1","lat":1,"lon":2,"altitude":3,"gs":4,"updated_at":5}]'
 */
import { AerostoreError, type Database, FlightState, open, type Transaction } from "aerostore";

/** Larger answers are sent in pieces of about this many characters. */
const pieceLength = 64 * 1024;

/** Answers requests from `db`. Every handler is synchronous up to its first `await`. */
export function routes(db: Database): {
  readonly [path: string]: (request: Request) => Response | Promise<Response>;
} {
  const flights = db.table(FlightState);
  const byId = flights.prepare("-compare {= flight_id $id}");

  return {
    // One row by its key: planned once, bound for each request.
    "/flight": (request) => {
      const id = new URL(request.url).searchParams.get("id") ?? "";
      const row = byId.first({ id });
      return row === undefined ? refusal(404, "NOT_FOUND", `no flight ${id}`) : jsonOf(row);
    },

    // Any search, of any length: the rows are decoded and sent as the client takes them, all from
    // the instant of the search. A search only reads: one with `-update` or `-delete` is an error.
    "/search": (request) => {
      const query = new URL(request.url).searchParams.get("q") ?? "";
      const pieces = piecesOf(db.begin({ readOnly: true }), query);
      // Always one piece ahead: a wrong query is an error before the answer begins, and a short
      // answer needs its snapshot no longer than it takes to make it.
      let piece = pieces.next();
      const body = new ReadableStream<string>({
        pull(controller) {
          if (piece.done === true) return controller.close();
          controller.enqueue(piece.value);
          piece = pieces.next();
        },
        cancel: () => {
          pieces.return();
        },
      });
      return new Response(body, { headers: { "content-type": "application/json" } });
    },

    // Upserts. The answer comes when the rows are on disk; meanwhile others are served, and all who
    // wait share one sync.
    "/flights": async (request) => {
      if (request.method !== "POST") return refusal(405, "METHOD", "POST an array of rows");
      const rows: unknown = await request.json().catch(() => undefined);
      if (!Array.isArray(rows)) return refusal(400, "INVALID_VALUE", "POST an array of rows");
      const counts = flights.upsertMany(rows);
      await db.durable();
      return Response.json(counts);
    },

    "/stats": () => Response.json(db.stats()),
  };
}

function jsonOf(value: unknown): Response {
  const headers = { "content-type": "application/json" };
  return new Response(JSON.stringify(value, digitsOfBigint), { headers });
}

/** The rows of a query as a JSON array, piece by piece. `view` ends with it, however it ends. */
function* piecesOf(view: Transaction, query: string): Generator<string, void> {
  try {
    let piece = "[";
    let separator = "";
    for (const row of view.table(FlightState).search(query).cursor()) {
      piece += separator + JSON.stringify(row, digitsOfBigint);
      separator = ",";
      if (piece.length < pieceLength) continue;
      yield piece;
      piece = "";
    }
    yield `${piece}]`;
  } finally {
    view.abort();
  }
}

/** 64-bit integers beyond the safe ones as digit strings: JSON numbers would lose their end. */
function digitsOfBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** An error as JSON: the caller's mistakes are 400, what may be tried again is 503. */
export function errorResponse(error: unknown): Response {
  if (error instanceof TypeError) return refusal(400, "INVALID_VALUE", error.message);
  if (!(error instanceof AerostoreError)) return refusal(500, "INTERNAL", "see the server's log");
  const { code, message, retryable } = error;
  const status = retryable || code === "SEGMENT_FULL" || code === "CLOSED" ? 503 : 400;
  return refusal(status, code, message);
}

function refusal(status: number, code: string, message: string): Response {
  return Response.json({ code, message }, { status });
}

if (import.meta.main) {
  await using db = await open(process.argv[2], { tables: [FlightState] });
  const server = Bun.serve({ routes: routes(db), error: errorResponse, reusePort: true });
  console.log(`listening on ${server.url}`);
  const signal = Promise.withResolvers<void>();
  for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => signal.resolve());
  await signal.promise;
  await server.stop();
}
