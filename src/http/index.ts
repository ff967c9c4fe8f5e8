/** `aerostore/http`: the door of a database. */
export { parseTokens } from "./access.ts";
export type { AccessOptions, AccessToken } from "./access.ts";
export type { FacesOptions } from "./faces.ts";
export type { Limits } from "./door.ts";
export { routes } from "./routes.ts";
export type { Routes, RoutesOptions } from "./routes.ts";
