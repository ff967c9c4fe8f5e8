/** `serve`: the database over HTTP. */
import { readFileSync } from "node:fs";
import { parseTokens } from "../../http/access.ts";
import type { AccessToken } from "../../http/access.ts";
import { routes } from "../../http/routes.ts";
import { UsageError } from "../arguments.ts";
import { type Command, done, openDatabase } from "../command.ts";

const hostDefault = "127.0.0.1";
const portDefault = 8_080;
const loopback = ["127.0.0.1", "localhost", "[::1]", "::1"];

export const serve: Command = {
  name: "serve",
  summary: "answers over HTTP: rows, searches, writes, metrics",
  synopsis: "",
  options: {
    port: { value: "N", help: `port (default ${portDefault}; 0 takes a free one)` },
    host: { value: "ADDRESS", help: `address to listen on (default ${hostDefault})` },
    "token-file": { value: "FILE", help: "TOKEN, TOKEN read or TOKEN write TABLE… on each line" },
    "read-only": { help: "refuse every write" },
    cors: { value: "ORIGIN", help: "let pages of this origin ask" },
    insecure: { help: "allow another address than loopback without tokens" },
  },
  notes: [
    "Prints its address on standard output. Several may listen on one port and share the work.",
    "Beyond this machine it needs --token-file, or --insecure.",
  ],
  words: [0, 0],
  async run(invocation) {
    const { args, terminal, json } = invocation;
    const hostname = args.text("host") ?? hostDefault;
    const port = args.whole("port", 0, 65_535) ?? portDefault;
    const tokens = readTokens(args.text("token-file"));
    const isLocal = loopback.includes(hostname);
    if (!isLocal && tokens.length === 0 && !args.has("insecure")) {
      throw new UsageError(
        `--host ${hostname} is reachable from other machines: name --token-file FILE, ` +
          "or say --insecure",
      );
    }
    await using db = await openDatabase(invocation);
    await using server = Bun.serve({
      hostname,
      port,
      reusePort: true,
      routes: {
        ...routes(db, {
          tokens,
          readOnly: args.has("read-only"),
          cors: args.text("cors"),
          // A name that leads here from elsewhere is no name of this server.
          hosts: isLocal ? loopback : undefined,
          onError: (error) => terminal.note(error instanceof Error ? error.message : String(error)),
        }),
      },
      fetch: () => Response.json({ status: 404, code: "NOT_FOUND" }, { status: 404 }),
    });
    const url = String(server.url);
    terminal.print(json ? JSON.stringify({ url }) : url);
    terminal.flush();
    const stopped = Promise.withResolvers<void>();
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stopped.resolve());
    await stopped.promise;
    await server.stop();
    return done;
  },
};

/** **Throws** `UsageError` for a file that cannot be read or has no token. */
function readTokens(path: string | undefined): AccessToken[] {
  if (path === undefined) return [];
  try {
    const tokens = parseTokens(readFileSync(path, "utf8"));
    if (tokens.length > 0) return tokens;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  throw new UsageError(`--token-file ${path}: the file has no token`);
}
