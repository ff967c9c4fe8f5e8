/** What boot learns about an existing segment from its first bytes. */
import { layoutFingerprint, Status } from "../ffi/abi.gen.ts";
import { segmentFormat } from "../ffi/constants.gen.ts";
import { layouts } from "../ffi/layouts.gen.ts";
import type { Symbols } from "../ffi/abi.gen.ts";
import { bootError } from "./failure.ts";
import { encodePath } from "./files.ts";
import type { BootLock } from "./files.ts";
import { validateHeader } from "./header.ts";
import type { HeaderExpectation, HeaderVerdict, SegmentLayouts } from "./header.ts";
import type { Identity } from "./identity.ts";
import type { BootEvent } from "./machine.ts";
import type { DatabasePaths } from "./paths.ts";

/** What a segment must say of itself to be ours. */
export interface ProbeExpectation {
  readonly identity: Identity;
  /** Of the running kernel, as hexadecimal digits. */
  readonly bootId: string;
  readonly lock: BootLock;
}

export const structs: SegmentLayouts = {
  header: layouts.SegmentHeader,
  geometry: layouts.Geometry,
  sessionSlot: layouts.SessionSlot,
};

export type Found = HeaderVerdict | { readonly kind: "absent"; readonly reason: string };

/** Looks at the segment of one database, under its boot lock. */
export class SegmentProbe {
  readonly calls: Symbols;
  readonly paths: DatabasePaths;
  readonly expected: ProbeExpectation;
  /** What `look` has seen. */
  found: Found | undefined;

  constructor(calls: Symbols, paths: DatabasePaths, expected: ProbeExpectation) {
    this.calls = calls;
    this.paths = paths;
    this.expected = expected;
  }

  /** Whether the segment's header is valid. **Throws** `PERMISSION` for what is not ours. */
  look(): BootEvent {
    this.found = this.read(this.paths.segment);
    if (this.found.kind === "valid") {
      return { kind: "valid", wasClosed: this.found.facts.wasClosed };
    }
    const { kind, reason } = this.found;
    return { kind: "invalid", reason: kind === "absent" ? reason : `the segment: ${reason}` };
  }

  /** What there is at a path. **Throws** `PERMISSION` for what is not ours. */
  read(segment: string): Found {
    const { identity, bootId, lock } = this.expected;
    const { databaseId } = identity;
    return readHeader(this.calls, segment, { databaseId, bootId, lockFile: lock.lockFile });
  }
}

/** Judges the header of the segment at a path. **Throws** `PERMISSION` for what is not ours. */
export function readHeader(
  calls: Symbols,
  segment: string,
  expected: Pick<HeaderExpectation, "databaseId" | "bootId" | "lockFile">,
): Found {
  const path = encodePath(segment);
  const bytes = new Uint8Array(new ArrayBuffer(structs.header.size));
  const size = new Float64Array(new ArrayBuffer(8));
  const status = calls.aerostore_segment_probe(path, path, bytes, bytes, size);
  if (status === Status.not_found) return { kind: "absent", reason: "there was no segment" };
  if (status !== Status.ok) throw bootError(status, segment);
  return validateHeader(bytes, structs, {
    formatVersion: segmentFormat.version,
    fingerprint: layoutFingerprint,
    fileSize: size[0] ?? 0,
    ...expected,
  });
}
