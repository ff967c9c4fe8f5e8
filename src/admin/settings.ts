/** Settings that all sessions of a database share, by the names that users write. */
import { AerostoreError } from "../errors.ts";
import { Status } from "../ffi/abi.gen.ts";
import { Setting, settingMax, settingMin } from "../ffi/constants.gen.ts";
import { nearestName } from "../schema/nearest.ts";
import { describeValue } from "../schema/value.ts";
import { numbers } from "../session/session.ts";
import type { Session } from "../session/session.ts";

interface SettingRule {
  readonly setting: Setting;
  readonly kind: "switch" | "whole";
  readonly min: number;
  readonly max: number;
}

/** Names of the settings. */
export type ConfigKey =
  | "aerostore.synchronous_commit"
  | "aerostore.wal_flush_interval_ms"
  | "aerostore.checkpoint_interval_secs"
  | "aerostore.snapshot_age_limit_ms"
  | "aerostore.log_size_limit_mb"
  | "aerostore.log_retention_mb";

const settings: Readonly<Record<ConfigKey, SettingRule>> = {
  // On: a commit returns when it is on disk. Default off.
  "aerostore.synchronous_commit": {
    setting: Setting.synchronous_commit,
    kind: "switch",
    min: settingMin.synchronousCommit,
    max: settingMax.synchronousCommit,
  },
  // How long a commit may wait for the disk when synchronous_commit is off. Default 10.
  "aerostore.wal_flush_interval_ms": {
    setting: Setting.wal_flush_interval_ms,
    kind: "whole",
    min: settingMin.walFlushIntervalMs,
    max: settingMax.walFlushIntervalMs,
  },
  // Seconds between checkpoints; 0 for none. Default 300.
  "aerostore.checkpoint_interval_secs": {
    setting: Setting.checkpoint_interval_secs,
    kind: "whole",
    min: settingMin.checkpointIntervalSecs,
    max: settingMax.checkpointIntervalSecs,
  },
  // A snapshot may get this old before its memory is taken. Default 60,000.
  "aerostore.snapshot_age_limit_ms": {
    setting: Setting.snapshot_age_limit_ms,
    kind: "whole",
    min: settingMin.snapshotAgeLimitMs,
    max: settingMax.snapshotAgeLimitMs,
  },
  // A log this large asks for a checkpoint. Default 1,024.
  "aerostore.log_size_limit_mb": {
    setting: Setting.log_size_limit_mb,
    kind: "whole",
    min: settingMin.logSizeLimitMb,
    max: settingMax.logSizeLimitMb,
  },
  // Log that subscriptions need is kept up to so much. Default 256.
  "aerostore.log_retention_mb": {
    setting: Setting.log_retention_mb,
    kind: "whole",
    min: settingMin.logRetentionMb,
    max: settingMax.logRetentionMb,
  },
};

const byName: ReadonlyMap<string, SettingRule> = new Map(Object.entries(settings));

/** All settings with their values. */
export function listConfig(session: Session): Record<string, string> {
  return Object.fromEntries(Array.from(byName.keys(), (key) => [key, getConfig(session, key)]));
}

/** A setting as text: `on` or `off`, or a number. **Throws** `UNKNOWN_FIELD`. */
export function getConfig(session: Session, key: string): string {
  const rule = findSetting(key);
  const value = readSetting(session, rule);
  if (rule.kind === "switch") return value === 0 ? "off" : "on";
  return String(value);
}

/** Changes a setting for all sessions. **Throws** `UNKNOWN_FIELD`, `INVALID_VALUE`. */
export function setConfig(session: Session, key: string, value: unknown): void {
  const rule = findSetting(key);
  const number = parseSetting(key, rule, value);
  session.run({ attempted: `setting ${key}` }, () =>
    session.calls.aerostore_config_set(session.handle, rule.setting, number),
  );
}

function readSetting(session: Session, rule: SettingRule): number {
  const status = session.calls.aerostore_config_get(session.handle, rule.setting);
  if (status !== Status.ok) throw session.error(status, { attempted: "reading a setting" });
  return session.f64[numbers.count] ?? 0;
}

function findSetting(key: string): SettingRule {
  const rule = byName.get(key);
  if (rule !== undefined) return rule;
  const nearest = nearestName(key, byName.keys());
  const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  const names = [...byName.keys()].join(", ");
  throw new AerostoreError(
    "UNKNOWN_FIELD",
    `there is no setting ${describeValue(key)}${hint} (there are ${names})`,
    { column: key },
  );
}

function parseSetting(key: string, { kind, min, max }: SettingRule, value: unknown): number {
  if (kind === "switch") {
    if (value === true || value === "on") return 1;
    if (value === false || value === "off") return 0;
    throw refuse(key, value, "on or off");
  }
  const number = typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : value;
  if (typeof number === "number" && Number.isInteger(number) && number >= min && number <= max) {
    return number;
  }
  throw refuse(key, value, `a whole number from ${min} to ${max}`);
}

function refuse(key: string, value: unknown, expected: string): AerostoreError {
  return new AerostoreError(
    "INVALID_VALUE",
    `${key} cannot be ${describeValue(value)}: expected ${expected}`,
    { column: key, value },
  );
}
