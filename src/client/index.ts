/** `aerostore/client`: a database behind HTTP, from any runtime with `fetch`. */
export { connect } from "./client.ts";
export type { Client, ClientOptions, Operation, RemoteTable, WatchOptions } from "./client.ts";
export { ClientError } from "./request.ts";
export type { Delta } from "./watch.ts";
