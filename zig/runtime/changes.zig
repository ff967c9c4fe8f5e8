//! The work behind the exports about changes: feeds, positions, and being told that there is
//! something to read.
//!
//! **Concurrency**: as the handle that is passed.
const std = @import("std");
const os = @import("../os.zig");
const ring = @import("../segment/ring.zig");
const wake = @import("../segment/change_wake.zig");
const log_state = @import("../segment/log_state.zig");
const feed_ = @import("../changes/feed.zig");
const output = @import("../changes/output.zig");
const position = @import("../changes/position.zig");
const bulk = @import("../table/bulk.zig");
const connection = @import("connection.zig");
const Feed = feed_.Feed;
const Handle = connection.Handle;

fn csnOf(number: f64) error{InvalidArgument}!u64 {
    if (!(number >= 0 and number < 1 << 48)) return error.InvalidArgument;
    return @intFromFloat(number);
}

/// `from` 0: from now on. `flags`: 1 only what is on the disk; `values`: `output.Values`.
pub fn open(handle: *Handle, from: f64, flags: u32, values: u32) !void {
    const wanted = std.enums.fromInt(output.Values, values) orelse return error.InvalidArgument;
    const attached = handle.attached;
    const header = attached.segment.header;
    const now = feed_.needForms(&handle.engine, wanted);
    const start = try csnOf(from);
    const is_logged = header.log_enabled.load(.acquire) != 0;
    const feed = try Feed.open(
        handle.allocator,
        &handle.engine,
        if (is_logged) attached.directory.storage() else null,
        .{
            .from_csn = if (start == 0) now else start,
            .durable = flags & 1 != 0,
            .values = wanted,
            .forms_csn = now,
        },
    );
    errdefer feed.close();
    const number = try connection.freeSlot(*Feed, handle.allocator, &handle.feeds);
    handle.feeds.items[number - 1] = feed;
    handle.io.result.cursor = number;
    handle.io.result.csn = @floatFromInt(feed.next_csn);
}

fn existing(handle: *Handle, number: u32) error{InvalidArgument}!*Feed {
    if (number == 0 or number > handle.feeds.items.len) return error.InvalidArgument;
    return handle.feeds.items[number - 1] orelse error.InvalidArgument;
}

/// The input has one bit for each table of interest.
pub fn filter(handle: *Handle, number: u32) !void {
    const feed = try existing(handle, number);
    const tables = &feed.filter.tables;
    @memcpy(std.mem.asBytes(tables), handle.io.input[0..@sizeOf(@TypeOf(tables.*))]);
}

pub fn read(handle: *Handle, number: u32, out: []align(8) u8) !void {
    const feed = try existing(handle, number);
    const batch = try feed.read(out);
    const result = &handle.io.result;
    result.size = @intCast(batch.size);
    result.rows = batch.count;
    result.done = @intFromBool(!batch.more);
    result.csn = @floatFromInt(feed.next_csn);
}

pub fn close(handle: *Handle, number: u32) void {
    const feed = existing(handle, number) catch return;
    handle.feeds.items[number - 1] = null;
    feed.close();
}

/// Of now: the first CSN that is not decided, the timeline, and below what all is on the disk.
pub fn readPosition(handle: *Handle) !void {
    const session = &handle.engine.context.session;
    const header = handle.attached.segment.header;
    const result = &handle.io.result;
    result.csn = @floatFromInt(ring.firstUndecided(session.segment, session.floor));
    result.count = @floatFromInt(header.timeline.number);
    const is_logged = header.log_enabled.load(.acquire) != 0;
    result.durable_csn = if (is_logged)
        @floatFromInt(header.durable.load(.seq_cst))
    else
        result.csn;
    result.examined = @floatFromInt(header.log_size.load(.monotonic)); // a statistic
}

/// Result: `cause`, a `position.Reason`; `csn`, the last common one.
pub fn checkPosition(handle: *Handle, timeline: u32, csn: f64) !void {
    const session = &handle.engine.context.session;
    const attached = handle.attached;
    const visible = ring.firstUndecided(session.segment, session.floor);
    const storage = attached.directory.storage();
    const verdict = try position.check(
        attached.segment.header,
        storage,
        timeline,
        try csnOf(csn),
        visible,
    );
    handle.io.result.cause = @intFromEnum(verdict.reason);
    handle.io.result.csn = @floatFromInt(verdict.common_csn);
}

/// Result: `csn`, the first that the log files have, or that of an empty database.
pub fn oldest(handle: *Handle) !void {
    const header = handle.attached.segment.header;
    // Nothing is in the files before the first writer has come.
    const first = @max(header.first_csn, bulk.csn_recovered + 1);
    const storage = handle.attached.directory.storage();
    const found = try feed_.oldest(storage, handle.allocator, first);
    handle.io.result.csn = @floatFromInt(found);
}

/// The stream that tells that there is something to read; a handle has one.
pub fn watch(handle: *Handle) !void {
    if (handle.change_listener != null) return error.InvalidArgument;
    var far: os.Fd = undefined;
    handle.change_listener = try handle.attached.listeners.add(handle.allocator, &far);
    handle.io.result.size = @intCast(far);
}

/// Asks to be told when a commit at or above `visible` is decided, or when `durable` is on the
/// disk; negative: not asked. Done: it is so already.
pub fn arm(handle: *Handle, visible: f64, durable: f64) !void {
    const segment = &handle.attached.segment;
    const header = segment.header;
    const listeners = &handle.attached.listeners;
    const listener = handle.change_listener orelse return error.InvalidArgument;
    const seen = if (visible < 0) null else try csnOf(visible);
    const awaited = if (durable < 0) null else try csnOf(durable);
    listeners.armChange(listener, seen, awaited);
    if (seen != null) wake.arm(header);
    if (awaited) |csn| log_state.want(header, csn);
    if (handle.attached.maintenance) |maintenance| maintenance.hear();
    // What became true before it was armed is not told otherwise.
    const session = &handle.engine.context.session;
    const is_seen = if (seen) |csn| ring.firstUndecided(segment, session.floor) > csn else false;
    const is_durable = if (awaited) |csn| log_state.isDurable(header, csn) else false;
    const failed = awaited != null and std.meta.isError(log_state.check(header));
    const over = is_seen or is_durable or failed;
    handle.io.result.done = @intFromBool(over and listeners.take(listener));
}

/// Subscriptions need the log from `csn` on; 0: none does.
pub fn retain(handle: *Handle, csn: f64) !void {
    handle.attached.segment.header.retained_csn.store(try csnOf(csn), .seq_cst);
}
