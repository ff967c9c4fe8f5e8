//! The work behind the exports about the log: attaching it, waiting for it, hearing from it.
//!
//! **Concurrency**: as the handle that is passed.
const std = @import("std");
const os = @import("../os.zig");
const log_state = @import("../segment/log_state.zig");
const Handle = @import("connection.zig").Handle;
const Maintenance = @import("maintenance.zig").Maintenance;

pub fn attachLog(handle: *Handle, is_logged: u32) !void {
    const attached = handle.attached;
    if (is_logged != 0) attached.segment.header.log_enabled.store(1, .seq_cst);
    attached.starting.acquire();
    defer attached.starting.release();

    if (attached.maintenance != null) return;
    attached.maintenance = try Maintenance.start(handle.allocator, attached, is_logged != 0);
}

fn csnOf(number: f64) error{InvalidArgument}!u64 {
    if (!(number >= 0 and number < 1 << 53)) return error.InvalidArgument;
    return @intFromFloat(number);
}

pub fn waitDurable(handle: *Handle, csn: f64, timeout_ms: u32) !void {
    const header = handle.attached.segment.header;
    try log_state.wait(header, try csnOf(csn), @as(u64, timeout_ms) * 1_000_000);
}

/// The stream that tells of durable commits; a handle has one.
pub fn watchDurable(handle: *Handle) !void {
    if (handle.listener != null) return error.InvalidArgument;
    var far: os.Fd = undefined;
    handle.listener = try handle.attached.listeners.add(handle.allocator, &far);
    handle.io.result.size = @intCast(far);
}

/// Asks for `last` to be synced, and to be told when `first` is; done: it is already.
pub fn armDurable(handle: *Handle, first: f64, last: f64) !void {
    const header = handle.attached.segment.header;
    const listeners = &handle.attached.listeners;
    const listener = handle.listener orelse return error.InvalidArgument;
    const awaited = try csnOf(first);
    listeners.arm(listener, awaited);
    log_state.want(header, try csnOf(last));
    if (handle.attached.maintenance) |maintenance| maintenance.hear();
    // A change before it was armed is not told otherwise.
    const failed = std.meta.isError(log_state.check(header));
    const over = failed or log_state.isDurable(header, awaited);
    handle.io.result.done = @intFromBool(over and listeners.take(listener));
}

pub fn readDurable(handle: *Handle) !void {
    const header = handle.attached.segment.header;
    handle.noteCommit(0);
    // Without a log all is as durable as it will ever be.
    const is_logged = header.log_enabled.load(.acquire) != 0;
    const durable = if (is_logged) header.durable.load(.acquire) else std.math.maxInt(u53);
    handle.io.result.durable_csn = @floatFromInt(durable);
    try log_state.check(header);
}
