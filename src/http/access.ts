/**
 * Who may do what: tokens, and the checks that keep pages of other sites out. Loopback alone is no
 * protection from a browser, which sends requests to it for any page (docs/security.md).
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { HttpProblem } from "./problem.ts";

/** What the holder of a token may do. */
export interface AccessToken {
  readonly token: string;
  /** `"write"` includes reading. */
  readonly access: "read" | "write";
  /** Default: every table. */
  readonly tables?: readonly string[] | undefined;
}

export interface AccessOptions {
  /** Without any, every caller may do everything. */
  readonly tokens?: readonly AccessToken[] | undefined;
  /** Refuses every write. */
  readonly readOnly?: boolean | undefined;
  /** Names under which the server may be asked (`Host` without its port). Default: any. */
  readonly hosts?: readonly string[] | undefined;
  /** The one other origin whose pages may ask, for example `https://map.example`. */
  readonly cors?: string | undefined;
}

/** A request to touch a table, or the whole database without one. */
export interface Demand {
  readonly write: boolean;
  readonly table?: string | undefined;
}

/** Checks requests. Immutable. */
export class Access {
  readonly #options: AccessOptions;
  readonly #tokens: readonly { readonly digest: Buffer; readonly token: AccessToken }[];

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#tokens = (options.tokens ?? []).map((token) => ({
      digest: digestOf(token.token),
      token,
    }));
  }

  /** **Throws** `HttpProblem` when the request comes from where it must not. */
  checkSource(request: Request): void {
    const { hosts, cors } = this.#options;
    const host = request.headers.get("host") ?? "";
    if (hosts !== undefined && !hosts.includes(hostName(host))) {
      throw new HttpProblem(
        403,
        "FORBIDDEN",
        `the request names the host "${host}"; this server answers to ${hosts.join(", ")}`,
      );
    }
    const origin = request.headers.get("origin");
    if (origin !== null && origin === cors) return;
    const site = request.headers.get("sec-fetch-site");
    const isForeign = site === "cross-site" || site === "same-site";
    if (isForeign || (origin !== null && !isOwn(origin, host))) {
      throw new HttpProblem(
        403,
        "FORBIDDEN",
        `a page of ${origin ?? "another site"} asks; allow its origin with cors (--cors ORIGIN)`,
      );
    }
  }

  /** **Throws** `HttpProblem` when the caller may not do what `demand` says. */
  check(request: Request, demand: Demand): void {
    if (demand.write && this.#options.readOnly === true) {
      throw new HttpProblem(403, "FORBIDDEN", "the server is read-only");
    }
    if (this.#tokens.length === 0) return;
    const token = this.#find(request.headers.get("authorization"));
    if (token === undefined) {
      const found = request.headers.has("authorization") ? "an unknown token" : "no token";
      throw new HttpProblem(
        401,
        "UNAUTHORIZED",
        `the request has ${found}; send "Authorization: Bearer TOKEN"`,
        {},
        { "www-authenticate": 'Bearer realm="aerostore"' },
      );
    }
    const { access, tables } = token;
    const isNamed = tables === undefined || tables.length === 0;
    const mayTouch = isNamed || (demand.table !== undefined && tables.includes(demand.table));
    if (mayTouch && (access === "write" || !demand.write)) return;
    const wanted = `${demand.write ? "write" : "read"} ${demand.table ?? "every table"}`;
    throw new HttpProblem(403, "FORBIDDEN", `the token does not allow to ${wanted}`);
  }

  /** Compares with every token, in a time that does not tell which one is near. */
  #find(header: string | null): AccessToken | undefined {
    const [, given] = /^Bearer +(\S+) *$/i.exec(header ?? "") ?? [];
    if (given === undefined) return undefined;
    const digest = digestOf(given);
    let found: AccessToken | undefined;
    for (const each of this.#tokens) if (timingSafeEqual(each.digest, digest)) found = each.token;
    return found;
  }

  /** Headers for an answer to `request`. */
  corsHeaders(request: Request): Readonly<Record<string, string>> {
    const { cors } = this.#options;
    if (cors === undefined || request.headers.get("origin") !== cors) return {};
    return {
      "access-control-allow-origin": cors,
      "access-control-expose-headers": "etag",
      vary: "Origin",
    };
  }

  /** The answer to a preflight of the allowed origin. */
  preflight(request: Request): Response {
    this.checkSource(request);
    return new Response(null, {
      status: 204,
      headers: {
        ...this.corsHeaders(request),
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers":
          "authorization, content-type, if-match, if-none-match, last-event-id",
        "access-control-max-age": "600",
      },
    });
  }
}

/**
 * The tokens of a token file: one per line, `TOKEN`, `TOKEN read [TABLE…]` or
 * `TOKEN write [TABLE…]`; `#` begins a comment. **Throws** `RangeError` naming the line.
 */
export function parseTokens(text: string): AccessToken[] {
  return text.split("\n").flatMap((line, index) => {
    const [token = "", access = "write", ...tables] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (token === "") return [];
    if (access !== "read" && access !== "write") {
      throw new RangeError(`line ${index + 1} of the token file: "${access}" is not read or write`);
    }
    if (token.length < 16) {
      throw new RangeError(
        `line ${index + 1} of the token file: a token has 16 characters or more`,
      );
    }
    return [{ token, access, tables }];
  });
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** `Host` without its port. */
function hostName(host: string): string {
  return host.replace(/:\d+$/, "").toLowerCase();
}

function isOwn(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}
