//! The boundary: every symbol of the library, every status, every layout that TypeScript may read.
//!
//! Public functions of `exports` are the symbols; nothing else in the library exports. Adding one
//! here adds the symbol, its row in the manifest and, with `bun run build`, its type in
//! `src/ffi/abi.gen.ts`.
//!
//! **Rules of an export.** At most ten lines: check, convert, call, map errors. Fallible ones
//! return `Status` and write to out-parameters only on `ok`. They check their own input: an
//! assertion that fails on what a caller passed would end the caller's process.
//! **Memory.** One of four words stands at each pointer: *borrowed* (this call only), *out* (the
//! caller's memory, written here), *owned* (a handle with exactly one close), *segment* (valid
//! while pinned).
const std = @import("std");
const manifest = @import("manifest.zig");

pub const panic = @import("panic.zig").handler;

/// Raised when the meaning of a symbol changes while its types stay the same.
const abi_version = 1;

/// How a call ended. Numbers are for ever: append, never renumber.
pub const Status = enum(i32) {
    ok = 0,
    /// The caller passed what its own checks should have stopped: a bug in `src/`.
    invalid_argument = -1,
    /// The out-buffer is too small; nothing was written but the size needed.
    buffer_too_small = -2,
    io_error = -3,
    serialization_failure = -10,
    duplicate_key = -11,
    unknown_table = -12,
    unknown_field = -13,
    invalid_value = -14,
    parse_error = -15,
    segment_full = -16,
    snapshot_too_old = -17,
    lock_timeout = -18,
    schema_mismatch = -19,
    layout_mismatch = -20,
    wal_corrupt = -21,
    checkpoint_corrupt = -22,
    segment_corrupt = -23,
    log_poisoned = -24,
    too_many_sessions = -25,
    permission = -26,
    closed = -27,
};

const exports = struct {
    /// The manifest: JSON text, part of the library, valid for ever.
    pub fn abi_manifest() callconv(.c) [*]const u8 {
        return manifest_text.ptr;
    }

    /// Size of the manifest in bytes.
    pub fn abi_manifest_size() callconv(.c) u32 {
        return manifest_text.len;
    }

    /// Does nothing: what one call costs.
    pub fn abi_nothing() callconv(.c) void {}

    /// Copies `source` (borrowed) to `target` (out) and its size to `size` (out): how bytes cross.
    pub fn abi_copy(
        source: [*]const u8,
        source_length: usize,
        target: [*]u8,
        target_length: usize,
        size: *u32,
    ) callconv(.c) Status {
        const needed = std.math.cast(u32, source_length) orelse return .invalid_argument;
        size.* = needed;
        if (target_length < needed) return .buffer_too_small;
        @memmove(target[0..needed], source[0..needed]);
        return .ok;
    }
};

const boundary: manifest.Source = .{
    .version = abi_version,
    .prefix = "aerostore_",
    .exports = exports,
    .enums = &.{
        .{ .name = "Status", .type = Status },
    },
    .layouts = &.{},
};

const manifest_text: []const u8 = manifest.render(boundary);

comptime {
    manifest.exportSymbols(boundary);
}

test "abi: bytes are copied, and a small target is told the size" {
    var target: [4]u8 = undefined;
    var size: u32 = 0;
    try std.testing.expectEqual(.ok, exports.abi_copy("abc", 3, &target, 4, &size));
    try std.testing.expectEqualStrings("abc", target[0..size]);
    try std.testing.expectEqual(.buffer_too_small, exports.abi_copy("abcde", 5, &target, 4, &size));
    try std.testing.expectEqual(5, size);
}
