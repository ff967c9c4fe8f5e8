//! How long one waits for a log writer that stands still before taking its place.
//!
//! A new writer has to make a file, and to sync those before it. Where the disk or the processors
//! are so busy that this takes longer than others wait, each would be replaced before its first
//! step, and every attempt would keep the disk busier. So the wait doubles with each writer that
//! came and went without progress, and begins anew with each that came.
//!
//! **Concurrency**: state of one watching thread.
const std = @import("std");

/// What a watcher sees of the writer.
pub const Sight = struct {
    /// The word that names the writer.
    owner: u32,
    /// Rises with each step of the writer.
    beat: u32,
    /// End of what has been drained.
    drained: u64,
    /// Nothing waits for the writer.
    is_idle: bool,
};

pub const Patience = struct {
    wait_ms: u64 = wait_min_ms,
    since_ms: ?u64 = null,
    owner: u32 = 0,
    beat: u32 = 0,
    /// Where the drain stood when the writer before this one went.
    drained: u64 = 0,

    pub const wait_min_ms = 250;
    pub const wait_max_ms = 16_000;

    /// True when the writer that is seen at `now_ms` has stood still for too long.
    pub fn isOver(patience: *Patience, now_ms: u64, sight: Sight) bool {
        const is_new = sight.owner != patience.owner;
        if (sight.drained != patience.drained or sight.is_idle) {
            patience.wait_ms = wait_min_ms;
        } else if (is_new) {
            patience.wait_ms = @min(patience.wait_ms * 2, wait_max_ms);
        }
        patience.drained = sight.drained;
        const since_ms = patience.since_ms orelse now_ms;
        if (is_new or sight.is_idle or sight.beat != patience.beat) {
            patience.owner = sight.owner;
            patience.beat = sight.beat;
            patience.since_ms = now_ms;
            return false;
        }
        patience.since_ms = since_ms;
        return now_ms - since_ms >= patience.wait_ms;
    }

    /// The watcher has been the writer itself meanwhile.
    pub fn restart(patience: *Patience) void {
        patience.since_ms = null;
    }
};

const busy: Sight = .{ .owner = 1, .beat = 7, .drained = 100, .is_idle = false };

test "a writer that stands still is waited for from when it was first seen" {
    var patience: Patience = .{};
    try std.testing.expect(!patience.isOver(1000, busy));
    try std.testing.expect(!patience.isOver(1249, busy));
    try std.testing.expect(patience.isOver(1250 + Patience.wait_min_ms, busy));
}

test "each step, and each time with nothing to do, begins the wait anew" {
    var patience: Patience = .{};
    var sight = busy;
    _ = patience.isOver(1000, sight);
    sight.beat += 1;
    try std.testing.expect(!patience.isOver(2000, sight));
    sight.is_idle = true;
    try std.testing.expect(!patience.isOver(3000, sight));
    sight.is_idle = false;
    try std.testing.expect(!patience.isOver(3100, sight));
    try std.testing.expect(patience.isOver(3250, sight));
}

test "a new writer has its time, and each without progress twice as much" {
    var patience: Patience = .{};
    var sight = busy;
    var now: u64 = 1000;
    _ = patience.isOver(now, sight);
    var wait: u64 = patience.wait_ms;
    for (2..12) |owner| {
        sight.owner = @intCast(owner);
        now += 100_000;
        try std.testing.expect(!patience.isOver(now, sight));
        try std.testing.expectEqual(@min(wait * 2, Patience.wait_max_ms), patience.wait_ms);
        wait = patience.wait_ms;
        try std.testing.expect(!patience.isOver(now + wait - 1, sight));
        try std.testing.expect(patience.isOver(now + wait, sight));
    }
    sight.drained += 1;
    sight.owner += 1;
    try std.testing.expect(!patience.isOver(now + 1, sight));
    try std.testing.expectEqual(Patience.wait_min_ms, patience.wait_ms);
}
