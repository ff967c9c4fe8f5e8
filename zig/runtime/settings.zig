//! The settings that all sessions of a segment share: their numbers at the boundary, their ranges
//! and defaults.
//!
//! **Concurrency.** Values; the words themselves are in the segment's header.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const Segment = @import("../segment/segment.zig").Segment;

/// Numbers cross the boundary: append only.
pub const Setting = enum(u32) {
    /// 1: a commit returns when it is on the disk.
    synchronous_commit = 0,
    /// How long a commit may wait for the disk when `synchronous_commit` is 0.
    wal_flush_interval_ms = 1,
    /// Between checkpoints; 0 for none.
    checkpoint_interval_secs = 2,
    /// A snapshot may get this old before its memory is taken.
    snapshot_age_limit_ms = 3,
    /// A log this large asks for a checkpoint.
    log_size_limit_mb = 4,
    /// Log that subscriptions need is kept up to so much beyond what recovery needs.
    log_retention_mb = 5,
};

pub const Range = struct { min: u32 = 0, max: u32 = std.math.maxInt(u32) };

pub fn rangeOf(setting: Setting) Range {
    return switch (setting) {
        .synchronous_commit => .{ .max = 1 },
        .wal_flush_interval_ms => .{ .min = 1, .max = 60_000 },
        .checkpoint_interval_secs => .{},
        .snapshot_age_limit_ms => .{ .min = 100 },
        .log_size_limit_mb => .{ .min = 1 },
        .log_retention_mb => .{},
    };
}

pub fn minOf(setting: Setting) u32 {
    return rangeOf(setting).min;
}

pub fn maxOf(setting: Setting) u32 {
    return rangeOf(setting).max;
}

const Word = @FieldType(layout.Header, "log_size_limit_mb");

fn wordOf(segment: *const Segment, setting: Setting) *Word {
    const header = segment.header;
    return switch (setting) {
        .synchronous_commit => &header.synchronous_commit,
        .wal_flush_interval_ms => &header.flush_interval_ms,
        .checkpoint_interval_secs => &header.checkpoint_interval_secs,
        .snapshot_age_limit_ms => &header.snapshot_age_limit_ms,
        .log_size_limit_mb => &header.log_size_limit_mb,
        .log_retention_mb => &header.log_retention_mb,
    };
}

pub fn read(segment: *const Segment, setting: Setting) u32 {
    return wordOf(segment, setting).load(.seq_cst);
}

/// Refuses a value that is out of the setting's range.
pub fn write(segment: *const Segment, setting: Setting, value: u32) error{InvalidArgument}!void {
    const range = rangeOf(setting);
    if (value < range.min or value > range.max) return error.InvalidArgument;
    wordOf(segment, setting).store(value, .seq_cst);
}
