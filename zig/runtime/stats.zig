//! Counters and sizes of a segment as one struct, for people and monitors.
//!
//! **Concurrency**: reads words that others write; the sums are as of no exact instant.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const classes = @import("../segment/classes.zig");
const layout = @import("../segment/layout.zig");
const ring = @import("../segment/ring.zig");
const segment_ = @import("../segment/segment.zig");
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;

pub const page_kinds = 10;

/// Doubles hold integers up to 2^53.
pub const Stats = extern struct {
    segment_size: f64,
    page_size: f64,
    pages_total: f64,
    pages_used: f64,
    /// Bytes by `PageKind`.
    bytes_by_kind: [page_kinds]f64,
    tail: f64,
    drained: f64,
    durable: f64,
    horizon: f64,
    first_undecided: f64,
    sessions_attached: f64,
    session_count: f64,
    cell_count: f64,
    log_epoch: f64,
    log_poisoned: f64,
    log_stalled: f64,
    writer_session: f64,
    checkpoint_count: f64,
    checkpoint_csn: f64,
    checkpoint_rows: f64,
    tables: f64,
    retired_waiting: f64,
    counters: [@sizeOf(layout.Counters) / 8]f64,
};

pub const SessionStats = extern struct {
    index: u32,
    pid: u32,
    opened_ms: f64,
    /// CSN of the oldest snapshot; 0 none.
    snapshot: f64,
    /// How long it has been open.
    snapshot_age_ms: f64,
    commits: f64,
    alive: u32,
    reserved: u32,
};

pub fn fill(session: *Session, stats: *Stats) void {
    const segment = session.segment;
    const header = segment.header;
    stats.* = std.mem.zeroes(Stats);
    stats.segment_size = @floatFromInt(segment.memory.len);
    stats.page_size = limits.page_size;
    const first = Segment.pageOf(segment.arena_ref);
    const end = Segment.pageOf(segment.limit_ref);
    stats.pages_total = @floatFromInt(end - first);
    for (segment.pages[first..end]) |*word| {
        const page = layout.PageState.of(word.load(.monotonic)); // a statistic
        if (page.state == .free) continue;
        stats.pages_used += 1;
        const kind = @intFromEnum(page.kind);
        if (kind < page_kinds) stats.bytes_by_kind[kind] += limits.page_size;
    }
    stats.tail = @floatFromInt(header.tail.load(.acquire));
    stats.drained = @floatFromInt(ring.drainedOf(header.drained.load(.acquire)));
    stats.durable = @floatFromInt(header.durable.load(.acquire));
    stats.horizon = @floatFromInt(header.horizon.load(.acquire));
    stats.first_undecided = @floatFromInt(ring.firstUndecided(segment, session.floor));
    stats.session_count = @floatFromInt(segment.session_count);
    stats.cell_count = @floatFromInt(segment.cell_count);
    stats.log_epoch = @floatFromInt(header.log_epoch.load(.monotonic));
    stats.log_poisoned = @floatFromInt(header.log_poisoned.load(.monotonic));
    stats.log_stalled = @floatFromInt(header.log_stalled.load(.monotonic));
    stats.writer_session = @floatFromInt(header.writer_session.load(.monotonic));
    stats.checkpoint_count = @floatFromInt(header.checkpoint_count.load(.monotonic));
    stats.checkpoint_csn = @floatFromInt(header.checkpoint_csn.load(.monotonic));
    stats.checkpoint_rows = @floatFromInt(header.checkpoint_rows.load(.monotonic));
    stats.tables = @floatFromInt(header.table_count.load(.monotonic));
    const count = @min(header.session_limit.load(.acquire), segment.session_count);
    for (segment.sessions[0..count]) |*slot| {
        if (slot.attached.load(.monotonic) != 0) stats.sessions_attached += 1;
        const added = slot.retire_added.load(.monotonic);
        stats.retired_waiting += @floatFromInt(added -| slot.retire_taken.load(.monotonic));
        const values: *const [stats.counters.len]u64 = @ptrCast(&slot.counters);
        for (&stats.counters, values) |*sum, *value| {
            sum.* += @floatFromInt(@atomicLoad(u64, value, .monotonic)); // a statistic
        }
    }
}

/// Copies the sessions that fit; returns the bytes that all of them need.
pub fn sessions(session: *Session, out: []u8) usize {
    const segment = session.segment;
    const count = @min(segment.header.session_limit.load(.acquire), segment.session_count);
    const now_ms = os.monotonicNs() / 1_000_000;
    var size: usize = 0;
    for (segment.sessions[0..count], 0..) |*slot, index| {
        if (slot.attached.load(.acquire) == 0) continue;
        defer size += @sizeOf(SessionStats);
        if (size + @sizeOf(SessionStats) > out.len) continue;
        const raw = slot.pin.load(.acquire);
        // Statistics: a session that takes the slot meanwhile is told of at the next look.
        const commits = @atomicLoad(u64, &slot.counters.commits, .monotonic);
        const before = @atomicLoad(u64, &slot.commits_before, .monotonic);
        const pinned = raw != layout.pin_none and raw != layout.pin_revoked;
        const since = slot.pinned_ms.load(.monotonic);
        const each: SessionStats = .{
            .index = @intCast(index),
            .pid = slot.pid,
            .opened_ms = @floatFromInt(slot.opened_ms),
            .snapshot = if (pinned) @floatFromInt(layout.Pin.of(raw).csn) else 0,
            .snapshot_age_ms = if (pinned and since != 0) @floatFromInt(now_ms -| since) else 0,
            .commits = @floatFromInt(commits -| before),
            .alive = @intFromBool(session.isAlive(@intCast(index))),
            .reserved = 0,
        };
        @memcpy(out[size..][0..@sizeOf(SessionStats)], std.mem.asBytes(&each));
    }
    return size;
}
