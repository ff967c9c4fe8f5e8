/** What can go wrong on the way to a session, in words. */
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { errorFromStatus } from "../ffi/status.ts";

/** The error for a status that booting ended with. */
export function bootError(status: Status, path: string, found?: string): Error {
  const attempt = { attempted: "opening a database", path, found };
  switch (status) {
    case Status.not_found:
      return errorFromStatus(Status.io_error, { ...attempt, found: "there is no such file" });
    case Status.not_regular: {
      const what = "it is a directory, a symbolic link or another special file";
      const advice = "remove it, or choose another path with shmPath (--shm)";
      return errorFromStatus(Status.permission, { ...attempt, found: what, advice });
    }
    case Status.permission: {
      const what =
        found ??
        "it belongs to another user, others may write to it, or its file system is read-only";
      const advice =
        "change owner and mode to yours and 0600, or choose another path with shmPath (--shm)";
      return errorFromStatus(status, { ...attempt, found: what, advice });
    }
    case Status.no_space:
      return errorFromStatus(Status.io_error, { ...attempt, found: "the disk is full" });
    case Status.exists:
      return errorFromStatus(Status.io_error, { ...attempt, found: "the file exists" });
    default:
      return errorFromStatus(status, attempt);
  }
}

/** An error of the file system as ours; any other stays what it is. */
export function systemError(attempted: string, path: string, error: Error): Error {
  if (error instanceof AerostoreError || !("code" in error)) return error;
  const code = String(error.code);
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  const where = "path" in error && typeof error.path === "string" ? error.path : path;
  const advice = denied
    ? "; change its owner or mode, or choose another directory"
    : code === "ENOENT" && where.startsWith("/dev/shm")
      ? "; mount a tmpfs at /dev/shm, or choose another path with shmPath (--shm)"
      : "";
  return new AerostoreError(
    denied ? "PERMISSION" : "IO_ERROR",
    `${attempted} (${where}): ${reasons.get(code) ?? error.message}${advice}`,
    { path: where, cause: error },
  );
}

const reasons: ReadonlyMap<string, string> = new Map([
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["EROFS", "the file system is read-only"],
  ["ENOENT", "there is no such file or directory"],
  ["ENOTDIR", "a part of the path is not a directory"],
  ["EEXIST", "a file is in the way"],
  ["EISDIR", "it is a directory"],
  ["ENOSPC", "the disk is full"],
  ["ENAMETOOLONG", "the path is too long"],
]);
